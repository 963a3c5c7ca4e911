"""Furniture side by side, told apart by the height of its tops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.segmentation import LEAST_POINTS, groups
from cg3d_runtime.scene.voxels import components

#: Tops of one thing differ by less than this from square to square, metres.
_STEP = 0.15

#: Edge of the squares: at least this, metres, and so many distances between points.
_SQUARE, _SQUARE_STEPS = 0.04, 2.5

#: A thing fills at least so much of the plan, m2.
_LEAST_PLAN = 0.04


def steps(
    xyz: NDArray[np.floating], labels: NDArray[np.int64], spacing: float
) -> NDArray[np.int64]:
    """Components cut where the height of what is uppermost jumps.

    A cupboard beside a sideboard touches it, so no gap tells them apart; their tops do.

    Args:
        xyz: (n, 3) metres, z up.
        labels: (n,) components, -1 for none.
        spacing: distance of neighbouring points, metres.

    Returns:
        (n,) int64 parts, -1 for what belongs to none.
    """
    result = np.full(len(xyz), -1, np.int64)
    edge = max(_SQUARE, _SQUARE_STEPS * spacing)
    number = 0
    for rows in groups(labels):
        if len(rows) < 2 * LEAST_POINTS:
            continue
        own = xyz[rows]
        squares = ((own[:, :2] - own[:, :2].min(axis=0)) / edge).astype(np.int64)
        if squares.max(axis=0).prod() * edge**2 < 2 * _LEAST_PLAN:
            continue
        wide = int(squares[:, 1].max()) + 2
        keys, of_point = np.unique(squares[:, 0] * wide + squares[:, 1], return_inverse=True)
        of_point = of_point.reshape(-1)
        top = np.full(len(keys), -np.inf)
        np.maximum.at(top, of_point, own[:, 2])
        pairs = []
        for beside in (1, wide, wide + 1, wide - 1):
            at = np.searchsorted(keys, keys + beside)
            at[at == len(keys)] = 0
            here = np.flatnonzero((keys[at] == keys + beside) & (np.abs(top[at] - top) < _STEP))
            pairs.append(np.stack([here, at[here]], axis=1))
        part = components(len(keys), np.concatenate(pairs))
        large = np.flatnonzero(np.bincount(part) * edge**2 >= _LEAST_PLAN)
        if len(large) < 2:
            continue
        named = np.full(int(part.max()) + 1, -1, np.int64)
        named[large] = number + np.arange(len(large))
        number += len(large)
        result[rows] = named[part][of_point]
    return result
