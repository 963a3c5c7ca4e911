"""The default segmentation: planes out, what touches stays together, in several readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.kmeans import kmeans
from cg3d_runtime.scene.layers import about, hung, inside
from cg3d_runtime.scene.planes import Plane, planes
from cg3d_runtime.scene.segmentation import LEAST_POINTS, Partition, groups
from cg3d_runtime.scene.steps import steps
from cg3d_runtime.scene.voxels import Voxels, connected, spacing, voxels

#: A wall fills at least this share of the floor's area, within bounds in m2: a curtain of a large
#: hall is as large as the wall of a small room. It also has this share of the height of the room.
_WALL_SHARE, _WALL_AREA, _WALL_HEIGHT = 0.1, (3.0, 10.0), 0.6

#: A floor or ceiling fills at least this share of the floor plan.
_FLOOR_SHARE = 0.15

#: Layers that may belong to one plane, and the share of its points that each has to hold.
_SIDES, _SIDE_SHARE = 3, 0.3

#: Floor and ceiling are at least so far apart, metres.
_ROOM_HEIGHT = 1.8

#: A plane with more than this share of the points beyond it bounds no room.
_BEYOND_SHARE = 0.1

#: |z| of the normal of a top that things stand on.
_LEVEL = 0.9

#: What stands on a top is lower than this, metres.
_REACH = 1.0

#: What stands on a top comes so near to it, metres.
_FOOT = 0.1

#: Cubes for components, in distances between points: close, usual, wide.
_CLOSE, _USUAL, _WIDE = 1.6, 2.5, 4.5

#: Only what is at least so long, metres, is also tried in pieces.
_LONG = 0.5

#: Ways that cut long components, and in how many pieces.
_PIECES = {"halves": 2, "thirds": 3, "quarters": 4}

#: How likely a part of each kind is a whole thing, against one that stands free. A judgement of
#: geometry, not fitted: what stands free is one thing, what is left of it or cut out seldom is.
_TRUST = {
    "usual": 1.0,
    "close": 1.0,
    "wide": 1.0,
    "standing": 0.5,
    "carried": 0.5,
    "hung": 0.5,
    "steps": 0.5,
    "halves": 0.35,
    "thirds": 0.25,
    "quarters": 0.2,
    "structure": 0.5,
}


@dataclass(frozen=True)
class ObjectSegmentation:
    """Objects in rooms and on tables, without their number being known.

    Floor, ceiling and walls are found as planes. What is left falls into components at three
    widths of gap; what stands on a top is taken off it; what touches is cut where its tops jump;
    what is long is also cut in two, three and four. What stands out from a wall a little hangs
    there. Each way gives one partition, and recognition decides between them.
    """

    def __call__(self, xyz: NDArray[np.floating]) -> tuple[Partition, ...]:
        """Several partitions; see `Segmentation`."""
        grid = voxels(xyz, 4.0 * spacing(xyz))
        found = planes(grid, xyz)
        walls = building_planes(xyz, found)[1]
        structure = _structure(xyz, grid, found)
        rest = np.flatnonzero(structure < 0)
        building = Partition("structure", structure, _TRUST["structure"])
        inner = xyz[rest]
        if len(rest) < LEAST_POINTS or not (inner != inner[0]).any():
            return (building,)
        step = spacing(inner)
        ways = {}
        for name, width in (("usual", _USUAL), ("close", _CLOSE), ("wide", _WIDE)):
            fine = voxels(inner, width * step)
            ways[name] = connected(fine)[fine.of_point]
        tops = [plane for plane in found if plane.kind == "flat"]
        ways["standing"], ways["carried"] = _standing(inner, grid.of_point[rest], tops, grid, step)
        ways["steps"] = steps(inner, ways["close"], step)
        whole = _spread(ways["close"], rest, len(xyz))
        ways.update(_cut(inner, ways["close"], step))
        return (
            *(
                Partition(
                    name,
                    _spread(labels, rest, len(xyz)),
                    _TRUST[name],
                    whole if name in _PIECES else None,
                )
                for name, labels in ways.items()
            ),
            Partition("hung", hung(walls, xyz, grid, _USUAL * step), _TRUST["hung"]),
            building,
        )


def building_planes(
    xyz: NDArray[np.floating], found: tuple[Plane, ...]
) -> tuple[list[Plane], list[Plane], float, float]:
    """Which planes are floors or ceilings, which are walls; the lowest and the highest z.

    Args:
        xyz: (n, 3) the points of the scene, metres, z up.
        found: its planes.
    """
    flats = [p for p in found if p.kind == "flat"]
    plan = max((p.area for p in flats), default=0.0)
    floors = [p for p in flats if p.area >= _FLOOR_SHARE * plan]
    heights = [p.offset for p in floors if p.area >= 0.5 * plan]
    low, high = np.quantile(xyz[:, 2], [0.001, 0.999])
    if len(heights) > 1 and max(heights) - min(heights) > _ROOM_HEIGHT:
        low, high = min(heights), max(heights)
    least = float(np.clip(_WALL_SHARE * plan, *_WALL_AREA))
    walls = [
        p
        for p in found
        if p.kind == "wall"
        and p.area >= least
        and p.high[2] - p.low[2] >= _WALL_HEIGHT * (high - low)
    ]
    return floors, walls, float(low), float(high)


def _structure(
    xyz: NDArray[np.floating], grid: Voxels, found: tuple[Plane, ...]
) -> NDArray[np.int32]:
    """(n,) which plane of the building each point belongs to, -1 for none."""
    labels = np.full(len(xyz), -1, np.int32)
    floors, walls, low, high = building_planes(xyz, found)
    number = 0
    for plane in floors + walls:
        # Cubes at its edges and under furniture belong to no plane, but their points may.
        members = inside(plane, xyz, grid, np.full(3, grid.size))
        members = members[labels[members] < 0]
        # A wall has two sides.
        for _ in range(_SIDES if plane.kind == "wall" else 1):
            if len(members) == 0:
                break
            off, width = about(plane, xyz[members])
            close = np.abs(off) <= width
            if close.mean() < _SIDE_SHARE:
                break
            labels[members[close]] = number
            number += 1
            members = members[~close]
    # What lies beyond the floor or the ceiling is no thing in the room.
    for plane in floors:
        if abs(plane.offset - low) < 0.05 or abs(plane.offset - high) < 0.05:
            side = -1.0 if plane.offset < (low + high) / 2 else 1.0
            beyond = np.flatnonzero(side * (xyz[:, 2] - plane.offset) > 0)
            if len(beyond) < _BEYOND_SHARE * len(xyz):
                labels[beyond[labels[beyond] < 0]] = number
                number += 1
    return labels


def _standing(
    inner: NDArray[np.floating],
    cubes: NDArray[np.int64],
    tops: list[Plane],
    grid: Voxels,
    step: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Components of what stands on tops, and of what is left when that is taken away."""
    height = np.full(len(inner), np.inf, np.float32)
    on = np.zeros(len(inner), np.bool_)
    order = np.argsort(cubes, kind="stable")
    starts = np.searchsorted(cubes[order], np.arange(len(grid) + 1))
    columns = grid.cells[:, 0] * (1 << 21) + grid.cells[:, 1]
    for top in tops:
        if abs(top.normal[2]) < _LEVEL:
            continue
        # Cubes are sorted by column, then by height.
        over = np.unique(columns[top.cubes])
        first, last = np.searchsorted(columns, over), np.searchsorted(columns, over, side="right")
        chosen = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        rows = order[np.concatenate([np.arange(starts[c], starts[c + 1]) for c in chosen])]
        mine = np.isin(cubes[rows], top.cubes)
        if not mine.any():
            continue
        off, width = about(top, inner[rows[mine]])
        base = float(np.median(off - (inner[rows[mine]] @ top.normal.astype(inner.dtype))))
        over_top = inner[rows] @ top.normal.astype(inner.dtype) + base
        on[rows[mine & (np.abs(over_top) <= width)]] = True
        higher = (over_top > width) & (over_top < _REACH)
        height[rows[higher]] = np.minimum(height[rows[higher]], over_top[higher])
    above = np.isfinite(height) & ~on
    standing = _parts(inner, above, step)
    for rows in groups(standing):
        # What hangs over a top does not stand on it.
        if height[rows].min() > _FOOT:
            above[rows] = False
            standing[rows] = -1
    return standing, _parts(inner, ~above, step)


