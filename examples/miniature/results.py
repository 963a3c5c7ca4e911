"""What came out: means and deviations over the seeds, as JSON and as Markdown."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from experiments import DEPTH, LOSSES, SHARES, STARTS, run_folder

_NAMES = {
    "points-image": "points-image (eq. 4)",
    "points-text": "points-text (eq. 5)",
    "both": "both (eq. 7)",
    "both-prompts": "both, and prompts (eq. 9)",
}


def collect(out: Path, seeds: list[int], about: dict[str, Any]) -> dict[str, Any]:
    """All measurements of a run; accuracies are shares."""

    def read(seed: int, job: str) -> Any:
        return json.loads((run_folder(out, seed, job) / "done.json").read_text("utf-8"))

    runs = {losses: [read(seed, losses) for seed in seeds] for losses in LOSSES}
    on_depth = [read(seed, DEPTH) for seed in seeds]
    tuned = {
        f"{start} {share:.0%}": [read(seed, f"finetune-{start}-{share:.0%}") for seed in seeds]
        for share in SHARES
        for start in STARTS
    }
    zero_shot = {
        losses: {kind: _spread([run[kind]["accuracy"] for run in group])
                 for kind in ("unseen", "seen")}
        for losses, group in runs.items()
    }  # fmt: skip
    towers = {
        "without prompts": runs["both"],
        "with prompts": runs["both-prompts"],
        "with prompts of depth maps": on_depth,
    }
    first = runs["both"]
    against = {
        losses: _spread([
            run["unseen"]["accuracy"] - both["unseen"]["accuracy"]
            for run, both in zip(group, first, strict=True)
        ])
        for losses, group in runs.items()
        if losses != "both"
    }  # fmt: skip
    gain = {
        f"{share:.0%}": _spread([
            a["accuracy"] - b["accuracy"]
            for a, b in zip(tuned[f"cg3d {share:.0%}"], tuned[f"scratch {share:.0%}"], strict=True)
        ])
        for share in SHARES
    }  # fmt: skip
    return {
        **about,
        "chance": {kind: _spread([run[kind]["chance"] for run in first])
                   for kind in ("unseen", "seen")},
        "test_objects": {kind: [run[kind]["objects"] for run in first]
                         for kind in ("unseen", "seen")},
        "zero_shot": zero_shot,
        "unseen_less_both": against,
        "teacher_pictures": {name: _shown(group, "pictures") for name, group in towers.items()},
        "teacher_depth_maps": {name: _shown(group, "depth_maps") for name, group in towers.items()},
        "depth": {kind: _spread([run[kind]["accuracy"] for run in on_depth])
                  for kind in ("unseen", "seen")},
        "finetune": {name: _spread([run["accuracy"] for run in group])
                     for name, group in tuned.items()},
        "finetune_objects": {name: group[0]["objects"] for name, group in tuned.items()},
        "finetune_cg3d_less_scratch": gain,
        "job_cpu_seconds": {
            **{name: [run["cpu_seconds"] for run in group] for name, group in runs.items()},
            DEPTH: [run["cpu_seconds"] for run in on_depth],
            **{f"finetune {name}": [run["cpu_seconds"] for run in group]
               for name, group in tuned.items()},
        },
    }  # fmt: skip


def _shown(runs: list[dict[str, Any]], what: str) -> dict[str, dict[str, Any]]:
    return {
        kind: _spread([run[f"{what}_{kind}"]["accuracy"] for run in runs])
        for kind in ("unseen", "seen")
    }


def _spread(values: list[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (null with one seed) and the values seed by seed."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "std": deviation, "seeds": values}


def as_markdown(results: dict[str, Any]) -> str:
    """Tables 3 and 2 of the paper, in small."""
    chance = results["chance"]
    lines = [
        "| trained with | unseen classes | seen classes | unseen, less \"both\" |",
        "|---|---|---|---|",
        f"| chance | {_percent(chance['unseen'])} | {_percent(chance['seen'])} | |",
    ]  # fmt: skip
    for losses, row in results["zero_shot"].items():
        less = results["unseen_less_both"].get(losses)
        lines.append(
            f"| {_NAMES[losses]} | {_percent(row['unseen'])} | {_percent(row['seen'])} "
            f"| {_percent(less, signed=True) if less else ''} |"
        )
    row = results["depth"]
    lines.append(
        f"| both, and prompts, on depth maps | {_percent(row['unseen'])} "
        f"| {_percent(row['seen'])} | |"
    )
    for what in ("pictures", "depth maps"):
        for name, row in results[f"teacher_{what.replace(' ', '_')}"].items():
            lines.append(
                f"| *teacher on {what}, {name}* | {_percent(row['unseen'])} "
                f"| {_percent(row['seen'])} | |"
            )
    lines += ["", "| labelled objects | from scratch | from CG3D | CG3D less scratch |",
              "|---|---|---|---|"]  # fmt: skip
    for share in SHARES:
        columns = [results["finetune"][f"{start} {share:.0%}"] for start in STARTS]
        gain = results["finetune_cg3d_less_scratch"][f"{share:.0%}"]
        lines.append(
            f"| {share:.0%} ({results['finetune_objects'][f'scratch {share:.0%}']}) "
            f"| {' | '.join(_percent(c) for c in columns)} | {_percent(gain, signed=True)} |"
        )
    return "\n".join(lines) + "\n"


def _percent(spread: dict[str, Any], signed: bool = False) -> str:
    mean = f"{spread['mean'] * 100:{'+' if signed else ''}.1f}"
    return mean + ("" if spread["std"] is None else f" ± {spread['std'] * 100:.1f}")
