"""Cuts for what touches: furniture side by side, and flat things on walls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.layers import about, hung
from cg3d_runtime.scene.objects import ObjectSegmentation
from cg3d_runtime.scene.planes import Plane, planes
from cg3d_runtime.scene.segmentation import candidates
from cg3d_runtime.scene.steps import steps
from cg3d_runtime.scene.voxels import Voxels, voxels

STEP = 0.02


def block(low: tuple[float, float, float], size: tuple[float, float, float]) -> NDArray[np.float32]:
    """The surface of a box as a lattice."""
    axes = [np.linspace(0, s, max(2, round(s / STEP) + 1)) for s in size]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    on = ((grid == 0) | (grid == np.array(size))).any(axis=1)
    return (grid[on] + np.array(low)).astype(np.float32)


def room(*things: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A floor of 5 by 4 m, a wall at y = 4, seen from the front, and things, from 1."""
    floor = block((0, 0, -0.1), (5, 4, 0.1))
    wall = block((0, 4, 0), (5, 0.0, 2.6))
    parts = [np.concatenate([floor, wall]), *things]
    owner = np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)])
    return np.concatenate(parts), owner


def best(points: NDArray[np.float32], mine: NDArray[np.bool_]) -> tuple[float, str]:
    """The best overlap of any candidate, and how it was cut out."""
    parts = candidates(ObjectSegmentation()(points), points)
    shared = np.array([mine[rows].sum() for rows in parts.rows])
    union = np.array([len(rows) for rows in parts.rows]) + mine.sum() - shared
    overlap = shared / union
    return float(overlap.max()), parts.ways[int(overlap.argmax())]


def walls_of(points: NDArray[np.float32]) -> tuple[list[Plane], Voxels]:
    grid = voxels(points, 4 * STEP)
    return [plane for plane in planes(grid, points) if plane.kind == "wall"][:1], grid


def test_what_stands_side_by_side_is_told_apart_by_its_tops() -> None:
    low = block((1, 3.1, 0.08), (0.9, 0.6, 0.8))
    high = block((1.9, 3.1, 0.08), (0.7, 0.6, 1.8))
    points, owner = room(low, high)
    for number in (1, 2):
        overlap, _ = best(points, owner == number)
        assert overlap > 0.8
    # A gap alone tells nothing: they are one component.
    alone, _ = room(np.concatenate([low, high]))
    part = steps(alone[owner > 0], np.zeros((owner > 0).sum(), np.int64), STEP)
    assert set(part[part >= 0]) == {0, 1}


def test_one_flat_top_stays_whole() -> None:
    table = block((1, 1, 0.7), (1.6, 0.8, 0.04))
    part = steps(table, np.zeros(len(table), np.int64), STEP)
    assert (part == -1).all()


def test_a_slope_is_no_step() -> None:
    x, y = np.meshgrid(np.arange(0, 2, STEP), np.arange(0, 1, STEP))
    ramp = np.stack([x.ravel(), y.ravel(), x.ravel()], axis=1).astype(np.float32)
    assert (steps(ramp, np.zeros(len(ramp), np.int64), STEP) == -1).all()


def test_a_picture_on_a_wall_is_a_part() -> None:
    picture = block((2, 3.96, 1.4), (0.8, 0.03, 0.5))
    points, owner = room(picture)
    overlap, way = best(points, owner == 1)
    assert overlap > 0.95
    assert way == "hung"


def test_what_goes_on_does_not_hang() -> None:
    sofa = block((1, 3.05, 0.3), (2, 0.9, 0.8))
    picture = block((3.5, 3.96, 1.4), (0.8, 0.03, 0.5))
    points, owner = room(sofa, picture)
    walls, grid = walls_of(points)
    labels = hung(walls, points, grid, 2.5 * STEP)
    assert (labels[owner == 1] == -1).all()
    found = labels[owner == 2]
    assert len(set(found[found >= 0])) == 1
    assert (found >= 0).mean() > 0.9


def test_a_wall_is_fitted_to_its_points() -> None:
    """A plane that is off by half a degree, as one from cubes may be, still gives a thin layer."""
    points, owner = room(block((2, 3.96, 1.4), (0.8, 0.03, 0.5)))
    face = points[(owner == 0) & (np.abs(points[:, 1] - 4) < 1e-6)]
    turned = np.array([np.sin(0.008), np.cos(0.008), 0.0])
    wrong = Plane("wall", turned, 4.0, 13.0, face.min(axis=0), face.max(axis=0), np.zeros(0, int))
    off, width = about(wrong, face)
    assert width < 0.01
    assert np.abs(off).max() < 1e-4
