"""What stands on the tops of a voxel map's things: the vase on the table is no part of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.boxes import Box, fitted_box
from cg3d_runtime.scene.segmentation import LEAST_POINTS, groups
from cg3d_runtime.scene.voxels import connected, voxels

#: Edge of the cubes that touch or do not, in voxels of the map.
_TOUCH = 1.5

#: Points so near to a face belong to it: voxels, and metres.
LAYER_VOXELS, LAYER = 1.5, 0.05

#: What stands on a top begins so near above its layer, metres.
FOOT = 0.1

#: The smallest level face that things stand on, m2, and its share of the thing's plan.
_LEAST_TOP, _TOP_SHARE = 0.06, 0.3

#: How far below a face is looked for what goes on below it, metres.
_BENEATH = 0.25

#: The share of the squares around a foot that the face fills at least.
_FACE_AROUND = 0.6

#: The number of a square of the plan grows by this from row to row; its eight neighbours.
_ROW = 1 << 21
RING = np.array([dx * _ROW + dy for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy])

#: The share of a thing's foot from which on it goes on below the top: a back, not a vase.
_GOES_ON = 0.5

#: A foot runs along the edge of a face if so much of it, as a share of the face's width, is so
#: near to it, in squares.
_RUN, _EDGE = 0.5, 1.5

#: What has a foot no longer than this is small, metres: a vase, not the back of a sofa.
_SMALL = 0.6

#: A layer belongs to a thing's bulk if it has this share of the plan of its widest one, and m2;
#: one of fewer points is noise. Its plan is that of so many metres below its end.
_BULK, _LEAST_BULK, _LEAST_LAYER, _BAND = 0.6, 0.15, 4, 0.15

#: What begins so low belongs to no top: the floor's own noise, metres above the floor.
_LOWEST_TOP = 0.15


def touching_parts(xyz: NDArray[np.float32], size: float) -> NDArray[np.int64]:
    """(n,) which points touch, from 0.

    Args:
        xyz: (n, 3) metres.
        size: edge of a voxel of the map.
    """
    grid = voxels(xyz, _TOUCH * size)
    return np.asarray(connected(grid)[grid.of_point])


def without_what_stands(
    xyz: NDArray[np.float32], part: NDArray[np.int64], floor: float, size: float
) -> NDArray[np.int64]:
    """`part` with what stands on tops as parts of their own; `floor` is the lowest z."""
    result, number = part.copy(), int(part.max()) + 1
    for rows in groups(part):
        own = rows
        faces: list[tuple[float, Box | None]] = [(h, None) for h in _tops(xyz[rows], floor, size)]
        bulk = _bulk(xyz[rows], size)
        if bulk is not None and bulk[0] > floor + _LOWEST_TOP:
            faces.append(bulk)
        for height, box in faces:
            for piece in _standing(xyz[own], height, size, box):
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
    plan = len(np.unique(columns(xyz, size))) * size * size
    heights = xyz[:, 2].min() + (np.arange(len(area)) + 0.5) * size
    large = (area >= max(_LEAST_TOP, _TOP_SHARE * plan)) & (heights > floor + _LOWEST_TOP)
    around = np.pad(area, 2)
    peak = large & (area >= np.max([around[k : k + len(area)] for k in range(5)], axis=0))
    return [float(h) for h in heights[peak][::-1]]


def _bulk(xyz: NDArray[np.float32], size: float) -> tuple[float, Box] | None:
    """The height at which a thing ends but for what stands on it, and the box just below.

    A top as high as the sensor is not seen, so this goes by how far each layer reaches.
    """
    if len(xyz) * size * size < _LEAST_TOP:
        return None
    layer = np.floor((xyz[:, 2] - xyz[:, 2].min()) / size).astype(np.int64)
    area = np.zeros(int(layer.max()) + 1)
    for own in groups(layer):
        if len(own) >= _LEAST_LAYER:
            area[layer[own[0]]] = np.ptp(xyz[own, 0]) * np.ptp(xyz[own, 1])
    wide = np.flatnonzero(area >= max(_BULK * area.max(), _LEAST_BULK))
    if not len(wide):
        return None
    height = float(xyz[:, 2].min() + (wide[-1] + 0.5) * size)
    band = xyz[(xyz[:, 2] > height - _BAND) & (xyz[:, 2] < height + size)]
    return height, fitted_box(band, size)


def _standing(
    xyz: NDArray[np.float32], height: float, size: float, bulk: Box | None
) -> list[NDArray[np.int64]]:
    """Rows of what stands on the level face of a thing at a height.

    Something stands there if it comes free when the face is taken away, is then wholly above it,
    does not go on below, as the back of a chair does, does not run along its edge, as that does
    too, and has the face all around its foot.

    Args:
        xyz: (n, 3) the thing.
        height: of the face.
        size: of a voxel.
        bulk: all of its plan is face, seen or not; None where only what was seen is.
    """
    off = xyz[:, 2] - np.float32(height)
    cut = np.abs(off) <= LAYER_VOXELS * size
    left = np.flatnonzero(~cut)
    if not len(left):
        return []
    square = 2 * size
    column = columns(xyz, square)
    face = np.unique(column[cut])
    # A board has two faces, so what is beneath it begins below both.
    beneath = np.unique(column[(off < -2 * LAYER) & (off > -_BENEATH)])
    found = []
    for piece in groups(touching_parts(xyz[left], size)):
        rows = left[piece]
        lowest = float(off[rows].min())
        if len(rows) < LEAST_POINTS or not 0 < lowest < FOOT:
            continue
        foot = np.unique(column[rows[off[rows] < lowest + LAYER]])
        around = np.setdiff1d((foot[:, None] + RING).reshape(-1), foot)
        on = np.isin(around, face)
        if bulk is not None:
            on |= bulk.inside(_middles(around, square))
        if np.isin(foot, beneath).mean() < _GOES_ON and on.mean() >= _FACE_AROUND:
            if bulk is None:
                runs = _along_edge(foot, fitted_box(xyz[cut], size), square)
            else:
                runs = _along_what_may_be_an_edge(foot, bulk, square)
            if not runs:
                found.append(rows)
    return found


def _along_edge(foot: NDArray[np.int64], plan: Box, square: float) -> bool:
    """Whether a foot, (k,) squares, runs along an edge of a plan, as a back or an arm does."""
    inner = Box(plan.centre, plan.size - 2 * _EDGE * square, plan.yaw)
    at_edge = int((~inner.inside(_middles(foot, square))).sum())
    return bool(at_edge * square >= _RUN * plan.size[1])


def _along_what_may_be_an_edge(foot: NDArray[np.int64], bulk: Box, square: float) -> bool:
    """The same of a bulk, of which the front alone may be seen: then all is near an edge of it.

    So what is small has to run along half of an edge.
    """
    places = bulk.local(_middles(foot, square))
    if np.ptp(places, axis=0).max() + square > _SMALL:
        return _along_edge(foot, bulk, square)
    for across, along in ((0, 1), (1, 0)):
        near = bulk.size[across] / 2 - _EDGE * square
        for side in (-1, 1):
            run = places[side * places[:, across] > near, along]
            if len(np.unique(np.floor(run / square))) * square >= _RUN * bulk.size[along]:
                return True
    return False


def _middles(squares: NDArray[np.int64], size: float) -> NDArray[np.float64]:
    """(k, 2) the middle of squares by their `columns`, metres."""
    x = np.round(squares / _ROW)
    return np.asarray((np.stack([x, squares - x * _ROW], axis=1) + 0.5) * size)


def columns(xyz: NDArray[np.float32], size: float) -> NDArray[np.int64]:
    """(n,) a number for the square of the plan that each point is in."""
    x, y = (np.floor(xyz[:, k] / size).astype(np.int64) for k in (0, 1))
    return np.asarray(x * _ROW + y)
