"""Fitting a `Calibration` to objects that have names and to clouds that have none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.calibration import SHARES, Calibration

#: Numbers of labels that are measured beside the whole vocabulary.
SIZES = (3, 5, 10, 20, 40, 80, 160)

#: Draws of labels for each number of them.
_DRAWS = 12

#: The direction is judged on kinds of things that it was not fitted to, in so many parts.
_FOLDS = 5

#: Weight of the squared length of the direction; from 1e-4 to 1e-2 little changes.
_RIDGE = 3e-4

#: Fewer objects than this make no table of hundredths.
_FEWEST = 50

_SCALES = (1.0, 200.0)


@dataclass(frozen=True)
class Known:
    """Clouds of things that have names.

    Attributes:
        embeddings: (n, d) float32 unit rows.
        rows: for each the rows of the bank that name it, at least one.
        kin: for each what it shares with others of its kind; kin are never split.
    """

    embeddings: NDArray[np.float32]
    rows: tuple[tuple[int, ...], ...]
    kin: tuple[str, ...]

    def among(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n, len(labels)) where a label, given as a row of the bank, names an object."""
        columns = {int(row): i for i, row in enumerate(labels)}
        named = np.zeros((len(self.rows), len(labels)), np.bool_)
        for i, rows in enumerate(self.rows):
            named[i, [columns[row] for row in rows if row in columns]] = True
        return named


def fit_calibration(
    known: Known, unknown: Mapping[str, NDArray[np.float32]], bank: TextBank, seed: int = 0
) -> Calibration:
    """Fit the direction, then for every number of labels the scale, the weight and the table.

    Args:
        known: with rows of `bank`.
        unknown: embeddings (n, d) of clouds without a name, by kind; each kind counts alike.
        bank: the whole vocabulary.
        seed: of the labels that are drawn.

    Raises:
        TrainingError: too few objects.
    """
    without = np.concatenate(
        [np.empty((0, known.embeddings.shape[1]), np.float32), *unknown.values()]
    )
    if len(known.embeddings) < _FEWEST or len(without) < _FEWEST:
        raise TrainingError(
            f"a calibration needs {_FEWEST} known and {_FEWEST} unknown clouds, not "
            f"{len(known.embeddings)} and {len(without)}"
        )
    weight = np.concatenate([np.full(len(u), 1 / len(u)) for u in unknown.values()])
    direction = _direction(known.embeddings, without, weight)
    folds = np.array([_fold(kin) for kin in known.kin]), np.arange(len(without)) % _FOLDS
    along_known, along_unknown = np.empty(len(known.embeddings)), np.empty(len(without))
    for fold in range(_FOLDS):
        mine, theirs = folds[0] == fold, folds[1] == fold
        part = _direction(known.embeddings[~mine], without[~theirs], weight[~theirs])
        along_known[mine] = known.embeddings[mine] @ part
        along_unknown[theirs] = without[theirs] @ part

    cosines = known.embeddings @ bank.vectors.T, without @ bank.vectors.T
    occurring = np.unique([row for rows in known.rows for row in rows])
    rng = np.random.default_rng(seed)
    sizes = (*(s for s in SIZES if s < min(len(occurring), len(bank))), len(bank))
    levels = []
    for size in sizes:
        whole = size == len(bank)
        draws = [
            np.arange(size) if whole else np.sort(rng.permutation(occurring)[:size])
            for _ in range(1 if whole else _DRAWS)
        ]
        levels.append(_level(draws, known, cosines, (along_known, along_unknown), weight))
    return Calibration(
        direction.astype(np.float32), sizes,
        tuple(level[0] for level in levels), tuple(level[1] for level in levels),
        np.stack([level[2] for level in levels]).astype(np.float32),
    )  # fmt: skip


def _level(
    draws: Sequence[NDArray[np.int64]],
    known: Known,
    cosines: tuple[NDArray[np.floating], NDArray[np.floating]],
    along: tuple[NDArray[np.float64], NDArray[np.float64]],
    weight: NDArray[np.float64],
) -> tuple[float, float, NDArray[np.float64]]:
    """Logit scale, cosine weight and quantiles for one number of labels."""
    asked, parts = [], []
    for labels in draws:
        named = known.among(labels)
        mine = named.any(axis=1)
        own = cosines[0][:, labels]
        asked.append((own[mine], named[mine]))
        # What has another name is unknown here too, and counts as much as all that has none.
        other = np.stack([along[0], own.max(axis=1)], axis=1)
        none = np.stack([along[1], cosines[1][:, labels].max(axis=1)], axis=1)
        parts.append((other[mine], other[~mine], none))
    positive = np.concatenate([p[0] for p in parts])
    others = np.concatenate([p[1] for p in parts])
    negative = np.concatenate([others, *(p[2] for p in parts)])
    shares = np.concatenate([np.full(len(others), 1 / max(1, len(others))),
                             np.tile(weight / weight.sum() / len(parts), len(parts))])  # fmt: skip
    along_factor, cosine_factor = _logistic(positive, negative, shares, 1e-6)
    if along_factor <= 0:  # the direction says nothing about these; then the cosine alone does
        along_factor = 1e-3
    cosine_weight = float(np.clip(cosine_factor / along_factor, 0.0, 1e3))
    evidence = positive[:, 0] + cosine_weight * positive[:, 1]
    return _scale(asked), cosine_weight, np.quantile(evidence, SHARES)


def _scale(asked: Sequence[tuple[NDArray[np.floating], NDArray[np.bool_]]]) -> float:
    """The scale with the smallest negative log likelihood of a right name, by golden section."""

    def loss(log_scale: float) -> float:
        total = 0.0
        for cosines, named in asked:
            logits = np.exp(log_scale) * (cosines - cosines.max(axis=1, keepdims=True))
            odds = np.exp(logits)
            right = (odds * named).sum(axis=1) / odds.sum(axis=1)
            total -= float(np.log(right + 1e-12).sum())
        return total

    low, high = np.log(_SCALES)
    ratio = (np.sqrt(5) - 1) / 2
    while high - low > 1e-3:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def _direction(
    known: NDArray[np.float32], unknown: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    return _logistic(known, unknown, weight, _RIDGE)


def _logistic(
    known: NDArray[np.floating],
    unknown: NDArray[np.floating],
    weight: NDArray[np.float64],
    ridge: float,
) -> NDArray[np.float64]:
    """(d,) coefficients of a logistic regression by Newton's method, both sides of equal weight."""
    x = np.concatenate([known, unknown]).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    target = np.arange(len(x)) < len(known)
    share = np.concatenate([np.full(len(known), 0.5 / len(known)), 0.5 * weight / weight.sum()])
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 1e-9
    w = np.zeros(x.shape[1])
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (share * (p - target)) + penalty * w
        curved = (x * (share * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        w -= np.linalg.solve(curved, gradient)
    return w[:-1]


def _fold(kin: str) -> int:
    return hashlib.sha256(f"fold:{kin.lower()}".encode()).digest()[0] % _FOLDS
