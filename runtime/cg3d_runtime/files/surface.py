"""Even points on the surface of a triangle mesh, the same ones every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

# Several times what an encoder looks at, so that the recogniser still chooses among them.
SURFACE_POINTS = 8192

# Steps of the R2 sequence, which fills the unit square more evenly than random numbers
# (M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018).
_R2 = (0.7548776662466927, 0.5698402909980532)


def sample_surface(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], count: int = SURFACE_POINTS
) -> NDArray[np.float64]:
    """Points spread over the triangles in proportion to their area, without random numbers.

    Args:
        vertices: (v, 3) corners. Triangles with a corner that is not finite are left out.
        faces: (f, 3) rows of `vertices`.
        count: how many points to make.

    Returns:
        (count, 3) float64.

    Raises:
        InputError: a face names a vertex that does not exist, or no triangle has an area.
    """
    if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise InputError(f"a face names a vertex outside the {len(vertices)} there are")
    corners = vertices.astype(np.float64)[faces]
    with np.errstate(over="ignore", invalid="ignore"):
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas = np.linalg.norm(cross, axis=1)
    areas[~np.isfinite(areas)] = 0.0
    ends = np.cumsum(areas)
    if len(ends) == 0 or not 0.0 < ends[-1] < np.inf:
        raise InputError(f"a mesh without area ({len(faces)} faces)")
    # One point in the middle of each of `count` equal pieces of the total area.
    pieces = (np.arange(count) + 0.5) / count * ends[-1]
    chosen = np.searchsorted(ends, pieces, side="right").clip(max=len(ends) - 1)
    chosen[areas[chosen] == 0.0] = int(areas.argmax())  # rounding at the very end of the sum
    triangle = corners[chosen]
    square = (0.5 + np.arange(1, count + 1)[:, None] * np.array(_R2)) % 1.0
    root = np.sqrt(square[:, :1])
    side = square[:, 1:]
    points: NDArray[np.float64] = (
        (1.0 - root) * triangle[:, 0]
        + root * (1.0 - side) * triangle[:, 1]
        + root * side * triangle[:, 2]
    )
    return points


def fan_triangles(polygons: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """Cut polygons into triangles around their first corner.

    Args:
        polygons: arrays (m, k) of vertex rows, each for m polygons of k corners.

    Returns:
        (f, 3) int64; polygons of fewer than three corners give none.
    """
    parts = [np.empty((0, 3), np.int64)]
    for corners in polygons:
        first = np.broadcast_to(corners[:, :1], (len(corners), max(corners.shape[1] - 2, 0)))
        triangles = np.stack([first, corners[:, 1:-1], corners[:, 2:]], axis=2)
        parts.append(triangles.reshape(-1, 3))
    return np.concatenate(parts).astype(np.int64)
