"""Cutting a voxel map into things: one reading, by geometry alone, so that it does not flicker.

`ObjectSegmentation` gives several readings and lets recognition decide. A map that grows needs one
that stays: what is no building and touches is one thing, and what stands on a top is its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.map_supports import Surroundings, joined, support
from cg3d_runtime.scene.map_tops import (
    LAYER,
    LAYER_VOXELS,
    touching_parts,
    without_what_stands,
)
from cg3d_runtime.scene.objects import building_planes
from cg3d_runtime.scene.planes import Plane, planes
from cg3d_runtime.scene.segmentation import LEAST_POINTS, groups
from cg3d_runtime.scene.voxels import Voxels, voxels

#: Edge of the cubes that planes are sought in, in voxels of the map.
_PLANE_CUBES = 4.0

#: A level plane of this share of the largest one's area, and m2, is a floor at any height.
_HALF, _LARGER_THAN_A_BED = 0.5, 5.0

#: A ceiling is at least so high, metres.
_ROOM_HEIGHT = 1.8

#: A wall is taken out with so much before it, metres: it is mostly seen from afar.
_WALL_LAYER = 0.08

#: A piece of wall at which the map ends has at least this share of the room's height.
_TALL = 0.5

#: It reaches up to this share of the height that was seen: what ends below is a dresser's front.
_TO_TOP = 0.8

#: The share of the map that may lie behind a wall at which it ends.
_BEHIND = 0.02
_FAR = np.full(3, np.inf)


@dataclass(frozen=True, eq=False)
class Cut:
    """The things of a map.

    Attributes:
        labels: (n,) int32 the thing that each point belongs to, from 0; -1 for floor, walls,
            ceiling and what is too small to be known again.
        bases: (t,) float64 the height of what each stands on, metres.
    """

    labels: NDArray[np.int32]
    bases: NDArray[np.float64]


def cut_map(xyz: NDArray[np.float32], hits: NDArray[np.int32], size: float) -> Cut:
    """Things of a map.

    Args:
        xyz: (n, 3) float32, one point for each occupied voxel, metres, z up.
        hits: (n,) int32 the frames that each was seen in.
        size: edge of a voxel, metres.
    """
    nothing = Cut(np.full(len(xyz), -1, np.int32), np.empty(0))
    if len(xyz) < LEAST_POINTS:
        return nothing
    grid = voxels(xyz, _PLANE_CUBES * size)
    found = planes(grid, xyz)
    floors, walls, low, high = building_planes(xyz, found)
    floors = [p for p in floors if _bounds(p, floors, low, high, size)]
    # A piece of wall between furniture is small, but the map ends there.
    top = low + _TO_TOP * (high - low)
    tall = [
        p
        for p in found
        if p.kind == "wall" and p.high[2] - p.low[2] > _TALL * (high - low) and p.high[2] > top
    ]
    walls += [p for p in tall if all(p is not w for w in walls) and _outer_side(p, xyz)]
    building = _building(xyz, hits, grid, floors, walls, (low, high), size)
    rest = np.flatnonzero(~building)
    if len(rest) < LEAST_POINTS:
        return nothing
    around = _surroundings(xyz[building], floors, (low, high), size)
    inner = xyz[rest]
    part = without_what_stands(inner, touching_parts(inner, size), low, size)
    part = joined(inner, part, around)
    labels = nothing.labels
    rows_of = [rows for rows in groups(part) if len(rows) >= LEAST_POINTS]
    things = [inner[rows] for rows in rows_of]
    bases = np.empty(len(things))
    for number, own in enumerate(things):
        labels[rest[rows_of[number]]] = number
        base = support(own, things[:number] + things[number + 1 :], around)
        lowest, highest = float(own[:, 2].min()), float(own[:, 2].max())
        # What is out of sight is guessed where it is no more than what is in sight.
        bases[number] = base if lowest - base <= highest - lowest else lowest
    return Cut(labels, bases)


def _building(
    xyz: NDArray[np.float32],
    hits: NDArray[np.int32],
    grid: Voxels,
    floors: list[Plane],
    walls: list[Plane],
    heights: tuple[float, float],
    size: float,
) -> NDArray[np.bool_]:
    """(n,) whether a point is of the floor, of the ceiling or of a wall, or lies behind them."""
    result = np.zeros(len(xyz), np.bool_)
    thick = max(LAYER, LAYER_VOXELS * size)
    for plane in floors + walls:
        # A wall that the map ends at goes on behind furniture, and so does its noise.
        side = _outer_side(plane, xyz) if plane.kind == "wall" else 0
        low, high = (plane.low, plane.high) if side == 0 else (-_FAR, _FAR)
        inside = (xyz > low - grid.size).all(axis=1) & (xyz < high + grid.size).all(axis=1)
        rows = np.flatnonzero(inside)
        off = _offsets(plane, xyz[rows], hits[rows], size)
        width = thick if plane.kind == "flat" else _WALL_LAYER
        result[rows[np.abs(off) <= width]] = True
        if side:
            result[rows[side * off > 0]] = True
    for plane in floors:
        if abs(plane.offset - heights[0]) < _near(size):
            result |= xyz[:, 2] < plane.offset + thick
        elif abs(plane.offset - heights[1]) < _near(size):
            result |= xyz[:, 2] > plane.offset - thick
    return result


def _surroundings(
    xyz: NDArray[np.float32], floors: list[Plane], heights: tuple[float, float], size: float
) -> Surroundings:
    """The building for what stands in it."""
    near = _near(size)
    lowest = [p for p in floors if abs(p.offset - heights[0]) < near]
    above = any(abs(p.offset - heights[1]) < near for p in floors)
    floor = max(lowest, key=lambda p: p.area, default=None)
    return Surroundings(xyz, floor, heights[1] if above else np.inf, size)


def _near(size: float) -> float:
    """So near to the lowest or the highest point a level plane is floor or ceiling, metres."""
    return 2 * max(LAYER, LAYER_VOXELS * size)


def _bounds(plane: Plane, floors: list[Plane], low: float, high: float, size: float) -> bool:
    """Whether a large level plane is a floor or ceiling, and not the top of a table or a bed."""
    near = _near(size)
    return (
        plane.area >= max(_HALF * max(p.area for p in floors), _LARGER_THAN_A_BED)
        or abs(plane.offset - low) < near
        or (plane.offset - low > _ROOM_HEIGHT and abs(plane.offset - high) < near)
    )


def _outer_side(plane: Plane, xyz: NDArray[np.float32]) -> int:
    """The sign of the side on which next to nothing lies, 0 if there is something on both."""
    off = xyz @ plane.normal.astype(np.float32) - np.float32(plane.offset)
    for side in (1, -1):
        if (side * off > _WALL_LAYER).mean() < _BEHIND:
            return side
    return 0


def _offsets(
    plane: Plane, xyz: NDArray[np.float32], hits: NDArray[np.int32], size: float
) -> NDArray[np.floating]:
    """(n,) metres from the layer along a plane that was seen most.

    From afar a wall is several voxels thick, all of them filled: the frames tell where it is.
    """
    off = xyz @ plane.normal.astype(np.float32) - np.float32(plane.offset)
    near = np.abs(off) < 4 * size
    if not near.any():
        return off
    bins = np.floor((off[near] + 4 * size) / (size / 2)).astype(np.int64)
    most = int(np.bincount(bins, hits[near]).argmax())
    return np.asarray(off - np.median(off[near][np.abs(bins - most) <= 1]))
