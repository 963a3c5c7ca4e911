"""Cutting a voxel map into things: one reading, by geometry alone, so that it does not flicker.

`ObjectSegmentation` gives several readings and lets recognition decide. A map that grows needs one
that stays: what is no building and touches is one thing, and what stands on a top is its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.objects import building_planes
from cg3d_runtime.scene.planes import Plane, planes
from cg3d_runtime.scene.segmentation import LEAST_POINTS, groups
from cg3d_runtime.scene.voxels import Voxels, connected, voxels

#: Edge of the cubes that planes are sought in, in voxels of the map.
_PLANE_CUBES = 4.0

#: Points so near to a plane belong to it: metres, but at least so many voxels.
_LAYER, _LAYER_VOXELS = 0.05, 1.5

#: A wall is taken out with so much before it, metres: it is mostly seen from afar.
_WALL_LAYER = 0.08

#: A piece of wall at which the map ends has at least this share of the room's height.
_TALL = 0.5

#: The share of the map that may lie behind a wall at which it ends.
_BEHIND = 0.02
_FAR = np.full(3, np.inf)

#: Edge of the cubes that touch or do not, in voxels of the map.
_TOUCH = 1.5

#: What stands on a top begins so near above its layer, metres.
_FOOT = 0.1

#: The smallest level face that things stand on, m2, and its share of the thing's plan.
_LEAST_TOP, _TOP_SHARE = 0.06, 0.3

#: How far below a face is looked for what goes on below it, metres.
_BENEATH = 0.25

#: The share of the squares around a foot that the face fills at least.
_FACE_AROUND = 0.6

#: The number of a square of the plan grows by this from row to row; its eight neighbours.
_ROW = 1 << 21
_RING = np.array([dx * _ROW + dy for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy])

#: The share of a thing's foot from which on it goes on below the top: a back, not a vase.
_GOES_ON = 0.5

#: A fragment has at most this share of the points of the thing that it is a part of, lies in its
#: box, give or take this margin in metres, and has at least so many points itself.
_FRAGMENT, _FRAGMENT_MARGIN, _LEAST_FRAGMENT = 0.3, 0.06, 4

#: Legs whose upper ends are out of sight lie so far below the seat, metres.
_LEGS = 0.3

#: The share of a fragment that lies in that box.
_IN_BOX = 0.9

#: What begins so low belongs to no top: the floor's own noise, metres above the floor.
_LOWEST_TOP = 0.15


def cut_map(xyz: NDArray[np.float32], size: float) -> NDArray[np.int32]:
    """Things of a map.

    Args:
        xyz: (n, 3) float32, one point for each occupied voxel, metres, z up.
        size: edge of a voxel, metres.

    Returns:
        (n,) int32 the thing that each point belongs to, from 0; -1 for floor, walls, ceiling and
        what is too small to be known again.
    """
    labels = np.full(len(xyz), -1, np.int32)
    if len(xyz) < LEAST_POINTS:
        return labels
    grid = voxels(xyz, _PLANE_CUBES * size)
    found = planes(grid, xyz)
    floors, walls, low, high = building_planes(xyz, found)
    # A piece of wall between furniture is small, but the map ends there.
    tall = [p for p in found if p.kind == "wall" and p.high[2] - p.low[2] > _TALL * (high - low)]
    walls += [p for p in tall if all(p is not w for w in walls) and _outer_side(p, xyz)]
    building = _building(xyz, grid, floors, walls, (low, high), size)
    rest = np.flatnonzero(~building)
    if len(rest) < LEAST_POINTS:
        return labels
    part = _components(xyz[rest], size)
    part = _without_what_stands(xyz[rest], part, low, size)
    part = _joined(xyz[rest], part)
    number = 0
    for rows in groups(part):
        if len(rows) >= LEAST_POINTS:
            labels[rest[rows]] = number
            number += 1
    return labels


def _building(
    xyz: NDArray[np.float32],
    grid: Voxels,
    floors: list[Plane],
    walls: list[Plane],
    heights: tuple[float, float],
    size: float,
) -> NDArray[np.bool_]:
    """(n,) whether a point is of the floor, of the ceiling or of a wall, or lies behind them."""
    result = np.zeros(len(xyz), np.bool_)
    thick = max(_LAYER, _LAYER_VOXELS * size)
    for plane in floors + walls:
        # A wall that the map ends at goes on behind furniture, and so does its noise.
        side = _outer_side(plane, xyz) if plane.kind == "wall" else 0
        low, high = (plane.low, plane.high) if side == 0 else (-_FAR, _FAR)
        inside = (xyz > low - grid.size).all(axis=1) & (xyz < high + grid.size).all(axis=1)
        rows = np.flatnonzero(inside)
        off = _offsets(plane, xyz[rows], size)
        width = thick if plane.kind == "flat" else _WALL_LAYER
        result[rows[np.abs(off) <= width]] = True
        if side:
            result[rows[side * off > 0]] = True
    for plane in floors:
        if abs(plane.offset - heights[0]) < 2 * thick:
            result |= xyz[:, 2] < plane.offset + thick
        elif abs(plane.offset - heights[1]) < 2 * thick:
            result |= xyz[:, 2] > plane.offset - thick
    return result


def _outer_side(plane: Plane, xyz: NDArray[np.float32]) -> int:
    """The sign of the side on which next to nothing lies, 0 if there is something on both."""
    off = xyz @ plane.normal.astype(np.float32) - np.float32(plane.offset)
    for side in (1, -1):
        if (side * off > _WALL_LAYER).mean() < _BEHIND:
            return side
    return 0


def _offsets(plane: Plane, xyz: NDArray[np.float32], size: float) -> NDArray[np.floating]:
    """(n,) metres from the fullest layer along a plane."""
    off = xyz @ plane.normal.astype(np.float32) - np.float32(plane.offset)
    near = off[np.abs(off) < 4 * size]
    if not len(near):
        return off
    bins = np.floor((near - near.min()) / (size / 2)).astype(np.int64)
    fullest = int(np.bincount(bins).argmax())
    return np.asarray(off - np.median(near[np.abs(bins - fullest) <= 1]))


def _components(xyz: NDArray[np.float32], size: float) -> NDArray[np.int64]:
    """(n,) which points touch, from 0."""
    grid = voxels(xyz, _TOUCH * size)
    return np.asarray(connected(grid)[grid.of_point])


def _without_what_stands(
    xyz: NDArray[np.float32], part: NDArray[np.int64], floor: float, size: float
) -> NDArray[np.int64]:
    """`part` with what stands on tops as parts of their own; `floor` is the lowest z."""
    result, number = part.copy(), int(part.max()) + 1
    for rows in groups(part):
        own = rows
        for height in _tops(xyz[rows], floor, size):
            for piece in _standing(xyz[own], height, size):
                result[own[piece]] = number
                number += 1
            own = rows[result[rows] == part[rows[0]]]
    return result


def _tops(xyz: NDArray[np.float32], floor: float, size: float) -> list[float]:
    """The heights of a thing's level faces, the highest first."""
    if len(xyz) * size * size < _LEAST_TOP:
        return []
    layer = np.floor((xyz[:, 2] - xyz[:, 2].min()) / size).astype(np.int64)
    # Of a square of the plan with several layers, as noise makes them, each counts.
    area = np.bincount(layer) * size * size
    area = np.convolve(area, np.ones(3), mode="same")
    plan = len(np.unique(_columns(xyz, size))) * size * size
    heights = xyz[:, 2].min() + (np.arange(len(area)) + 0.5) * size
    large = (area >= max(_LEAST_TOP, _TOP_SHARE * plan)) & (heights > floor + _LOWEST_TOP)
    around = np.pad(area, 2)
    peak = large & (area >= np.max([around[k : k + len(area)] for k in range(5)], axis=0))
    return [float(h) for h in heights[peak][::-1]]


