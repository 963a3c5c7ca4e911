"""What each choice in the recipe of the shipped bundles is worth.

Every variation trains the tiny encoder for the same number of epochs, differs in one thing, and
is evaluated on the household test split: whole, turned about the vertical; from one side; and on
the real tabletop scans. One run each, one seed: two runs of one recipe differ by two points.

    python benchmarks/recipe.py ../shared/data runs/recipe --json benchmarks/recipe.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

#: What it is called, and what differs from `household-tiny`.
VARIATIONS: dict[str, tuple[str, ...]] = {
    "the recipe": (),
    "AdamW in place of Muon": ("optimiser.kind=adamw",),
    "all patches at every step": ("patches.share=0",),
    "no partial views": ("data.partial=0", "data.orders=16"),
    "names by the rule": ("data.names=rule",),
    "no clutter": ("data.clutter=0",),
    "no generated shapes": ("data.generated=0",),
    "temperature 0.1": ("loss.temperature=0.1",),
    "negatives of the batch alone": ("loss.negatives=batch",),
    "attention: PointTransformer tiny": ("encoder=point_transformer_tiny",),
    # These are dear, and compared after fewer epochs: --epochs 5, and --only each of the three.
    "PatchPool tiny, AdamW, all patches": ("optimiser.kind=adamw", "patches.share=0"),
    "PointTransformer small, AdamW, all patches": (
        "encoder=point_transformer_small", "optimiser.kind=adamw", "patches.share=0",
    ),
    "PointMLP-elite, AdamW": (
        "encoder=point_mlp_elite", "encoder_sizes={points: 512}", "optimiser.kind=adamw",
        "patches.share=0",
    ),
}  # fmt: skip

#: Of `cg3d-train evaluate`, by what the table calls them: task, and which of its numbers.
COLUMNS = {
    "ModelNet40 names": ("ModelNet40 names, random yaw", "top1"),
    "one view": ("ModelNet40 names, single partial view", "top1"),
    "all names, top-5": ("whole vocabulary, curated, any true label", "top5"),
    "table": ("tabletop scans", "top1"),
}


def train(data: Path, folder: Path, settings: Sequence[str], epochs: int) -> float:
    """One run; returns its seconds of processor time."""
    overrides = [
        f"data.household={data / 'household'}",
        f"data.clip_text={data / 'clip-text'}",
        f"optimiser.epochs={epochs}",
        *settings,
    ]
    before = os.times()
    _cg3d_train(
        "pretrain", "--config", "household-tiny", "-o", str(folder), "--threads", "1",
        "--cache", str(folder.parent / "cache"), *(x for o in overrides for x in ("--set", o)),
    )  # fmt: skip
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - (before.children_user + before.children_system)
    )


def evaluate(data: Path, folder: Path) -> dict[str, float]:
    """The numbers of `COLUMNS`."""
    out = _cg3d_train(
        "evaluate", str(folder), "--household", str(data / "household"),
        "--clip-text", str(data / "clip-text"), "--tabletop", str(data / "scans/tabletop"),
        "--curated", "--part", "whole", "--part", "rotations", "--part", "views",
        "--part", "tabletop", "--threads", "1", "--json",
    )  # fmt: skip
    rows = {row["task"]: row for row in json.loads(out)[0]["results"]}
    return {name: rows[task][key] for name, (task, key) in COLUMNS.items()}


def _cg3d_train(*arguments: str) -> str:
    command = [sys.executable, "-m", "cg3d_training", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Run all of it, and write what is known after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with household, clip-text and scans")
    parser.add_argument("runs", type=Path, help="folder for the runs; finished ones are kept")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", action="append", help="these variations alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for number, (name, settings) in enumerate(VARIATIONS.items()):
        if options.only and name not in options.only:
            continue
        folder = options.runs / f"{number:02d}"
        seconds = None
        if not (folder / "checkpoint.safetensors").is_file():
            seconds = train(options.data.resolve(), folder, settings, options.epochs)
        row = {"variation": name, "settings": settings, "processor_seconds": seconds}
        results.append(row | evaluate(options.data.resolve(), folder))
        click.echo(json.dumps(results[-1]))
        if options.json:
            record = {"epochs": options.epochs, "runs": results}
            options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
