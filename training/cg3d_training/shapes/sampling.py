"""Points on the outside of an object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cg3d_training.shapes.mesh import Mesh, join

_CHUNK = 1 << 19  # pairs of point and triangle looked at together


def sample_outside(
    parts: Sequence[Mesh], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Random points, even over the surface that is not inside another part.

    Args:
        parts: the solids of an object.
        count: how many points.
        rng: chooses them.

    Returns:
        (count, 3) float32, in random order.
    """
    mesh = join(parts)
    owner = np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts])
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    found = np.empty((0, 3))
    while len(found) < count:
        chosen = rng.choice(len(area), size=2 * count, p=area / area.sum())
        root = np.sqrt(rng.random((2 * count, 1)))
        side = rng.random((2 * count, 1))
        weights = np.concatenate([1 - root, root * (1 - side), root * side], axis=1)
        points = np.einsum("nk,nkd->nd", weights, corners[chosen])
        hidden = np.zeros(len(points), dtype=bool)
        for i, part in enumerate(parts):
            asked = (owner[chosen] != i) & ~hidden
            hidden[asked] = inside(part, points[asked])
        found = np.concatenate([found, points[~hidden]])
    return found[:count].astype(np.float32)


def inside(mesh: Mesh, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether each point is within a closed mesh, by its winding number.

    Source: Jacobson et al., "Robust Inside-Outside Segmentation using Generalized Winding
    Numbers" (2013); the solid angle of a triangle after van Oosterom and Strackee (1983).
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    near = np.flatnonzero(((points > low) & (points < high)).all(axis=1))
    result = np.zeros(len(points), dtype=bool)
    corners = mesh.vertices[mesh.faces]
    step = max(1, _CHUNK // max(1, len(corners)))
    for start in range(0, len(near), step):
        rows = near[start : start + step]
        a, b, c = (corners[:, i] - points[rows, None] for i in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
        volume = np.einsum("nfd,nfd->nf", a, np.cross(b, c))
        below = (
            la * lb * lc
            + np.einsum("nfd,nfd->nf", a, b) * lc
            + np.einsum("nfd,nfd->nf", b, c) * la
            + np.einsum("nfd,nfd->nf", c, a) * lb
        )
        turns = np.arctan2(volume, below).sum(axis=1) / (2 * np.pi)
        result[rows] = np.abs(turns) > 0.5
    return result