def _standing(xyz: NDArray[np.float32], height: float, size: float) -> list[NDArray[np.int64]]:
    """Rows of what stands on the level face of a thing at a height.

    Something stands there if it comes free when the face is taken away, is then wholly above it,
    does not go on below, as the back of a chair does, and has the face all around its foot.
    """
    off = xyz[:, 2] - np.float32(height)
    cut = np.abs(off) <= _LAYER_VOXELS * size
    left = np.flatnonzero(~cut)
    if not len(left):
        return []
    square = 2 * size
    column = _columns(xyz, square)
    face = np.unique(column[cut])
    # A board has two faces, so what is beneath it begins below both.
    beneath = np.unique(column[(off < -2 * _LAYER) & (off > -_BENEATH)])
    found = []
    for piece in groups(_components(xyz[left], size)):
        rows = left[piece]
        lowest = float(off[rows].min())
        if len(rows) < LEAST_POINTS or not 0 < lowest < _FOOT:
            continue
        foot = np.unique(column[rows[off[rows] < lowest + _LAYER]])
        around = np.setdiff1d((foot[:, None] + _RING).reshape(-1), foot)
        if (
            np.isin(foot, beneath).mean() < _GOES_ON
            and np.isin(around, face).mean() >= _FACE_AROUND
        ):
            found.append(rows)
    return found


def _joined(xyz: NDArray[np.float32], part: NDArray[np.int64]) -> NDArray[np.int64]:
    """`part` with fragments joined to the thing whose box they are in: occlusion cuts things."""
    rows = [r for r in groups(part) if len(r) >= _LEAST_FRAGMENT]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    lows = np.array([xyz[r].min(axis=0) for r in rows]).reshape(-1, 3) - _FRAGMENT_MARGIN
    highs = np.array([xyz[r].max(axis=0) for r in rows]).reshape(-1, 3) + _FRAGMENT_MARGIN
    lows[:, 2] -= _LEGS
    result = part.copy()
    for place, i in enumerate(order):
        own = xyz[rows[i]]
        # The largest first.
        for j in reversed(order[place + 1 :]):
            if len(rows[i]) > _FRAGMENT * len(rows[j]):
                break
            if ((own > lows[j]) & (own < highs[j])).all(axis=1).mean() >= _IN_BOX:
                result[rows[i]] = part[rows[j][0]]
                break
    return result


def _columns(xyz: NDArray[np.float32], size: float) -> NDArray[np.int64]:
    """(n,) a number for the square of the plan that each point is in."""
    x, y = (np.floor(xyz[:, k] / size).astype(np.int64) for k in (0, 1))
    return np.asarray(x * _ROW + y)
