"""Parts of a labelled set: for learning from little data, and for validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified(
    labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """That share of every class, drawn at random: the nearest number of clouds, at least one.

    Args:
        labels: (n,) classes.
        share: above 0 and at most 1.

    Returns:
        Rows, ascending.
    """
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        count = max(1, int(share * len(own) + 0.5))
        chosen.append(rng.permutation(own)[:count])
    return np.sort(np.concatenate(chosen))


def every_nth(labels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Every int(1 / share)-th row of the list sorted by class, as the official code takes it.

    The share that comes out is the one asked for only where 1 / share is a whole number: 30 %
    gives a third. A small class may be left out.

    Returns:
        Rows, sorted by class.
    """
    step = int(1 / share + 1e-9)  # 1 / 0.1 may fall below 10
    return np.argsort(labels, kind="stable")[::step]
