"""Depth maps of points: what stands for pictures where there are no surfaces to draw, in scans.

The paper does so with ScanObjectNN (appendix A). Every point is a disc, near ones are dark and far
ones light, on white. The cameras are those of the rendered pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_training.render.camera import Camera, random_camera
from cg3d_training.render.views import ViewSettings, reduce

#: Points that a depth map is drawn of, as in the official code; fewer where there are fewer.
POINTS = 8192
#: A disc's diameter as a share of the picture's side, as in the official code (12 of 500 pixels).
DISC = 12 / 500
_NEAR, _FAR = 0.1, 0.8  # grey values


def depth_views(
    points: NDArray[np.floating], settings: ViewSettings, rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """Depth maps of an upright cloud (y up) from random sides.

    Args:
        points: (n, 3), finite.
        settings: how many, how large, from where; the background is white.
        rng: chooses the sides.

    Returns:
        `settings.views` pictures, (size, size, 3) uint8, three times the same grey.

    Raises:
        InputError: there are no points, or all of them are at one place.
    """
    places = np.asarray(points, np.float64)
    return [
        depth_view(
            places, random_camera(places, rng, settings.elevation), settings.size,
            settings.antialias,
        )
        for _ in range(settings.views)
    ]  # fmt: skip


def depth_view(
    points: NDArray[np.float64], camera: Camera, size: int = 224, antialias: int = 2
) -> NDArray[np.uint8]:
    """One depth map, (size, size, 3) uint8.

    Args:
        points: (n, 3), all in front of the camera.
        camera: from where.
        size: pixels on a side.
        antialias: samples of each pixel on a side.
    """
    fine = size * antialias
    seen = camera.project(points, fine)
    depth = seen[:, 2]
    span = np.ptp(depth)
    grey = _NEAR + (_FAR - _NEAR) * (depth - depth.min()) / (span if span > 0 else 1.0)
    radius = DISC * fine / 2
    reach = np.arange(-np.floor(radius), np.floor(radius) + 1)
    down, across = (grid.reshape(-1) for grid in np.meshgrid(reach, reach, indexing="ij"))
    disc = down**2 + across**2 <= radius**2
    rows = np.floor(seen[:, 1, None] + down[disc]).astype(np.int64)
    columns = np.floor(seen[:, 0, None] + across[disc]).astype(np.int64)
    inside = (rows >= 0) & (rows < fine) & (columns >= 0) & (columns < fine)
    canvas = np.ones(fine * fine, np.float32)
    shades = np.broadcast_to(grey[:, None], rows.shape)[inside].astype(np.float32)
    # Grey rises with depth, so the smallest value is the nearest point's.
    np.minimum.at(canvas, (rows * fine + columns)[inside], shades)
    return reduce(canvas.reshape(fine, fine, 1).repeat(3, axis=2), antialias)
