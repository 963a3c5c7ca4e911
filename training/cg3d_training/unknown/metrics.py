"""Measures of scores and of refusals; numpy alone, for `evaluate` and others to call."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DRAWS = 50


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """How far scores are from the share of right answers: the mean over bins of equal width.

    Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", equation 3.

    Args:
        confidence: (n,) scores of the answers, 0 to 1; right: (n,) whether they were right.
        bins: how many; a score of 1 belongs to the last.
    """
    scores, hits = _pair(confidence, right)
    bin_of = np.minimum((scores * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=scores - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(scores))


def chance_calibration_error(confidence: ArrayLike, bins: int = 15, seed: int = 0) -> float:
    """The calibration error that perfectly true scores would show, for so few objects.

    The mean over draws in which every answer is right with the probability that its score says.
    """
    scores = np.asarray(confidence, np.float64)
    rng = np.random.default_rng(seed)
    errors = [
        expected_calibration_error(scores, rng.random(len(scores)) < scores, bins)
        for _ in range(_DRAWS)
    ]
    return float(np.mean(errors))


def rejected_share(known: ArrayLike, unknown: ArrayLike, kept: float = 0.9) -> float:
    """The share of unknown things that is refused where so much of the known ones is kept.

    Args:
        known, unknown: (n,) and (m,) of any measure that is larger for known things.
        kept: the share of known things above the bar.
    """
    bar = np.quantile(np.asarray(known, np.float64), 1 - kept)
    return float((np.asarray(unknown, np.float64) < bar).mean())


def _pair(
    confidence: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if scores.ndim != 1 or scores.shape != hits.shape or not len(scores):
        raise ValueError(
            f"scores {scores.shape} and hits {hits.shape} should be rows of one length"
        )
    if not ((scores >= 0) & (scores <= 1 + 1e-6)).all():
        raise ValueError("scores should lie between 0 and 1")
    return scores, hits
