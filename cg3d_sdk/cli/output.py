"""What the verbs print, for people. Names come from other people's files, so they are cleaned."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cg3d_sdk.results import Classification, Ranked


def plain(text: object) -> str:
    """Text without control characters, which could drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def percent(score: float) -> str:
    """A score for people, e.g. "62.4 %"."""
    return f"{100 * score:.1f} %"


def ranked(ranking: Sequence[Ranked]) -> str:
    """Names and scores in one line."""
    return ", ".join(f"{plain(r.label)} {percent(r.score)}" for r in ranking)


def answer_line(name: str, width: int, result: Classification, top: int) -> str:
    """One line for one cloud: its name, the best label, the runners-up, dropped rows."""
    best = click.style(plain(result.label), bold=True)
    line = f"{plain(name):<{width}}  {best}"
    if not result.known:
        line += click.style(f"  | most like {ranked(result.ranking[:top])}", dim=True)
    else:
        line += f" {percent(result.score)}"
    if result.known and top > 1 and len(result.ranking) > 1:
        line += click.style(f"  | {ranked(result.ranking[1:top])}", dim=True)
    if result.dropped:
        line += f"  ({result.dropped} rows dropped)"
    return line
