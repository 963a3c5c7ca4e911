"""The large planes of a scene: floor, ceiling, walls, and the tops that things stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.voxels import Voxels, components, touching

#: |z| of a unit normal: above the first a surface lies flat, below the second it stands.
_LIES, _STANDS = 0.92, 0.3

#: Azimuths that walls are sought at.
_AZIMUTHS = 90

#: The smallest flat patch that is told of, m2.
_LEAST_FLAT = 0.06

#: Cubes that a plane is fitted to at least.
_LEAST_FITTED = 8

#: How far the surface of a wall may be turned from it, radians.
_TURNED = 0.25

#: Planes of walls that are sought at most, and the smallest area of one, m2.
_MOST_WALLS, _LEAST_WALL = 80, 1.5


@dataclass(frozen=True, eq=False)
class Plane:
    """A connected piece of a plane.

    Attributes:
        kind: "flat" (floor, ceiling, top) or "wall".
        normal: (3,) unit; offset: normal @ point for points of the plane.
        area: m2, from the cubes that it fills.
        low, high: (3,) its extent.
        cubes: (k,) int64, the cubes of the grid that it goes through.
    """

    kind: Literal["flat", "wall"]
    normal: NDArray[np.float64]
    offset: float
    area: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    cubes: NDArray[np.int64]


def planes(grid: Voxels, xyz: NDArray[np.floating]) -> tuple[Plane, ...]:
    """The flat and the upright planes of a scene, the largest first.

    Args:
        grid: cubes of about three times the distance of points.
        xyz: (n, 3) the points in them, metres, z up.
    """
    pairs = touching(grid.cells)
    normal = normals(grid, xyz, pairs)
    found = _flat(grid, normal, pairs) + _walls(grid, normal)
    return tuple(sorted(found, key=lambda plane: -plane.area))


def _flat(grid: Voxels, normal: NDArray[np.float64], pairs: NDArray[np.int64]) -> list[Plane]:
    """Patches of cubes that touch and lie flat, however they are bounded."""
    lying = np.abs(normal[:, 2]) > _LIES
    both = lying[pairs].all(axis=1)
    patch = components(len(grid), pairs[both])
    patch[~lying] = -1
    order = np.argsort(patch, kind="stable")
    starts = np.flatnonzero(np.diff(patch[order], prepend=-2))
    found = []
    for cubes in np.split(order, starts[1:]):
        # The smallest tray that anything stands on.
        if patch[cubes[0]] >= 0 and len(cubes) * grid.size**2 >= _LEAST_FLAT:
            columns = np.unique(grid.cells[cubes, :2], axis=0)
            found.append(_fitted("flat", grid, cubes, len(columns) * grid.size**2, None))
    return found


def _walls(grid: Voxels, normal: NDArray[np.float64]) -> list[Plane]:
    """Upright planes, the fullest first, by votes over azimuth and distance."""
    left = np.flatnonzero(np.abs(normal[:, 2]) < _STANDS)
    place = grid.centres[:, :2] - grid.centres[:, :2].mean(axis=0)
    azimuth = np.arctan2(normal[:, 1], normal[:, 0]) % np.pi
    reach = int(np.ceil(np.linalg.norm(place, axis=1).max() / grid.size)) + 2
    bins = 2 * reach + 1
    found: list[Plane] = []
    for _ in range(_MOST_WALLS):
        if len(left) * grid.size**2 < _LEAST_WALL:
            break
        nearest = np.rint(azimuth[left] / np.pi * _AZIMUTHS).astype(np.int64)
        votes = np.zeros(_AZIMUTHS * bins)
        for step in (-1, 0, 1):
            way = (nearest + step) % _AZIMUTHS
            angle = way * np.pi / _AZIMUTHS
            distance = place[left, 0] * np.cos(angle) + place[left, 1] * np.sin(angle)
            votes += np.bincount(
                way * bins + np.rint(distance / grid.size).astype(np.int64) + reach,
                minlength=len(votes),
            )
        best = int(votes.argmax())
        if votes[best] * grid.size**2 < _LEAST_WALL:
            break
        turn = float(best // bins * np.pi / _AZIMUTHS)
        at = float((best % bins - reach) * grid.size)
        near = left
        for _ in range(3):
            turned = np.abs((azimuth[left] - turn + np.pi / 2) % np.pi - np.pi / 2)
            off = np.abs(place[left] @ [np.cos(turn), np.sin(turn)] - at)
            near = left[(turned < _TURNED) & (off < grid.size)]
            if len(near) < _LEAST_FITTED:
                break
            across = np.linalg.eigh(np.cov(place[near].T))[1][:, 0]
            turn = float(np.arctan2(across[1], across[0]))
            at = float(place[near].mean(axis=0) @ [np.cos(turn), np.sin(turn)])
        if len(near) < _LEAST_FITTED:
            break
        part = components(len(near), touching(grid.cells[near]))
        for number in np.flatnonzero(np.bincount(part) * grid.size**2 >= _LEAST_WALL):
            cubes = near[part == number]
            side = np.rint(place[cubes] @ [-np.sin(turn), np.cos(turn)] / grid.size)
            filled = len(np.unique(np.stack([side, grid.cells[cubes, 2]], 1), axis=0))
            if filled * grid.size**2 >= _LEAST_WALL:
                way3 = np.array([np.cos(turn), np.sin(turn), 0.0])
                found.append(_fitted("wall", grid, cubes, filled * grid.size**2, way3))
        left = np.setdiff1d(left, near, assume_unique=True)
    return found


def _fitted(
    kind: Literal["flat", "wall"],
    grid: Voxels,
    cubes: NDArray[np.int64],
    area: float,
    normal: NDArray[np.float64] | None,
) -> Plane:
    centres = grid.centres[cubes]
    if normal is None and len(cubes) < _LEAST_FITTED:
        normal = np.array([0.0, 0.0, 1.0])
    elif normal is None:
        _, vectors = np.linalg.eigh(np.cov(centres.T))
        normal = vectors[:, 0] * (1 if vectors[2, 0] > 0 else -1)
    offset = float(np.median(centres @ normal))
    return Plane(kind, normal, offset, area, centres.min(axis=0), centres.max(axis=0), cubes)


def normals(
    grid: Voxels, xyz: NDArray[np.floating], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(m, 3) unit normals of the surface about each cube, from its points and its neighbours'."""
    m = len(grid)
    local = xyz - grid.centres[0]
    first = [np.bincount(grid.of_point, local[:, k], m) for k in range(3)]
    second = [
        np.bincount(grid.of_point, local[:, j] * local[:, k], m)
        for j in range(3)
        for k in range(j, 3)
    ]
    sums = np.stack([grid.counts.astype(np.float64), *first, *second])
    around = sums.copy()
    for a, b in ((0, 1), (1, 0)):
        for row, own in zip(around, sums, strict=True):
            row += np.bincount(pairs[:, a], own[pairs[:, b]], m)
    mean = around[1:4] / around[0]
    second_moment = around[4:] / around[0]
    covariance = np.empty((m, 3, 3))
    at = 0
    for j in range(3):
        for k in range(j, 3):
            covariance[:, j, k] = covariance[:, k, j] = second_moment[at] - mean[j] * mean[k]
            at += 1
    vectors: NDArray[np.float64] = np.linalg.eigh(covariance)[1][:, :, 0]
    return vectors


def room_height_band(heights: NDArray[np.floating], step: float) -> NDArray[np.bool_]:
    """Which cubes lie between floor and ceiling, by the two fullest layers.

    Args:
        heights: (m,) of cubes, metres.
        step: thickness of a layer.
    """
    layer = ((heights - heights.min()) / step).astype(np.int64)
    full = np.bincount(layer)
    # A layer that holds a fifth of what the fullest does is a floor or a ceiling.
    large = np.flatnonzero(full > max(0.2 * full.max(), 5 * float(np.median(full))))
    middle = (layer.max() + 1) / 2
    below = large[large < min(middle, 0.5 / step + 1)]
    above = large[large >= max(middle, 1.8 / step)]
    keep = np.ones(len(heights), np.bool_)
    if len(below):
        keep &= layer > below.max()
    if len(above):
        keep &= layer < above.min()
    return keep if keep.any() else np.ones(len(heights), np.bool_)
