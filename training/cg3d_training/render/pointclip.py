"""Depth maps as PointCLIP makes them (Zhang et al., CVPR 2022): six sides, perspective, no discs.

Each point falls on one pixel, whose value is its depth; what no point falls on is 0. The sides are
four around the object, then its two ends along y. The camera stands 1.6 from the middle of the unit
sphere and looks along +z of its own axes; the picture reaches to a slope of 1 on all sides, and
what lies outside is left out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Pixels on a side and the camera's distance, of PointCLIP's zero-shot setting.
SIZE, DISTANCE = 128, 1.6

#: How points on one pixel share it. "harmonic": the harmonic mean of their depths, as in
#: PointCLIP's code, so that what is hidden shines through. "nearest": a z-buffer.
Overlap = Literal["harmonic", "nearest"]


def pointclip_sides() -> NDArray[np.float64]:
    """(6, 3, 3) for each side, its axes as rows: down the picture, across it, away from the camera.

    An upright object (y up) stands upright in the first four.
    """
    # A quarter turn about z lays -y down the picture and x across it; then come the sides.
    stand = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    around = [_turn(0, quarter * np.pi / 2) for quarter in range(4)]
    ends = [_turn(1, -np.pi / 2), _turn(1, np.pi / 2)]
    return np.round([side @ stand for side in (*around, *ends)])


def pointclip_views(
    points: NDArray[np.floating], overlap: Overlap = "harmonic", size: int = SIZE
) -> NDArray[np.float32]:
    """The six depth maps of a cloud.

    Args:
        points: (n, 3) in the unit sphere, y up.
        overlap: how points on one pixel share it.
        size: pixels on a side.

    Returns:
        (6, size, size) float32: depths, about 0.6 to 2.6, and 0 where nothing is.
    """
    places = np.asarray(points, np.float64)
    return np.stack([_depths(places, axes, overlap, size) for axes in pointclip_sides()])


def _depths(
    points: NDArray[np.float64], axes: NDArray[np.float64], overlap: Overlap, size: int
) -> NDArray[np.float32]:
    # einsum and no matrix product: BLAS may sum in another order with other threads.
    seen = np.einsum("nk,dk->nd", points, axes)
    depth = seen[:, 2] + DISTANCE
    pixels = np.ceil((seen[:, :2] / depth[:, None] + 1) * size / 2 - 0.5)
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1) & (depth > 0)
    rows, columns = pixels[inside].astype(np.int64).T
    place, depth = rows * size + columns, depth[inside]
    if overlap == "nearest":
        picture = np.full(size * size, np.inf)
        np.minimum.at(picture, place, depth)
        picture[np.isinf(picture)] = 0.0
    else:
        inverse = np.bincount(place, 1 / depth, size * size)
        count = np.bincount(place, minlength=size * size)
        picture = np.divide(count, inverse, out=np.zeros(size * size), where=count > 0)
    return picture.reshape(size, size).astype(np.float32)


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    """A rotation about one axis."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[one, other], [one, other]] = np.cos(angle)
    matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
    return matrix
