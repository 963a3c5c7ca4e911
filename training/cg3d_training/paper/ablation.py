"""Runs on triplets with other losses collected into Table 3: zero-shot accuracy of each."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import Checkpoint, load_checkpoint
from cg3d_training.config import from_dict
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.evaluation.subjects import find_checkpoint
from cg3d_training.finetuning.report import Spread
from cg3d_training.paper.contenders import EncoderContender
from cg3d_training.paper.protocol import Protocol
from cg3d_training.paper.reported import TABLE_3
from cg3d_training.paper.words import TeacherWords
from cg3d_training.paper.zeroshot import zero_shot
from cg3d_training.teachers import load_teacher
from cg3d_training.triplets.config import TeacherConfig, TripletConfig


@dataclass(frozen=True)
class Ablated:
    """One run.

    Attributes:
        losses: whether it had the points-image term, the points-text term, and prompts.
        seed: of the run.
        top1: share named rightly.
        source: the folder.
    """

    losses: tuple[bool, bool, bool]
    seed: int
    top1: float
    source: Path


def measure_ablation(
    folders: Sequence[Path], clouds: LabelledClouds, templates: Sequence[str],
    protocol: Protocol, device: str = "cpu",
) -> list[Ablated]:  # fmt: skip
    """Zero-shot accuracy of every run, with the texts of the teacher that its recipe names.

    Args:
        folders: runs of `cg3d-train pretrain-triplets`, or folders of such runs.
        clouds: the test split.
        templates, protocol: see `zero_shot`.
        device: for torch.

    Raises:
        TrainingError: a folder holds no such run, its teacher cannot be loaded, or the same seed
            of the same losses comes twice.
    """
    runs = _once(folders)
    teachers: dict[TeacherConfig, TeacherWords] = {}
    results = []
    for folder, checkpoint, recipe in runs:
        its = recipe.teacher
        if its not in teachers:
            teacher = load_teacher(its.kind, its.model, its.weights).to(device)
            teachers[its] = TeacherWords(teacher, Path(its.model).name, device)
        contender = EncoderContender(checkpoint, folder.name, teachers[its], device)
        hits = zero_shot(contender, "", clouds, templates, protocol).hits
        results.append(Ablated(_losses(recipe), recipe.seed, hits.top1, folder))
    return results


def _losses(recipe: TripletConfig) -> tuple[bool, bool, bool]:
    return recipe.loss.images, recipe.loss.texts, recipe.prompts.tokens > 0


def _once(folders: Sequence[Path]) -> list[tuple[Path, Checkpoint, TripletConfig]]:
    """The runs with their recipes, before any is measured."""
    runs = []
    seen: dict[tuple[tuple[bool, bool, bool], int], Path] = {}
    for folder, checkpoint in _runs(folders):
        recipe = from_dict(TripletConfig, checkpoint.recipe, f"{folder}: its recipe")
        key = (_losses(recipe), recipe.seed)
        if key in seen:
            raise TrainingError(
                f"seed {recipe.seed} of the same losses is in {seen[key]} and in {folder} (on "
                f"{recipe.data.shards}); leave one out"
            )
        seen[key] = folder
        runs.append((folder, checkpoint, recipe))
    return runs


def _runs(folders: Sequence[Path]) -> list[tuple[Path, Checkpoint]]:
    found = []
    for folder in folders:
        own = find_checkpoint(folder)
        files = [own] if own else sorted(folder.rglob("checkpoint.safetensors"))
        opened = [(file.parent, load_checkpoint(file)) for file in files]
        opened = [(place, c) for place, c in opened if "loss" in c.recipe and "prompts" in c.recipe]
        if not opened:
            raise TrainingError(
                f"{folder}: no finished run of `cg3d-train pretrain-triplets` in or below it"
            )
        found += opened
    return found


def table_3(results: Sequence[Ablated], title: str) -> str:
    """Markdown in the rows of the paper; other combinations below them."""
    lines = [
        f"| points-image | points-text | prompts | {title} | runs | the paper (ScanObjectNN) |",
        "|---|---|---|---|---|---|",
    ]
    for losses in dict.fromkeys((*TABLE_3, *(r.losses for r in results))):
        values = [r.top1 for r in results if r.losses == losses]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        mean = str(Spread(statistics.mean(values), deviation)) if values else "-"
        marks = " | ".join("yes" if on else "-" for on in losses)
        lines.append(f"| {marks} | {mean} | {len(values)} | {TABLE_3.get(losses, '-')} |")
    return "\n".join(lines)
