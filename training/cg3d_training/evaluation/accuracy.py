"""Counting hits, with a confidence interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Accuracy:
    """How often the right label came among the first k.

    Attributes:
        task: what was asked.
        objects: how many were asked for; labels: how many there were to choose from.
        top1, top3, top5: shares of the clouds.
        top1_interval: 95 % confidence interval of top1, by bootstrap over objects.
        per_class: for each true label, (right at first, how many).
        clouds: how many were named; above `objects` where each was shown several times.
        answers: for each true label, what came first and how often.
    """

    task: str
    objects: int
    labels: int
    top1: float
    top3: float
    top5: float
    top1_interval: tuple[float, float]
    per_class: dict[str, tuple[int, int]]
    clouds: int = 0
    answers: dict[str, dict[str, int]] = field(default_factory=dict)


def accuracy(
    task: str,
    scores: NDArray[np.floating],
    truth: Sequence[int],
    names: Sequence[str],
    accepted: Sequence[Sequence[int]] | None = None,
    objects: Sequence[int] | None = None,
) -> Accuracy:
    """Count hits.

    Args:
        scores: (n, L), larger is better; among equals the smaller index comes first.
        truth: for each cloud the index of its label.
        names: (L) the labels, for the table by class.
        accepted: for each cloud further labels that count as hits too.
        objects: for each cloud which object it shows; None: each another one. The bootstrap draws
            objects, because several clouds of one object say less than as many objects.
    """
    right = np.asarray(truth)
    rank = _ranks(scores, right)
    for i, others in enumerate(accepted or ()):
        for other in others:
            rank[i] = min(rank[i], _ranks(scores[i : i + 1], np.array([other]))[0])
    first = rank == 0
    shown = np.arange(len(right)) if objects is None else np.unique(objects, return_inverse=True)[1]
    low, high = _interval(first, shown)
    answers: dict[str, Counter[str]] = {}
    for true, answer in zip(right, scores.argmax(axis=1), strict=True):
        answers.setdefault(names[true], Counter())[names[answer]] += 1
    return Accuracy(
        task, int(shown.max()) + 1, scores.shape[1],
        float((rank < 1).mean()), float((rank < 3).mean()), float((rank < 5).mean()),
        (low, high),
        {names[c]: (int(first[right == c].sum()), int((right == c).sum()))
         for c in np.unique(right)},
        len(right),
        {true: dict(counts.most_common()) for true, counts in answers.items()},
    )  # fmt: skip


def _ranks(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n) at which place of its row of scores each label stands, from 0."""
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1])[None] < labels[:, None]
    ranks: NDArray[np.int64] = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return ranks


def _interval(first: NDArray[np.bool_], shown: NDArray[np.int64]) -> tuple[float, float]:
    """Of the share of hits, when other objects of the same kind had been drawn."""
    hits, clouds = np.bincount(shown, first), np.bincount(shown)
    draws = np.random.default_rng(0).integers(len(hits), size=(_BOOTSTRAPS, len(hits)))
    shares = hits[draws].sum(axis=1) / clouds[draws].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
