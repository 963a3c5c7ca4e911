"""Which thing of a new cut of a map is which of the old one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The share of the smaller of two that must be common for them to be the same thing.
_SAME = 0.5


@dataclass(frozen=True)
class Match:
    """What became of an old thing.

    Attributes:
        old: its number.
        new: its number in the new cut.
        kept: the voxels they share, as a share of the larger one: below 1 it grew or shrank.
    """

    old: int
    new: int
    kept: float


def match(old: NDArray[np.int32], new: NDArray[np.int32]) -> tuple[Match, ...]:
    """Pair the things of two cuts, each at most once, those that agree most first.

    Where a thing fell apart the larger part goes on, where several became one the largest does.

    Args:
        old, new: (n,) int32 the thing of each voxel in the two cuts, -1 for none.
    """
    both = (old >= 0) & (new >= 0)
    if not both.any():
        return ()
    # Numbers of old things grow for weeks, so none of them is the place in an array.
    things, row, whole = np.unique(old, return_inverse=True, return_counts=True)
    count = int(new.max()) + 1
    pairs, shared = np.unique(row.reshape(-1)[both] * count + new[both], return_counts=True)
    rows, numbers = np.divmod(pairs, count)
    size_old = whole[rows]
    size_new = np.bincount(new[new >= 0])[numbers]
    overlap = shared / (size_old + size_new - shared)
    enough = shared >= _SAME * np.minimum(size_old, size_new)
    found: list[Match] = []
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    for i in np.argsort(-overlap, kind="stable"):
        a, b = int(things[rows[i]]), int(numbers[i])
        if enough[i] and a not in taken_old and b not in taken_new:
            taken_old.add(a)
            taken_new.add(b)
            found.append(Match(a, b, float(shared[i] / max(size_old[i], size_new[i]))))
    return tuple(found)
