"""Boxes about points: along the axes, and turned about the vertical to the smallest plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Box:
    """An upright box.

    Attributes:
        centre: (3,) float64, metres.
        size: (3,) float64, metres, along its own axes; the last is its height.
        yaw: turn of its first axis from x towards y about the vertical, radians, in
            [-pi/2, pi/2); 0 for a box along the axes.
    """

    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    yaw: float

    def corners(self) -> NDArray[np.float64]:
        """(8, 3) float64 corners, metres: the lower four in turn, then the upper four."""
        half = self.size / 2
        around = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half[:2]
        turn = np.array(
            [[np.cos(self.yaw), np.sin(self.yaw)], [-np.sin(self.yaw), np.cos(self.yaw)]]
        )
        plan = np.tile(around @ turn, (2, 1))
        height = np.repeat([-half[2], half[2]], 4)
        return np.column_stack([plan, height]) + self.centre


def axis_aligned_box(xyz: NDArray[np.floating]) -> Box:
    """The box along the axes.

    Args:
        xyz: (n, 3) finite, n > 0, z up.
    """
    low, high = xyz.min(axis=0).astype(np.float64), xyz.max(axis=0).astype(np.float64)
    return Box((low + high) / 2, high - low, 0.0)


def oriented_box(xyz: NDArray[np.floating]) -> Box:
    """The upright box with the smallest plan; its longer side comes first.

    One side of the smallest rectangle about a convex polygon lies along an edge of it (Freeman
    and Shapira, 1975), so every edge of the hull is tried.

    Args:
        xyz: (n, 3) finite, n > 0, z up.
    """
    origin = xyz[0].astype(np.float64)
    hull = convex_hull(xyz[:, :2] - origin[:2])
    edges = np.roll(hull, -1, axis=0) - hull
    angles = np.unique(np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2))
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ hull.T
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=1) @ hull.T
    length, width = np.ptp(along, axis=1), np.ptp(across, axis=1)
    best = int((length * width).argmin())
    angle = float(angles[best])
    first = (along[best].min() + along[best].max()) / 2
    second = (across[best].min() + across[best].max()) / 2
    plan = np.array(
        [
            first * np.cos(angle) - second * np.sin(angle),
            first * np.sin(angle) + second * np.cos(angle),
        ]
    )
    sides = [float(length[best]), float(width[best])]
    if sides[1] > sides[0]:
        sides, angle = sides[::-1], angle + np.pi / 2
    low, high = float(xyz[:, 2].min()), float(xyz[:, 2].max())
    return Box(
        np.append(plan + origin[:2], (low + high) / 2),
        np.array([*sides, high - low]),
        (angle + np.pi / 2) % np.pi - np.pi / 2,
    )


def convex_hull(xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Corners of the convex hull, against the clock (Andrew's monotone chain).

    Args:
        xy: (n, 2) finite, n > 0.

    Returns:
        (h, 2) float64; all distinct points where they lie on one line.
    """
    points = np.asarray(xy, np.float64)
    if len(points) > 256:
        points = _outer(points)
    points = np.unique(points, axis=0)
    if len(points) < 3:
        return points
    rows = [(float(x), float(y)) for x, y in points]
    return np.array(_chain(rows)[:-1] + _chain(rows[::-1])[:-1])


def _chain(rows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    chain: list[tuple[float, float]] = []
    for x, y in rows:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2], chain[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain


def _outer(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """What can be a corner: nothing strictly inside the polygon of 16 extreme points can."""
    ways = np.arange(16) * np.pi / 8
    fan = np.stack([np.cos(ways), np.sin(ways)])
    extreme = points[(points @ fan).argmax(axis=0)]
    inside = np.ones(len(points), np.bool_)
    for start, end in zip(extreme, np.roll(extreme, -1, axis=0), strict=True):
        side = end - start
        if side.any():
            off = points - start
            inside &= side[0] * off[:, 1] - side[1] * off[:, 0] > 0
    return points[~inside]
