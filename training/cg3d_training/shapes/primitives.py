"""The few solids that everything else is composed of.

Each sits on y = 0 and is centred on x = z = 0 unless it follows a path.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_training.shapes.mesh import Mesh


def box(width: float, height: float, depth: float) -> Mesh:
    """A cuboid: width along x, height along y, depth along z."""
    half = np.array([width, height, depth]) / 2
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))]
    return Mesh(signs * half, np.array(faces)).moved(y=height / 2)


def cushion(width: float, height: float, depth: float, softness: float = 0.35) -> Mesh:
    """A box with rounded edges, from nearly a box (softness 0.1) to an ellipsoid (1)."""
    lat = np.linspace(-np.pi / 2, np.pi / 2, 9)
    lon = np.linspace(0, 2 * np.pi, 24, endpoint=False)

    def power(values: NDArray[np.float64]) -> NDArray[np.float64]:
        exact = np.where(np.abs(values) < 1e-12, 0.0, values)  # cos(pi / 2) is not quite 0
        return np.sign(exact) * np.abs(exact) ** softness

    across = power(np.cos(lat))
    rings = np.stack(
        [
            across[:, None] * power(np.cos(lon)) * width / 2,
            np.broadcast_to(power(np.sin(lat))[:, None], (9, 24)) * height / 2,
            across[:, None] * power(np.sin(lon)) * depth / 2,
        ],
        axis=2,
    )
    return loft(rings).moved(y=height / 2)


def lathe(profile: ArrayLike, segments: int = 32) -> Mesh:
    """A profile of (radius, y) turned about the y axis; closed where it begins and ends at r = 0.

    A thick wall is a profile that goes up outside and comes down inside.
    """
    points = np.asarray(profile, dtype=np.float64)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = np.stack(
        [
            points[:, :1] * np.cos(angle),
            np.broadcast_to(points[:, 1:], (len(points), segments)),
            points[:, :1] * np.sin(angle),
        ],
        axis=2,
    )
    return loft(rings, capped=False)


def frustum(bottom: float, top: float, height: float, segments: int = 32) -> Mesh:
    """A cone with its tip cut off, by its radii; a cone where one is 0. Four segments: square."""
    mesh = lathe([(0, 0), (bottom, 0), (top, height), (0, height)], segments)
    return mesh.turned("y", 45.0) if segments == 4 else mesh


def cylinder(radius: float, height: float, segments: int = 32) -> Mesh:
    """An upright cylinder that stands on y = 0."""
    return frustum(radius, radius, height, segments)


def ball(radius: float) -> Mesh:
    """A sphere that sits on y = 0."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 11)
    return lathe(np.stack([np.cos(angle), np.sin(angle) + 1.0], axis=1) * radius, 20)


def tube(path: ArrayLike, radius: float | Sequence[float], *, closed: bool = False) -> Mesh:
    """A round bar along (k, 3) points, with one radius or one for each point."""
    points = np.asarray(path, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(points),))
    if closed:
        ahead = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    else:
        ahead = np.gradient(points, axis=0)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True).clip(min=1e-12)
    side = np.empty_like(ahead)
    # Carry the first side along, so that the bar does not twist.
    last = np.eye(3)[np.abs(ahead[0]).argmin()]
    for i, direction in enumerate(ahead):
        last = last - direction * (last @ direction)
        last = last / max(float(np.linalg.norm(last)), 1e-12)
        side[i] = last
    other = np.cross(ahead, side)
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)[None, :, None]
    around = np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None]
    rings = points[:, None] + radii[:, None, None] * around
    return loft(np.concatenate([rings, rings[:1]]) if closed else rings, capped=not closed)


def bar(start: Sequence[float], end: Sequence[float], radius: float, taper: float = 1.0) -> Mesh:
    """A straight round bar, `taper` times as thick at its end."""
    return tube([start, end], [radius, radius * taper])


def beam(start: Sequence[float], end: Sequence[float], width: float, depth: float) -> Mesh:
    """A straight bar of rectangular section, `depth` across the plane of its lean."""
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    ahead = (b - a) / np.linalg.norm(b - a)
    across = np.array([0.0, 0.0, 1.0]) if abs(ahead[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    other = np.cross(across, ahead)
    other /= np.linalg.norm(other)
    across = np.cross(ahead, other)
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    ring = np.array([u * other * width / 2 + v * across * depth / 2 for u, v in corners])
    return loft(np.stack([a + ring, b + ring]))


def prism(outline: ArrayLike, depth: float) -> Mesh:
    """An outline of (x, y) points given depth along z, centred on z = 0.

    The outline must be seen whole from its middle.
    """
    flat = np.asarray(outline, dtype=np.float64)
    front = np.column_stack([flat, np.full(len(flat), depth / 2)])
    back = np.column_stack([flat, np.full(len(flat), -depth / 2)])
    return loft(np.stack([back, front]))


def slab(outline: ArrayLike, height: float) -> Mesh:
    """An outline of (x, z) points given height, sitting on y = 0."""
    return prism(outline, height).turned("x", 90.0).moved(y=height / 2)


def loft(rings: ArrayLike, *, capped: bool = True) -> Mesh:
    """A skin over (m, k, 3) rings of k points; `capped` closes it at both ends."""
    stack = np.asarray(rings, dtype=np.float64)
    m, k, _ = stack.shape
    vertices = stack.reshape(-1, 3)
    i = np.arange(m - 1)[:, None] * k
    j = np.arange(k)[None, :]
    a, b = i + j, i + (j + 1) % k
    quads = np.stack([a, a + k, b + k, b], axis=2).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    if capped:
        middles = stack[[0, -1]].mean(axis=1)
        start, end = len(vertices), len(vertices) + 1
        vertices = np.concatenate([vertices, middles])
        ring = np.arange(k)
        after = (ring + 1) % k
        first = np.stack([np.full(k, start), ring, after], axis=1)
        last = np.stack([np.full(k, end), (m - 1) * k + after, (m - 1) * k + ring], axis=1)
        faces = np.concatenate([faces, first, last])
    return Mesh(vertices, faces.astype(np.int64))


def sheet(grid: ArrayLike, thickness: float) -> Mesh:
    """A thin skin over a (m, k, 3) grid of points, given thickness along z."""
    points = np.asarray(grid, dtype=np.float64)
    offset = np.array([0.0, 0.0, thickness / 2])
    rings = np.concatenate([points + offset, (points - offset)[:, ::-1]], axis=1)
    return loft(rings)


def rounded_rectangle(width: float, height: float, radius: float) -> NDArray[np.float64]:
    """(24, 2) outline of a rectangle with round corners, centred on the origin."""
    radius = min(radius, width / 2, height / 2)
    quarter = np.linspace(0, np.pi / 2, 6)
    corners = [(1, 1, 0.0), (-1, 1, np.pi / 2), (-1, -1, np.pi), (1, -1, 1.5 * np.pi)]
    return np.concatenate(
        [
            np.stack(
                [
                    sx * (width / 2 - radius) + radius * np.cos(quarter + start),
                    sy * (height / 2 - radius) + radius * np.sin(quarter + start),
                ],
                axis=1,
            )
            for sx, sy, start in corners
        ]
    )


def smooth(points: ArrayLike, count: int = 24) -> NDArray[np.float64]:
    """(count, d) points on a smooth curve through (k, d) points (Catmull-Rom)."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    at = np.linspace(0, len(p) - 3, count)
    i = np.minimum(at.astype(np.int64), len(p) - 4)
    t = (at - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve: NDArray[np.float64] = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return curve
