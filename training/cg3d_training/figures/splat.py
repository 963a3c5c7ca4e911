"""Points as pictures: each a small square, the nearest in front, seen from above at an angle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Degrees: round the vertical, and above the floor.
AZIMUTH, ELEVATION = 40.0, 35.0


def points_picture(
    xyz: NDArray[np.floating],
    rgb: NDArray[np.uint8],
    width: int,
    height: int,
    dot: int = 2,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
) -> NDArray[np.uint8]:
    """Parallel projection of points on white.

    Args:
        xyz: (n, 3), z up, n > 0.
        rgb: (n, 3) uint8.
        width, height: pixels.
        dot: pixels on a side of a point.

    Returns:
        (height, width, 3) uint8.
    """
    turn, tilt = np.radians(azimuth), np.radians(elevation)
    local = np.asarray(xyz, np.float64) - (xyz.min(axis=0) + xyz.max(axis=0)) / 2
    across = np.cos(turn) * local[:, 0] + np.sin(turn) * local[:, 1]
    away = -np.sin(turn) * local[:, 0] + np.cos(turn) * local[:, 1]
    up = np.cos(tilt) * local[:, 2] + np.sin(tilt) * away
    near = np.sin(tilt) * local[:, 2] - np.cos(tilt) * away
    spans = max(np.ptp(across) / (width - 2 * dot), np.ptp(up) / (height - 2 * dot), 1e-9)
    column = np.rint((across - (across.min() + across.max()) / 2) / spans + width / 2 - dot / 2)
    row = np.rint(height / 2 - dot / 2 - (up - (up.min() + up.max()) / 2) / spans)
    order = np.argsort(near, kind="stable")  # the nearest is written last
    canvas = np.full((height, width, 3), 255, np.uint8)
    for down in range(dot):
        for right in range(dot):
            at = (
                np.clip(row[order].astype(np.int64) + down, 0, height - 1),
                np.clip(column[order].astype(np.int64) + right, 0, width - 1),
            )
            canvas[at] = rgb[order]
    return canvas


def shaded(xyz: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(n, 3) uint8 colours by height, dark below, for points (n, 3), z up, without their own."""
    height = xyz[:, 2] - xyz[:, 2].min()
    share = (height / max(float(height.max()), 1e-9))[:, None]
    colours = np.array([30, 60, 120]) + share * np.array([150, 140, 90])
    return np.asarray(np.rint(colours), np.uint8)
