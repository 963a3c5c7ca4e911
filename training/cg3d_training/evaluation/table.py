"""Reports as Markdown, one subject or several side by side, and as plain values for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from cg3d_training.evaluation.accuracy import Accuracy
from cg3d_training.evaluation.run import Report

_UNSEEN = "names never seen"


def markdown(reports: Sequence[Report]) -> str:
    """The tables of reports on the same tasks."""
    tables = [
        _tasks(reports), _points(reports), _corruptions(reports), _unseen(reports), _costs(reports)
    ]  # fmt: skip
    return "\n\n".join("\n".join(lines) for lines in map(list, tables) if lines)


def plain(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """For JSON: everything but embeddings."""
    return [
        {
            "name": report.name,
            "parameters": report.parameters,
            "seconds": round(report.seconds, 1),
            "results": [dataclasses.asdict(r) for r in report.results],
            "sweeps": [dataclasses.asdict(p) for p in report.sweeps],
        }
        for report in reports
    ]


def _tasks(reports: Sequence[Report]) -> Iterator[str]:
    tasks = list(dict.fromkeys(r.task for report in reports for r in report.results))
    if not tasks:
        return
    found = [{r.task: r for r in report.results} for report in reports]
    if len(reports) == 1:
        yield "| task | objects | labels | top-1 (95 % interval) | top-3 | top-5 |"
        yield "|---|---|---|---|---|---|"
    else:
        yield "| task | objects | labels |" + "".join(
            f" {report.name}: top-1 (95 % interval) | top-5 |" for report in reports
        )
        yield "|---|---|---|" + "---|---|" * len(reports)
    for task in tasks:
        known = next(f[task] for f in found if task in f)
        cells = [task, str(known.objects), str(known.labels)]
        for results in found:
            r = results.get(task)
            top3 = [f"{r.top3:.1%}" if r else ""] if len(reports) == 1 else []
            cells += [_share(r), *top3, f"{r.top5:.1%}"] if r else ["", ""]
        yield f"| {' | '.join(cells)} |"


def _share(r: Accuracy) -> str:
    low, high = r.top1_interval
    return f"{r.top1:.1%} ({low:.1%} to {high:.1%})"


def _points(reports: Sequence[Report]) -> Iterator[str]:
    swept = [(r.name, [p for p in r.sweeps if p.sweep == "points kept"]) for r in reports]
    steps = list(dict.fromkeys(p.at for _, points in swept for p in points))
    if steps:
        yield "| points kept |" + "".join(f" {at:.0f} |" for at in steps)
        yield "|---|" + "---|" * len(steps)
        for name, points in swept:
            shares = {p.at: f" {p.result.top1:.1%} |" for p in points}
            if shares:
                yield f"| {name} |" + "".join(shares.get(at, " |") for at in steps)


def _corruptions(reports: Sequence[Report]) -> Iterator[str]:
    first = True
    for report in reports:
        clean = [p.result.top1 for p in report.sweeps if p.sweep == "clean"]
        kinds: dict[str, list[float]] = {}
        for p in report.sweeps:
            if p.sweep not in ("clean", "points kept"):
                kinds.setdefault(p.sweep, []).append(p.result.top1)
        if not kinds:
            continue
        if first:
            yield "| corruption | bundle | 1 | 2 | 3 | 4 | 5 | mean |"
            yield "|---|---|---|---|---|---|---|---|"
            first = False
        for share in clean:
            yield f"| none | {report.name} | | | | | | {share:.1%} |"
        for kind, shares in kinds.items():
            steps = "".join(f" {share:.1%} |" for share in shares)
            yield f"| {kind} | {report.name} |{steps} {sum(shares) / len(shares):.1%} |"
        everything = [share for shares in kinds.values() for share in shares]
        mean = sum(everything) / len(everything)
        yield f"| mean of all | {report.name} | | | | | | {mean:.1%} |"


def _unseen(reports: Sequence[Report]) -> Iterator[str]:
    """The mean over runs that each had other names hidden."""
    shares: dict[str, list[float]] = {}
    for report in reports:
        for r in report.results:
            if r.task.startswith(_UNSEEN):
                shares.setdefault(r.task, []).append(r.top1)
    for task, found in shares.items():
        if len(found) > 1:
            yield f"{task}, mean of {len(found)} runs: {sum(found) / len(found):.1%}"


def _costs(reports: Sequence[Report]) -> Iterator[str]:
    for r in reports:
        size = f"{r.parameters / 1e6:.2f} M parameters"
        yield f"{r.name}: {size}, evaluated in {r.seconds:.0f} s"
