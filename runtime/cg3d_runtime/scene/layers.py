"""Layers of points along a plane: its fullest one, and flat things that hang before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.planes import Plane
from cg3d_runtime.scene.segmentation import LEAST_POINTS, groups
from cg3d_runtime.scene.voxels import Voxels, connected, voxels

#: The noise that a plane may have, metres, at least and at most.
_LEAST_NOISE, _MOST_NOISE = 0.006, 0.03

#: Thickness of the layers that a plane is sought in, metres.
_LAYER = 0.01

#: Points that the normal of a plane is fitted to, at most and at least, and the cosine by which it
#: may turn.
_FITTED, _LEAST_FITTED, _SAME_WAY = 8192, 100, 0.995

#: What hangs on a wall stands out less than this, metres; what goes on to the second stands before
#: the wall.
_HUNG, _BEFORE = 0.15, 0.3

#: The longest side of what hangs, metres: longer strips are of the building.
_LONGEST = 3.0


def inside(
    plane: Plane, xyz: NDArray[np.floating], grid: Voxels, margin: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Rows of the points in the box of a plane, widened by a margin (3,) on every side.

    Args:
        plane: whose box it is.
        xyz: (n, 3) the points of the grid.
        grid: cubes; those far away are passed over without a look at their points.
        margin: metres.
    """
    low, high = plane.low - margin, plane.high + margin
    # A cube's centre is the mean of its points, none of which is further away than its edge.
    near = np.asarray((grid.centres > low - grid.size).all(axis=1))
    near &= (grid.centres < high + grid.size).all(axis=1)
    rows = np.flatnonzero(near[grid.of_point])
    some = xyz[rows]
    return np.asarray(rows[((some > low) & (some < high)).all(axis=1)])


def about(plane: Plane, xyz: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
    """Distances of points from the fullest layer along a plane, and its thickness, metres.

    The layer is the mode of the distances: a picture on a wall, or the wall's other side, would
    pull a mean or a median away. The normal is fitted again to that layer: the plane's own is of
    cubes, and a little off is centimetres after ten metres.
    """
    local = xyz - plane.low.astype(xyz.dtype)
    off = local @ plane.normal.astype(xyz.dtype)
    inside = _fullest(off)
    some = inside[:: max(1, len(inside) // _FITTED)]
    if plane.kind == "wall" and len(some) >= _LEAST_FITTED:
        centred = (local[some] - local[some].mean(axis=0)).astype(np.float64)
        normal = np.linalg.eigh(centred.T @ centred)[1][:, 0]
        if abs(normal @ plane.normal) > _SAME_WAY:
            normal *= np.sign(normal @ plane.normal)
            off = local @ normal.astype(xyz.dtype)
            inside = _fullest(off)
    off = off - np.median(off[inside])
    near = np.abs(off[np.abs(off) < _MOST_NOISE])
    return off, float(np.clip(4.45 * np.median(near), _LEAST_NOISE, _MOST_NOISE))


def _fullest(off: NDArray[np.floating]) -> NDArray[np.int64]:
    """Rows in the fullest layer and in those beside it."""
    bins = ((off - off.min()) / _LAYER).astype(np.int64)
    fullest = int(np.bincount(bins).argmax())
    return np.flatnonzero(np.abs(bins - fullest) <= 1)


def hung(
    walls: list[Plane], xyz: NDArray[np.floating], grid: Voxels, width: float
) -> NDArray[np.int32]:
    """What hangs on walls: parts that stand out a little and end there.

    Args:
        walls: planes.
        xyz: (n, 3) metres, z up.
        grid: the cubes that the planes were sought in.
        width: edge of the cubes that touch or do not, metres.

    Returns:
        (n,) int32 parts, -1 for all else.
    """
    labels = np.full(len(xyz), -1, np.int32)
    number = 0
    for wall in walls:
        members = inside(wall, xyz, grid, np.abs(wall.normal) * _BEFORE + grid.size)
        if len(members) < LEAST_POINTS:
            continue
        off, thick = about(wall, xyz[members])
        for side in (1, -1):
            out = (side * off > thick) & (side * off < _BEFORE)
            rows, far = members[out], (side * off)[out]
            if len(rows) < LEAST_POINTS:
                continue
            fine = voxels(xyz[rows], width)
            for part in groups(connected(fine)[fine.of_point]):
                if len(part) < LEAST_POINTS or far[part].max() > _HUNG:
                    continue
                if np.ptp(xyz[rows[part]], axis=0).max() > _LONGEST:
                    continue
                labels[rows[part]] = number
                number += 1
    return labels
