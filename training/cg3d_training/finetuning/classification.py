"""How well a classifier does: overall and by class, with the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_training.evaluation.accuracy import accuracy

#: Mistakes that the table by class names.
_MISTAKES = 3


@dataclass(frozen=True)
class ClassReport:
    """A classifier's answers on a test set.

    Attributes:
        confusion: (C, C) counts, [true class][answer].
        overall: share of the objects that are answered rightly (top 1).
        overall_interval: its 95 % confidence interval, by bootstrap over the objects.
        top3: share with the right class among the first three.
        per_class: share answered rightly, for every class that occurs.
        mean_class: its mean.
    """

    confusion: tuple[tuple[int, ...], ...]
    overall: float
    overall_interval: tuple[float, float]
    top3: float
    per_class: dict[str, float]
    mean_class: float


def class_report(
    logits: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]
) -> ClassReport:
    """Count answers; among equal logits the first class is the answer.

    Args:
        logits: (n, C).
        labels: (n,) true classes.
    """
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    hits = accuracy("", logits, labels.tolist(), classes)
    right = {name: right / count for name, (right, count) in hits.per_class.items()}
    return ClassReport(
        tuple(tuple(row) for row in confusion.tolist()), hits.top1, hits.top1_interval,
        hits.top3, right, float(np.mean(list(right.values()))),
    )  # fmt: skip


def class_table(classes: Sequence[str], confusion: NDArray[np.int64]) -> str:
    """Markdown: for every class that occurs, how often it is right and what it is taken for."""
    lines = ["| class | objects | right | taken for |", "|---|---|---|---|"]
    for c in np.flatnonzero(confusion.sum(axis=1)).tolist():
        row = confusion[c]
        wrong = [w for w in np.argsort(-row, kind="stable").tolist() if w != c and row[w]][
            :_MISTAKES
        ]
        mistakes = ", ".join(f"{classes[w]} {row[w]}" for w in wrong)
        lines.append(f"| {classes[c]} | {row.sum()} | {row[c] / row.sum():.1%} | {mistakes} |")
    return "\n".join(lines)


def confusion_table(classes: Sequence[str], confusion: NDArray[np.int64]) -> str:
    """The whole matrix as text: a row a true class, columns by number, dots for zeros."""
    width = max(3, len(str(confusion.max())) + 1, len(str(len(classes))) + 1)
    name = max(map(len, classes)) + 4
    lines = [" " * name + "".join(f"{c + 1:{width}}" for c in range(len(classes)))]
    for c, row in enumerate(confusion):
        counts = "".join(f"{count or '.':>{width}}" for count in row)
        lines.append(f"{c + 1:3} {classes[c]:{name - 4}}{counts}")
    return "\n".join(lines)
