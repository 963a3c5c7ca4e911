"""Tables 4 and 5: one image tower with several prompts, named by words and probed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.space import TextSpace
from cg3d_training.evaluation.accuracy import Accuracy, accuracy
from cg3d_training.paper.pictures import ImageTower, PictureSet, view_vectors
from cg3d_training.paper.probe import STRENGTH, linear_probe
from cg3d_training.paper.words import TeacherWords, class_vectors
from cg3d_training.paper.zeroshot import class_scores


@dataclass(frozen=True)
class ImageResult:
    """One tower on one set of pictures.

    Attributes:
        method, pictures: row and column.
        words: named by texts (Table 4).
        probe: by logistic regression (Table 5); None where none was asked for.
        trained_on: objects that the probe learnt from.
    """

    method: str
    pictures: str
    words: Accuracy
    probe: Accuracy | None = None
    trained_on: int = 0


def measure_pictures(
    towers: Sequence[ImageTower], words: TeacherWords, templates: Sequence[str], test: PictureSet,
    train: PictureSet | None = None, strength: float = STRENGTH,
) -> list[ImageResult]:  # fmt: skip
    """A column of Table 4, and with pictures to train on of Table 5.

    Args:
        towers: the teacher of `words`, with other prompts each.
        words: its text tower.
        templates: what is said of a class.
        test: what is counted.
        train: of the same classes; None for no probe.
        strength: of the probe, see `linear_probe`.

    Raises:
        TrainingError: the two splits have other classes.
        DependencyError: scikit-learn is not installed.
    """
    if train is not None and train.classes != test.classes:
        raise TrainingError(f"{test.name}: its two splits have other classes")
    space = TextSpace(np.zeros(words.dim, np.float32))
    texts = class_vectors(words, space, test.classes, templates)
    shown = view_vectors(towers, test)
    learnt = view_vectors(towers, train) if train is not None else [None] * len(towers)
    results = []
    for tower, vectors, taught in zip(towers, shown, learnt, strict=True):
        named = accuracy(
            test.name, class_scores(vectors, texts), test.labels.tolist(), test.classes
        )
        probe, count = None, 0
        if train is not None and taught is not None:
            count = len(taught)
            probe = linear_probe(
                test.name, _flat(taught), train.labels, _flat(vectors), test.labels, test.classes,
                strength,
            )  # fmt: skip
        results.append(ImageResult(tower.name, test.name, named, probe, count))
    return results


def image_table(results: Sequence[ImageResult], probed: bool) -> str:
    """Markdown: a row a tower, a column a set of pictures; accuracies by words, or by probe."""
    columns = list(dict.fromkeys(r.pictures for r in results))
    head = "linear probe (Table 5)" if probed else "by words (Table 4)"
    lines = [f"| {head} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for method in dict.fromkeys(r.method for r in results):
        own = {r.pictures: r.probe if probed else r.words for r in results if r.method == method}
        cells = [_cell(own.get(column)) for column in columns]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(hits: Accuracy | None) -> str:
    if hits is None:
        return "-"
    low, high = hits.top1_interval
    return f"{hits.top1:.1%} ({low:.1%} to {high:.1%})"


def _flat(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, views * d): the views of an object side by side."""
    return vectors.reshape(len(vectors), -1)
