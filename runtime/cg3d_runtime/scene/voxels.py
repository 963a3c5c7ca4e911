"""Points gathered in cubes, and which cubes touch: the ground that segmentation stands on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

#: Half of the 26 neighbours of a cube; the other half follows by symmetry.
_HALF = tuple(
    (x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)
)

#: Cubes along an axis at most: three of these, with a margin, fit into 63 bits.
_MOST_ALONG = 1 << 20


@dataclass(frozen=True, eq=False)
class Voxels:
    """The occupied cubes of a cloud, in the order of their place.

    Attributes:
        size: of an edge, in the cloud's unit.
        cells: (m, 3) int64, column, row and layer of each, from 1.
        of_point: (n,) int64, the cube of each point.
        counts: (m,) int64, points in each.
        centres: (m, 3) float64, mean of the points in each.
    """

    size: float
    cells: NDArray[np.int64]
    of_point: NDArray[np.int64]
    counts: NDArray[np.int64]
    centres: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cells)


def voxels(xyz: NDArray[np.floating], size: float) -> Voxels:
    """Gather points in cubes.

    Args:
        xyz: (n, 3) finite.
        size: edge of a cube, the unit of `xyz`.

    Raises:
        InputError: the cloud is more than a million cubes long.
    """
    keys = _numbers(xyz, size)
    occupied, of_point, counts = np.unique(keys, return_inverse=True, return_counts=True)
    of_point = of_point.reshape(-1)
    shift = _MOST_ALONG.bit_length() - 1
    place = np.stack(
        [
            occupied >> (2 * shift),
            (occupied >> shift) & (_MOST_ALONG - 1),
            occupied & (_MOST_ALONG - 1),
        ],
        axis=1,
    )
    centres = np.stack([np.bincount(of_point, xyz[:, k], len(occupied)) for k in range(3)], axis=1)
    return Voxels(size, place, of_point, counts, centres / counts[:, None])


def touching(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of cubes with a common face, edge or corner.

    Args:
        cells: (m, 3) int64 from 1, distinct, sorted by column, row, layer, as in `Voxels`.

    Returns:
        (e, 2) int64, every pair once.
    """
    keys = _keys(cells)
    found = []
    for offset in _HALF:
        step = (offset[0] * _MOST_ALONG + offset[1]) * _MOST_ALONG + offset[2]
        at = np.searchsorted(keys, keys + step)
        at[at == len(keys)] = 0
        here = np.flatnonzero(keys[at] == keys + step)
        found.append(np.stack([here, at[here]], axis=1))
    return np.concatenate(found)


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected components of a graph, by hooking roots and halving paths.

    Args:
        count: of nodes.
        pairs: (e, 2) int64 nodes that are connected.

    Returns:
        (count,) int64 numbers from 0, in the order of each component's first node.
    """
    root = np.arange(count)
    a, b = pairs[:, 0], pairs[:, 1]
    while len(a):
        ra, rb = root[a], root[b]
        apart = ra != rb
        if not apart.any():
            break
        a, b, ra, rb = a[apart], b[apart], ra[apart], rb[apart]
        # The larger root points to the smallest root that it meets, so nothing runs in a circle.
        np.minimum.at(root, np.maximum(ra, rb), np.minimum(ra, rb))
        while True:
            above = root[root]
            if np.array_equal(above, root):
                break
            root = above
    return np.unique(root, return_inverse=True)[1].reshape(-1)


def connected(grid: Voxels, keep: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Connected components of the cubes, -1 for those not kept.

    Args:
        grid: cubes.
        keep: (m,) bool, the cubes that take part; None for all.
    """
    chosen = np.arange(len(grid)) if keep is None else np.flatnonzero(keep)
    labels = np.full(len(grid), -1, np.int64)
    labels[chosen] = components(len(chosen), touching(grid.cells[chosen]))
    return labels


def spacing(xyz: NDArray[np.floating]) -> float:
    """The typical distance of neighbouring points on a surface, in the unit of `xyz`.

    Half of the points lie at least as close. Found from how many share a cube, so it takes no
    search for neighbours.
    """
    size = float((xyz.max(axis=0) - xyz.min(axis=0)).max()) / 128
    inside = 1.0
    for _ in range(3):
        _, of_point, counts = np.unique(
            _numbers(xyz, size), return_inverse=True, return_counts=True
        )
        inside = float(np.median(counts[of_point.reshape(-1)]))
        if inside <= 32:
            break
        # A surface fills a cube of twice the edge with four times the points.
        size /= float(np.sqrt(inside / 8))
    return size / float(np.sqrt(inside))


def _numbers(xyz: NDArray[np.floating], size: float) -> NDArray[np.int64]:
    """(n,) the number of the cube of each point; see `voxels`."""
    columns = [np.ascontiguousarray(xyz[:, k]) for k in range(3)]
    low = [column.min() for column in columns]
    span = max(float(column.max() - low[k]) for k, column in enumerate(columns))
    if span / size >= _MOST_ALONG - 3:
        raise InputError(
            f"the scene is {span:.6g} long, a million times the distance of its points: stray "
            "points far away? Crop the cloud first"
        )
    x, y, z = (
        ((column - least) / size).astype(np.int64) + 1
        for column, least in zip(columns, low, strict=True)
    )
    numbers: NDArray[np.int64] = (x * _MOST_ALONG + y) * _MOST_ALONG + z
    return numbers


def _keys(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = (cells[:, 0] * _MOST_ALONG + cells[:, 1]) * _MOST_ALONG + cells[:, 2]
    return keys
