"""How well a bundle names objects: the household test split and real scans of tabletops.

Everything goes through `Recognizer`, so what is measured is what a robot gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import Up
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.data.curated import CuratedNames
from cg3d_training.data.household import HouseholdSet, load_household
from cg3d_training.data.names import NameMatcher, name_rules
from cg3d_training.data.tabletop import scanned_objects

#: ModelNet40's class names, as the benchmark writes them.
MODELNET40 = (
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser "
    "flower_pot glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano "
    "plant radio range_hood sink sofa stairs stool table tent toilet tv_stand vase wardrobe xbox"
).split()

#: ScanObjectNN's.
SCANOBJECTNN = (
    "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet".split()
)

_BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Accuracy:
    """How often the right label came among the first k.

    Attributes:
        task: what was asked.
        objects: how many were asked for; labels: how many there were to choose from.
        top1, top3, top5: shares of the objects.
        top1_interval: 95 % confidence interval of top1, by bootstrap over objects.
        per_class: for each true label, (right at first, how many).
    """

    task: str
    objects: int
    labels: int
    top1: float
    top3: float
    top5: float
    top1_interval: tuple[float, float]
    per_class: dict[str, tuple[int, int]]


def accuracy(
    task: str,
    scores: NDArray[np.float32],
    truth: Sequence[int],
    names: Sequence[str],
    accepted: Sequence[Sequence[int]] | None = None,
) -> Accuracy:
    """Count hits.

    Args:
        scores: (n, L), larger is better; among equals the smaller index comes first.
        truth: for each object the index of its label.
        names: (L) the labels, for the table by class.
        accepted: for each object further labels that count as hits too.
    """
    right = np.asarray(truth)
    rank = _ranks(scores, right)
    for i, others in enumerate(accepted or ()):
        for other in others:
            rank[i] = min(rank[i], _ranks(scores[i : i + 1], np.array([other]))[0])
    first = rank == 0
    draws = np.random.default_rng(0).integers(len(first), size=(_BOOTSTRAPS, len(first)))
    low, high = np.quantile(first[draws].mean(axis=1), [0.025, 0.975])
    return Accuracy(
        task, len(right), scores.shape[1],
        float((rank < 1).mean()), float((rank < 3).mean()), float((rank < 5).mean()),
        (float(low), float(high)),
        {names[c]: (int(first[right == c].sum()), int((right == c).sum()))
         for c in np.unique(right)},
    )  # fmt: skip


def _ranks(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n) at which place of its row of scores each label stands, from 0."""
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1])[None] < labels[:, None]
    ranks: NDArray[np.int64] = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return ranks


def evaluate_household(
    recognizer: Recognizer,
    folder: Path,
    vocabulary: Vocabulary,
    curated: CuratedNames | None = None,
) -> list[Accuracy]:
    """The test split over ModelNet40's names, ScanObjectNN's names and the whole vocabulary.

    With `curated`, the whole vocabulary is asked twice, over the objects to keep (and those of low
    use) that the hand-written table gives a label: a hit is the first label alone ("curated"), and
    any label that is true of the object ("curated, any true label").

    Objects are asked for by their benchmark class where they have one, and over the whole
    vocabulary by the label that the name rule gives their name (`cg3d-train names` shows it).

    Raises:
        TrainingError: the set is missing, or the bundle does not know a label that is asked for.
    """
    matcher = NameMatcher(vocabulary)
    test = load_household(folder, matcher, curated).where(lambda o: o.split == "test")
    embeddings = _embed(recognizer, [test.points(i) for i in range(len(test))], "y", "test split")
    whole = recognizer.bank
    results = []
    for task, classes, attribute in (
        ("ModelNet40 names", MODELNET40, "modelnet40"),
        ("ScanObjectNN names", SCANOBJECTNN, "scanobjectnn"),
    ):
        bank = whole.select([_class_label(c, matcher) for c in classes])
        picked = [i for i, o in enumerate(test.objects) if getattr(o, attribute) in classes]
        truth = [classes.index(getattr(test.objects[i], attribute)) for i in picked]
        results.append(accuracy(task, bank.score(embeddings[picked]), truth, classes))
    ask = curated_vocabulary if curated else _whole_vocabulary
    return results + ask(test, whole, vocabulary, embeddings)


def _class_label(class_name: str, matcher: NameMatcher) -> str:
    row = matcher.benchmark_row(class_name)
    if row is None:
        raise TrainingError(f"the vocabulary has no label for the class {class_name!r}")
    return matcher.labels[row]


def _whole_vocabulary(
    test: HouseholdSet, bank: TextBank, vocabulary: Vocabulary, embeddings: NDArray[np.float32]
) -> list[Accuracy]:
    named = [(i, o.name_row) for i, o in enumerate(test.objects) if o.name_row is not None]
    truth = [bank.index(vocabulary.labels[row]) for _, row in named]
    scores = bank.score(embeddings[[i for i, _ in named]])
    return [accuracy("whole vocabulary", scores, truth, bank.labels)]


def curated_vocabulary(
    test: HouseholdSet, bank: TextBank, vocabulary: Vocabulary, embeddings: NDArray[np.float32]
) -> list[Accuracy]:
    """Objects named by the hand-written table, over all labels of a bank.

    Args:
        test: the objects; those without a label, clutter and the useless are left out.
        bank: knows every label of the table.
        vocabulary: the table's.
        embeddings: (len(test), d).

    Returns:
        Two results: a hit is the first label alone, and any label that is true of the object.
    """
    named = [i for i, o in enumerate(test.objects) if o.rows and o.use in ("keep", "low")]
    accepted = [[bank.index(vocabulary.labels[r]) for r in test.objects[i].rows] for i in named]
    truth = [labels[0] for labels in accepted]
    scores = bank.score(embeddings[named])
    task = "whole vocabulary, curated"
    return [
        accuracy(task, scores, truth, bank.labels),
        accuracy(f"{task}, any true label", scores, truth, bank.labels, accepted),
    ]


def evaluate_tabletop(recognizer: Recognizer, folder: Path) -> Accuracy:
    """Real objects on tables, seen from one side, over the classes of their annotation.

    Raises:
        TrainingError: the set is missing or damaged.
    """
    words = name_rules().tabletop_classes
    objects = list(scanned_objects(folder))
    unknown = {o.name for o in objects} - set(words)
    if unknown:
        raise TrainingError(f"{folder}: no label is known for the class {min(unknown)!r}")
    labels = list(dict.fromkeys(words.values()))
    embeddings = _embed(recognizer, [o.points for o in objects], "z", "tabletop")
    scores = recognizer.bank.select(labels).score(embeddings)
    truth = [labels.index(words[o.name]) for o in objects]
    return accuracy("tabletop scans", scores, truth, labels)


def _embed(
    recognizer: Recognizer, clouds: Sequence[NDArray[np.float32]], up: Up, what: str
) -> NDArray[np.float32]:
    steps = range(0, len(clouds), 32)
    return np.concatenate(
        [recognizer.embed(list(clouds[i : i + 32]), up) for i in tqdm(steps, desc=what)]
    )
