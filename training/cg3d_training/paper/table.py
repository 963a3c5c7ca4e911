"""Zero-shot results as Markdown and as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from cg3d_training.paper.zeroshot import ZeroShot


def zero_shot_table(results: Sequence[ZeroShot]) -> str:
    """A line a method and set."""
    lines = [
        "| method | set | clouds | classes | words | top-1 (95 % interval) | top-3 | top-5 "
        "| mean of classes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        hits, (low, high) = r.hits, r.hits.top1_interval
        lines.append(
            f"| {r.method} | {r.title} | {hits.clouds} | {hits.labels} | {r.words} "
            f"| {hits.top1:.1%} ({low:.1%} to {high:.1%}) | {hits.top3:.1%} | {hits.top5:.1%} "
            f"| {r.mean_class:.1%} |"
        )
    return "\n".join(lines)


def class_tables(results: Sequence[ZeroShot]) -> str:
    """For every set a line a class, a column a method."""
    tables = []
    for title in dict.fromkeys(r.title for r in results):
        own = [r for r in results if r.title == title]
        lines = [
            f"| {title} | clouds | " + " | ".join(r.method for r in own) + " |",
            "|---|---|" + "---|" * len(own),
        ]
        for name, (_, count) in own[0].hits.per_class.items():
            shares = [r.hits.per_class[name][0] / count for r in own]
            lines.append(f"| {name} | {count} | " + " | ".join(f"{s:.1%}" for s in shares) + " |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def plain(results: Sequence[ZeroShot]) -> list[dict[str, Any]]:
    """For JSON: everything."""
    return [dataclasses.asdict(r) for r in results]
