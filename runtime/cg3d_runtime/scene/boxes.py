"""Boxes about points: along the axes, and turned about the vertical to the smallest plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Turns that sides are laid along at first, degrees; the best is then halved twice.
_TURN = 2.0

#: The number of a square of the plan grows by this from row to row.
_ROW = 1 << 31


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

    @property
    def top(self) -> float:
        """The height of its upper face, metres."""
        return float(self.centre[2] + self.size[2] / 2)

    @property
    def plan(self) -> float:
        """The area of its plan, m2."""
        return float(self.size[0] * self.size[1])

    def inside(self, xy: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(k,) whether places of the plan (k, 2) lie in that of the box, metres."""
        return np.asarray((np.abs(self.local(xy)) <= self.size[:2] / 2).all(axis=1))

    def local(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """(k, 2) float64 places of the plan (k, 2) from the box's middle along its own axes."""
        x, y = (xy - self.centre[:2]).T
        along = x * np.cos(self.yaw) + y * np.sin(self.yaw)
        across = y * np.cos(self.yaw) - x * np.sin(self.yaw)
        return np.stack([along, across], axis=1).astype(np.float64)

    def down_to(self, base: float) -> Box:
        """The same box from a height on, if that is below it, metres."""
        low, high = self.centre[2] - self.size[2] / 2, self.centre[2] + self.size[2] / 2
        low = min(low, base)
        return Box(
            np.array([*self.centre[:2], (low + high) / 2]),
            np.array([*self.size[:2], high - low]),
            self.yaw,
        )

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


def fitted_box(xyz: NDArray[np.floating], near: float) -> Box:
    """The upright box whose sides lie along what was seen; its longer side comes first.

    Of a thing that was seen from one side there are two faces, an L in the plan, and the smallest
    rectangle about an L lies across it. So the sides are laid where most points are close to one
    of them: the closeness of "Efficient L-Shape Fitting for Vehicle Detection Using Laser
    Scanners" (Zhang, Xu, Dong and Dolan, 2017).

    Args:
        xyz: (n, 3) finite, n > 0, z up.
        near: points so near to a side lie on it, metres: the noise, or the edge of a voxel.
    """
    origin = xyz[0, :2].astype(np.float64)
    plan = xyz[:, :2] - origin
    _, of_point, counts = np.unique(
        np.floor(plan / near).astype(np.int64) @ [_ROW, 1], return_inverse=True, return_counts=True
    )
    of_point = of_point.reshape(-1)
    squares = np.stack([np.bincount(of_point, plan[:, k]) / counts for k in (0, 1)])
    hull = convex_hull(plan).T

    def closeness(angles: NDArray[np.float64]) -> NDArray[np.float64]:
        off = np.full((len(angles), len(counts)), np.inf)
        for way in (angles, angles + np.pi / 2):
            axis = np.stack([np.cos(way), np.sin(way)], axis=1)
            ends, here = axis @ hull, axis @ squares
            low, high = ends.min(axis=1, keepdims=True), ends.max(axis=1, keepdims=True)
            off = np.minimum(off, np.minimum(here - low, high - here))
        return np.asarray((counts / np.maximum(off, near)).sum(axis=1))

    angle = 0.0
    steps = np.arange(0.0, 90.0, _TURN)
    for width in (_TURN, _TURN / 2, _TURN / 4):
        tried = angle + np.radians(steps)
        angle = float(tried[closeness(tried).argmax()])
        steps = np.array([0.0, -width / 2, width / 2])
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    ends = axes @ hull
    low, high = ends.min(axis=1), ends.max(axis=1)
    centre = (low + high) / 2 @ axes + origin
    sides = high - low
    if sides[1] > sides[0]:
        sides, angle = sides[::-1], angle + np.pi / 2
    lowest, highest = float(xyz[:, 2].min()), float(xyz[:, 2].max())
    return Box(
        np.append(centre, (lowest + highest) / 2),
        np.append(sides, highest - lowest),
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