def _parts(
    inner: NDArray[np.floating], chosen: NDArray[np.bool_], step: float
) -> NDArray[np.int64]:
    """Components of the chosen points, -1 for the others."""
    labels = np.full(len(inner), -1, np.int64)
    where = np.flatnonzero(chosen)
    if len(where):
        fine = voxels(inner[where], _USUAL * step)
        labels[where] = connected(fine)[fine.of_point]
    return labels


def _cut(
    inner: NDArray[np.floating], labels: NDArray[np.int64], step: float
) -> dict[str, NDArray[np.int64]]:
    """Long components cut by k-means, each in every number of pieces."""
    result = {name: np.full(len(inner), -1, np.int64) for name in _PIECES}
    number = dict.fromkeys(_PIECES, 0)
    for part in groups(labels):
        if len(part) < min(_PIECES.values()) * 4 * LEAST_POINTS:
            continue
        own = inner[part]
        extent = own.max(axis=0) - own.min(axis=0)
        if extent.max() < _LONG:
            continue
        grid = voxels(own, max(2 * step, float(extent.max()) / 64))
        for name, pieces in _PIECES.items():
            if len(part) < pieces * 4 * LEAST_POINTS:
                continue
            cut = kmeans(grid.centres, grid.counts, pieces)[grid.of_point]
            result[name][part] = number[name] + cut
            number[name] += pieces
    return result


def _spread(labels: NDArray[np.int64], rows: NDArray[np.int64], n: int) -> NDArray[np.int32]:
    """Labels of some rows as labels of all n, -1 for the others."""
    result = np.full(n, -1, np.int32)
    result[rows] = labels
    return result
