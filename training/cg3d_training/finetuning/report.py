"""What fine-tuning came to: results of the seeds, their mean and spread, as JSON and as text."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from cg3d_training.finetuning.classification import ClassReport, class_table, confusion_table
from cg3d_training.finetuning.config import FinetuneConfig

#: What is averaged over the seeds.
_MEASURES = ("overall", "mean_class", "top3")


@dataclass(frozen=True)
class ValidationBest:
    """The epoch that did best on the validation share, beside the last one.

    Attributes:
        epoch: the first of equals, from 0.
        validation: its accuracy on the validation share.
        test: its answers on the test set, without voting.
    """

    epoch: int
    validation: float
    test: ClassReport


@dataclass(frozen=True)
class SeedResult:
    """One run, after its last epoch.

    Attributes:
        seed: of everything.
        objects: how many it learnt from.
        plain: on the test set.
        voted: with voting, if the recipe asks for it.
        best: if the recipe holds out a validation share.
    """

    seed: int
    objects: int
    plain: ClassReport
    voted: ClassReport | None
    best: ValidationBest | None


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) over seeds; None where there is one seed."""

    mean: float
    std: float | None

    def __str__(self) -> str:
        return f"{self.mean:.2%}" + ("" if self.std is None else f" ± {self.std * 100:.2f}")


@dataclass(frozen=True)
class FinetuneResult:
    """All runs of a recipe.

    Attributes:
        classes: names.
        seeds: one result a seed.
    """

    classes: tuple[str, ...]
    seeds: tuple[SeedResult, ...]

    def spread(self, measure: str, voted: bool = False) -> Spread:
        """Mean and deviation of "overall", "mean_class" or "top3" over the seeds."""
        reports = [s.voted if voted else s.plain for s in self.seeds]
        values = [getattr(report, measure) for report in reports]
        return Spread(
            statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None
        )

    def as_dict(self, config: FinetuneConfig) -> dict[str, Any]:
        """For JSON: the recipe, mean and deviation, and every seed's own results."""
        kinds = {"plain": False} | ({"voted": True} if self.seeds[0].voted else {})
        over = {
            kind: {m: dataclasses.asdict(self.spread(m, voted)) for m in _MEASURES}
            for kind, voted in kinds.items()
        }
        recipe = dataclasses.asdict(config)
        return {"recipe": recipe, "over_seeds": over, **dataclasses.asdict(self)}


def as_markdown(result: FinetuneResult, config: FinetuneConfig) -> str:
    """Tables of the seeds, the classes and the confusion matrix, plain answers of all seeds."""
    confusion = np.sum([seed.plain.confusion for seed in result.seeds], axis=0)
    start = config.start or "scratch"
    return "\n".join([
        f"# {config.encoder} on {config.data.set}, from {start}", "",
        f"{config.data.share:.0%} of the training split ({config.data.choice}), "
        f"{config.optimiser.epochs} epochs; the weights after the last epoch.", "",
        seed_table(result), "",
        f"## By class, over {len(result.seeds)} seeds, without voting", "",
        class_table(result.classes, confusion), "",
        "## Confusion: rows are true classes, columns answers", "",
        "```text", confusion_table(result.classes, confusion), "```", "",
    ])  # fmt: skip


def seed_table(result: FinetuneResult) -> str:
    """Markdown: a line a seed, then mean and standard deviation."""
    lines = [
        "| seed | objects | overall | mean per class | top 3 | voted | best on validation |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed in result.seeds:
        best = seed.best and f"epoch {seed.best.epoch}: {seed.best.test.overall:.2%}"
        voted = seed.voted and f"{seed.voted.overall:.2%}"
        plain = seed.plain
        lines.append(
            f"| {seed.seed} | {seed.objects} | {plain.overall:.2%} | {plain.mean_class:.2%} "
            f"| {plain.top3:.2%} | {voted or '-'} | {best or '-'} |"
        )
    means = " | ".join(str(result.spread(measure)) for measure in _MEASURES)
    voted = str(result.spread("overall", voted=True)) if result.seeds[0].voted else "-"
    lines.append(f"| mean ± std | | {means} | {voted} | |")
    return "\n".join(lines)
