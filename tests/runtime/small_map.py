"""A small room in voxels, made by hand."""

from __future__ import annotations

import numpy as np


def block(low: tuple[float, ...], high: tuple[float, ...], step: float = 0.03) -> np.ndarray:
    """The surface of a box, a point every `step`."""
    axes = [np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    ends = [(a[0], a[-1]) for a in axes]
    outer = [(grid[:, k] <= lo + 1e-9) | (grid[:, k] >= hi - 1e-9) for k, (lo, hi) in
             enumerate(ends)]  # fmt: skip
    return grid[np.logical_or.reduce(outer)]


def small_room() -> tuple[np.ndarray, list[np.ndarray]]:
    """A floor, two walls, a table, a vase on it and a stool; and the boxes of the three."""
    floor = block((0, 0, -0.03), (5, 5, 0))
    walls = [block((0, 5, 0), (5, 5.03, 2.4)), block((-0.03, 0, 0), (0, 5, 2.4))]
    top = block((2, 2, 0.69), (3.2, 2.8, 0.75))
    legs = [block((x, y, 0.03), (x + 0.06, y + 0.06, 0.69)) for x in (2, 3.14) for y in (2, 2.74)]
    vase = block((2.5, 2.3, 0.75), (2.71, 2.51, 1.14))
    stool = block((4, 4, 0), (4.36, 4.36, 0.45))
    things = [np.concatenate([top, *legs]), vase, stool]
    return np.concatenate([floor, *walls, *things]).astype(np.float32), things
