"""Depth pictures as the official code draws them: soft discs, blended from far to near.

Every point is a disc of a Gaussian's shape and brighter the nearer it is; each that is drawn keeps
70 % of what is below. The picture is black where nothing is, and its brightest pixel is 1. The
projection is orthographic. Written from the renderer's description (canvas, space, diameter,
blending, views), which goes back to the point cloud tools of PointNet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

#: Pixels on a side; pixels that the unit sphere's radius takes; pixels across a disc.
SIZE, SPACE, DIAMETER = 500, 200, 12

#: Points that are drawn, at most, as in the official code.
POINTS = 8192

#: The three views: degrees about z and then about x. Of scans the official code draws the first.
VIEWS = ((110.0, 45.0), (70.0, 135.0), (180.0, 90.0))

_KEPT = 0.7  # of what is below a disc


def splat_views(
    points: NDArray[np.floating], views: tuple[tuple[float, float], ...] = VIEWS
) -> NDArray[np.float32]:
    """Pictures of a cloud from fixed sides.

    Args:
        points: (n, 3), y up; moved into the unit sphere here.
        views: (about z, about x) in degrees.

    Returns:
        (views, SIZE, SIZE) float32 from 0 to 1; the first axis of a picture is x of the turned
        cloud, as in the official code, so that objects lie on their side.

    Raises:
        InputError: all points are at one place, or there are none.
    """
    if len(points) == 0 or not np.ptp(points, axis=0).any():
        raise InputError("all points are at one place; there is nothing to look at")
    return np.stack([_splat(points, *view) for view in views])


def _splat(points: NDArray[np.floating], about_z: float, about_x: float) -> NDArray[np.float32]:
    z, x = np.radians(about_z), np.radians(about_x)
    turn = np.array([
        [np.cos(z), -np.sin(z), 0],
        [np.cos(x) * np.sin(z), np.cos(x) * np.cos(z), -np.sin(x)],
        [np.sin(x) * np.sin(z), np.sin(x) * np.cos(z), np.cos(x)],
    ])  # fmt: skip
    places = np.einsum("nk,dk->nd", points.astype(np.float64), turn)
    places -= places.mean(axis=0)
    places = places / np.sqrt((places**2).sum(axis=1).max())
    places = places[np.argsort(-places[:, 2], kind="stable")]  # the nearest last
    span = np.ptp(places[:, 2])
    near = (places[0, 2] - places[:, 2]) / (span if span > 0 else 1.0)
    corners = np.round(SIZE / 2 + SPACE * places[:, :2]).astype(np.int64)
    across, down, shade = _disc()
    pixel = ((corners[:, :1] + down) * SIZE + corners[:, 1:] + across).reshape(-1)
    value = ((1 - _KEPT) * near[:, None] * shade).reshape(-1)
    # What a disc leaves on a pixel fades with every later disc there.
    order = np.argsort(pixel, kind="stable")
    pixel, value = pixel[order], value[order]
    last = np.flatnonzero(np.append(pixel[1:] != pixel[:-1], True))
    ends = np.repeat(last, np.diff(last, prepend=-1))
    later = ends - np.arange(len(pixel))
    picture = np.bincount(pixel, value * _KEPT**later, SIZE * SIZE)
    brightest = float(picture.max())
    square: NDArray[np.float64] = picture.reshape(SIZE, SIZE) / (brightest or 1.0)
    return square.astype(np.float32)


def _disc() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pixels of a disc from the corner of its square, and how bright each is."""
    radius = (DIAMETER - 1) / 2
    down, across = np.indices((DIAMETER, DIAMETER)).reshape(2, -1)
    square = (down - radius) ** 2 + (across - radius) ** 2
    inside = square <= radius**2
    return across[inside], down[inside], np.exp(-square[inside] / radius**2)
