"""Clouds as a depth camera sees them: one to three sides, noise, holes, a piece of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from cg3d_runtime.points import unit_sphere
from cg3d_training.bounds import number

#: The radius of the sphere that points are mirrored at, in distances of the furthest one. Held
#: against rays through generated meshes, 95 of 100 points that it keeps are in sight, and it keeps
#: 77 of 100 that are; larger keeps more of what is seen at a slant, and more of what is hidden.
_MIRROR = 170.0

#: The fewest points that a view may keep; a camera that sees less is moved elsewhere.
_FEWEST = 64

_TRIES = 8


@dataclass(frozen=True)
class PartialViews:
    """How cameras stand about an object and what they get wrong.

    Lengths are shares of the radius of the object's unit sphere, angles are degrees.

    Attributes:
        most: views that are joined, drawn from one to this many.
        elevation: of a camera above the horizon, lowest and highest.
        distance: of a camera from the object's middle, nearest and furthest.
        noise: largest standard deviation of the error along the line of sight; each view draws
            its own.
        holes: largest share of a view that is missing in patches (dark or shiny surfaces).
        support: the chance that a piece of the plane it stands on was cut out with the object.
        tilt: standard deviation of the error in which way is up.
    """

    most: int = number(3, least=1)
    elevation: tuple[float, float] = (-5.0, 65.0)
    distance: tuple[float, float] = (2.0, 6.0)
    noise: float = number(0.02)
    holes: float = number(0.15, most=1)
    support: float = number(0.2, most=1)
    tilt: float = number(3.0)


def partial_view(
    whole: NDArray[np.float32], settings: PartialViews, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(m, 3) float32 of a cloud (n, 3), y up: what is left of it for cameras drawn at random.

    The result is in the unit sphere, as every cloud is that an encoder sees.
    """
    xyz = unit_sphere(whole).xyz
    count = int(rng.integers(1, settings.most + 1))
    seen = [_one_camera(xyz, settings, rng) for _ in range(count)]
    joined = np.concatenate(seen)
    if rng.random() < settings.support:
        joined = np.concatenate([joined, _support(joined, rng)])
    tilt = np.deg2rad(settings.tilt) * rng.standard_normal(2)
    turned = (joined @ _tilted(*tilt).T).astype(np.float32)
    return unit_sphere(turned[rng.permutation(len(turned))]).xyz


def visible(xyz: NDArray[np.float32], camera: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the points (n, 3) that a camera at (3,) sees, by hidden point removal.

    Every point is mirrored at a large sphere about the camera; those on the convex hull of the
    mirrored ones and the camera are in sight (Katz, Tal, Basri 2007, "Direct visibility of point
    sets").
    """
    ray = xyz - camera
    length = np.linalg.norm(ray, axis=1, keepdims=True)
    mirrored = ray * (2 * _MIRROR * length.max() / length - 1)
    try:
        corners = ConvexHull(np.concatenate([mirrored, np.zeros((1, 3))])).vertices
    except QhullError:  # fewer than three points, or all in one plane with the camera
        return np.arange(len(xyz))
    return np.sort(corners[corners < len(xyz)]).astype(np.int64)


def _one_camera(
    xyz: NDArray[np.float32], settings: PartialViews, rng: np.random.Generator
) -> NDArray[np.float64]:
    """What one camera sees, with its errors."""
    for _ in range(_TRIES):
        camera = _camera(settings, rng)
        rows = visible(xyz, camera)
        if len(rows) >= _FEWEST:
            break
    else:  # flat, and seen edge-on again and again, or hardly any points
        rows = np.arange(len(xyz))
    points = xyz[rows].astype(np.float64)
    ray = points - camera
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    error = rng.random() * settings.noise * rng.standard_normal((len(points), 1))
    points = points + ray * error
    return points[_without_holes(points, rng.random() * settings.holes, rng)]


def _camera(settings: PartialViews, rng: np.random.Generator) -> NDArray[np.float64]:
    elevation = np.deg2rad(rng.uniform(*settings.elevation))
    azimuth = rng.uniform(0, 2 * np.pi)
    flat = np.cos(elevation)
    direction = [flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)]
    return np.array(direction) * rng.uniform(*settings.distance)


def _without_holes(
    points: NDArray[np.float64], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows that are left after patches about random points are cut out."""
    left = np.arange(len(points))
    while len(left) > max(_FEWEST, (1 - share) * len(points)):
        centre = points[rng.choice(left)]
        away = np.linalg.norm(points[left] - centre, axis=1)
        kept = left[away > rng.uniform(0.05, 0.2)]
        if len(kept) < _FEWEST:
            break
        left = kept
    return left


def _support(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A piece of the plane below, as a segmentation that is a little too generous leaves it."""
    low, high = points.min(axis=0), points.max(axis=0)
    count = int(len(points) * rng.uniform(0.03, 0.2))
    centre = rng.uniform(low, high)
    spread = 0.3 * max(high[0] - low[0], high[2] - low[2]) + 0.05
    piece = centre + spread * rng.uniform(-1, 1, (count, 3))
    piece[:, 1] = low[1] + 0.01 * rng.standard_normal(count)
    return np.asarray(piece)


def _tilted(about_x: float, about_z: float) -> NDArray[np.float64]:
    """(3, 3) rotation about x, then about z, radians."""
    (cx, sx), (cz, sz) = ((np.cos(a), np.sin(a)) for a in (about_x, about_z))
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(z @ x)
