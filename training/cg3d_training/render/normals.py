"""Normals for shading: smooth over gentle bends, sharp over creases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_PAIRS = 4_000_000  # of faces that meet in a vertex; beyond, shading is flat (about 300 MB)


def face_normals(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(f, 3) unit normals, zero for faces without area, and (f,) areas in squared units."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1)
    unit = cross / np.where(length > 0, length, 1)[:, None]
    return unit, length / 2


def corner_normals(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], crease: float = 40.0
) -> NDArray[np.float32]:
    """(f, 3, 3) float32: the normal at each corner of each face.

    It is the mean, by area, of the faces that meet at the corner's place and whose normals are
    less than `crease` degrees from this face's. Files split vertices along texture seams, so
    corners belong together by place, not by number.
    """
    unit, area = face_normals(vertices, faces)
    flat = np.repeat(unit[:, None], 3, axis=1).astype(np.float32)
    _, place = np.unique(vertices, axis=0, return_inverse=True)
    owner = place.reshape(-1)[faces].reshape(-1)  # (3f,) the place of each corner
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    if float((counts.astype(np.float64) ** 2).sum()) > _MOST_PAIRS:
        return flat
    starts = np.cumsum(counts) - counts
    mates = counts[owner[order]]  # how many corners share each corner's place
    first = np.repeat(order, mates)
    within = np.arange(len(first)) - np.repeat(np.cumsum(mates) - mates, mates)
    second = order[np.repeat(starts[owner[order]], mates) + within]
    one, other = first // 3, second // 3
    gentle = np.einsum("nd,nd->n", unit[one], unit[other]) > np.cos(np.radians(crease))
    first, other = first[gentle], other[gentle]
    weighted = unit[other] * area[other, None]
    total = np.stack(
        [np.bincount(first, weighted[:, d], minlength=len(owner)) for d in range(3)], axis=1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    smooth = np.where(length > 0, total / np.where(length > 0, length, 1), flat.reshape(-1, 3))
    return smooth.reshape(-1, 3, 3).astype(np.float32)
