"""What the verbs print, for people. Names come from other people's files, so they are cleaned."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cg3d_sdk.results import Classification, Ranked


@contextmanager
def counted(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, for work that calls back with how much of how much is done."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def tell(done: int, whole: int) -> None:
            bar.length = whole
            bar.update(done - bar.pos)

        yield tell


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
