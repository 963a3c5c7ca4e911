"""Evaluation from top to bottom: make clouds, embed them, score, count."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.bank import TextBank
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.data.curated import CuratedNames
from cg3d_training.evaluation.accuracy import Accuracy, accuracy
from cg3d_training.evaluation.subjects import Subject
from cg3d_training.evaluation.tasks import (
    PARTS,
    Clouds,
    Part,
    Question,
    household_tasks,
    tabletop_tasks,
)

_BATCH = 32

#: The task whose embeddings are drawn as a map.
_MAPPED = "ModelNet40 names"


@dataclass(frozen=True)
class Point:
    """One step of a sweep.

    Attributes:
        sweep: what grows ("jitter", "points kept").
        at: how far (the severity, the number of points).
        result: without its classes.
    """

    sweep: str
    at: float
    result: Accuracy


@dataclass(frozen=True)
class Report:
    """Everything that was found out about one subject.

    Attributes:
        name: of the bundle or the run.
        parameters: of its encoder.
        results: of the tasks, in the order of the table.
        sweeps: top-1 over ModelNet40's names as something grows.
        seconds: that it took.
        embeddings: (n, d) of whole ModelNet40 objects as they stand; empty if not asked for.
        classes: (n) theirs.
    """

    name: str
    parameters: int
    results: tuple[Accuracy, ...]
    sweeps: tuple[Point, ...]
    seconds: float
    embeddings: NDArray[np.float32]
    classes: tuple[str, ...]


def evaluate(
    subject: Subject,
    household: Path | None = None,
    vocabulary: Vocabulary | None = None,
    tabletop: Path | None = None,
    parts: Sequence[Part] = PARTS,
    curated: CuratedNames | None = None,
) -> Report:
    """Measure a subject.

    Args:
        household: folder of the household set, which needs the vocabulary too.
        tabletop: folder of the tabletop scans.
        parts: what to ask, where its data are given.
        curated: the hand-written table of names; the whole vocabulary is asked by it too.

    Raises:
        TrainingError: a set is missing or damaged, nothing to ask, or a label that is asked for
            is not among the subject's.
    """
    started = time.monotonic()
    tasks: list[Clouds] = []
    if household is not None and vocabulary is not None:
        tasks += household_tasks(household, vocabulary, parts, subject.record, curated)
    if tabletop is not None and "tabletop" in parts:
        tasks += tabletop_tasks(tabletop)
    tasks = [_answerable(task) for task in tasks]
    if not any(task.questions for task in tasks):
        raise TrainingError(f"nothing to ask {subject.name}: the parts want data or hidden names")

    results, sweeps = [], []
    mapped = np.empty((0, subject.bank.vectors.shape[1]), np.float32)
    classes: tuple[str, ...] = ()
    with tqdm(total=sum(len(t.objects) for t in tasks), unit="cloud", leave=False) as bar:
        for task in tasks:
            bar.set_description(f"{subject.name}: {task.what}")
            embeddings = _embed(subject, task, bar)
            for question in task.questions:
                found = ask(question, task.objects, embeddings, subject.bank)
                if question.sweep is None:
                    results.append(found)
                else:
                    plain = dataclasses.replace(found, per_class={}, answers={})
                    sweeps.append(Point(*question.sweep, plain))
                if question.task == _MAPPED:
                    mapped, classes = embeddings[list(question.rows)], question.truth
    seconds = time.monotonic() - started
    return Report(
        subject.name, subject.parameters, tuple(results), tuple(sweeps), seconds, mapped, classes
    )


def _answerable(task: Clouds) -> Clouds:
    """Without questions that no object of the set is asked."""
    return dataclasses.replace(task, questions=tuple(q for q in task.questions if q.rows))


def _embed(subject: Subject, task: Clouds, bar: tqdm[Any]) -> NDArray[np.float32]:
    rows = []
    for start in range(0, len(task.objects), _BATCH):
        batch = [task.make(i) for i in range(start, min(start + _BATCH, len(task.objects)))]
        rows.append(subject.embed(batch, task.up))
        bar.update(len(batch))
    return np.concatenate(rows)


def ask(
    question: Question, objects: Sequence[int], embeddings: NDArray[np.float32], whole: TextBank
) -> Accuracy:
    """Count how often the names are right.

    Args:
        objects: for every cloud a number of its object.
        embeddings: (clouds, d) float32.
        whole: every label of the subject.

    Raises:
        VocabularyError: a name that is asked for is not among the subject's.
    """
    if question.choices is None:
        bank, names = whole, list(whole.labels)
        truth = [whole.index(name) for name in question.truth]
        accepted = [[whole.index(name) for name in own] for own in question.accepted]
    else:
        bank, names = whole.select(question.choices.values()), list(question.choices)
        truth = [names.index(name) for name in question.truth]
        accepted = [[names.index(name) for name in own] for own in question.accepted]
    rows = list(question.rows)
    scores = bank.score(embeddings[rows])
    shown = [objects[i] for i in rows]
    return accuracy(question.task, scores, truth, names, accepted, shown)
