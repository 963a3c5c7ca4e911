"""Which triangle is seen in which pixel: a z-buffer in numpy.

Triangles are cut into spans, one for each row of pixels, and the spans into fragments; all of them
at once for a few hundred thousand fragments, which is what makes numpy fast enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 19  # fragments made at a time, about 50 MB
_FACE_BITS = np.uint64(32)
_LAST_FACE = np.uint64(0xFFFFFFFF)
_SMALLEST = 1e-9  # twice the area in square pixels below which a triangle is a line

#: (n,) faces and (n, 3) barycentric coordinates -> (n,) whether there is surface.
Solid = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Hits:
    """What the pixels see, one row for each that sees anything.

    Attributes:
        pixel: (n,) int64, row * width + column, rising.
        face: (n,) int64 the nearest face at the middle of the pixel; of faces equally near the
            first.
        weights: (n, 3) float64 barycentric coordinates on the face, in space.
        depth: (n,) float64, distance along the way that the camera looks.
    """

    pixel: NDArray[np.int64]
    face: NDArray[np.int64]
    weights: NDArray[np.float64]
    depth: NDArray[np.float64]


def rasterise(
    screen: NDArray[np.float64],
    faces: NDArray[np.int64],
    size: int | tuple[int, int],
    porous: NDArray[np.bool_] | None = None,
    solid: Solid | None = None,
) -> Hits:
    """Find the nearest face of every pixel.

    Args:
        screen: (v, 3) x and y in pixels and depth, from `Camera.project`.
        faces: (f, 3) rows of `screen`. A face with a corner that is not in front of the camera
            is left out: there is no clipping, cameras stand outside of objects.
        size: pixels on a side, or width and height.
        porous: (f,) faces that `solid` has to be asked about, because they may have holes.
        solid: called for the fragments of those.
    """
    width, height = (size, size) if isinstance(size, int) else size
    corners = screen[faces]
    sound = np.isfinite(corners).all(axis=(1, 2)) & (corners[..., 2] > 0).all(axis=1)
    sound &= np.abs(_twice_area(corners)) > _SMALLEST
    nearest = np.zeros(width * height, dtype=np.uint64)
    for rows in _chunks(corners, np.flatnonzero(sound), width, height):
        which, pixel = _fragments(corners[rows], width, height)
        face = rows[which]
        if porous is not None and solid is not None:
            asked = np.flatnonzero(porous[face])
            weights, _ = _inside(corners[face[asked]], pixel[asked], width)
            keep = np.ones(len(face), dtype=bool)
            keep[asked] = solid(face[asked], weights)
            which, pixel, face = which[keep], pixel[keep], face[keep]
        near = _nearness(corners[rows], which, pixel, width).view(np.uint32).astype(np.uint64)
        # Floats above zero are ordered as their bits are; the lower half breaks ties by face.
        np.maximum.at(nearest, pixel, (near << _FACE_BITS) | (_LAST_FACE - face.astype(np.uint64)))
    seen = np.flatnonzero(nearest)
    face = (_LAST_FACE - (nearest[seen] & _LAST_FACE)).astype(np.int64)
    weights, depth = _inside(corners[face], seen, width)
    return Hits(seen, face, weights, depth)


def _twice_area(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(f,) signed, in square pixels."""
    a, b, c = (corners[:, i, :2] for i in range(3))
    with np.errstate(invalid="ignore", over="ignore"):
        area: NDArray[np.float64] = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (
            b[:, 1] - a[:, 1]
        ) * (c[:, 0] - a[:, 0])
    return area


def _chunks(
    corners: NDArray[np.float64], sound: NDArray[np.int64], width: int, height: int
) -> Iterator[NDArray[np.int64]]:
    """Runs of faces with no more than about `_CHUNK` pixels in their bounding boxes."""
    low = corners[sound, :, :2].min(axis=1).clip(0, (width, height))
    high = corners[sound, :, :2].max(axis=1).clip(0, (width, height))
    boxes = np.cumsum((np.ceil(high) - np.floor(low) + 1).prod(axis=1))
    last = boxes[-1] if len(boxes) else 0.0
    cuts = np.searchsorted(boxes, np.arange(_CHUNK, last, _CHUNK))
    for part in np.split(sound, np.unique(cuts)):
        if len(part):
            yield part


def _fragments(
    corners: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels whose middle is in a triangle or on its edge: rows of `corners`, and pixels."""
    y = corners[..., 1]
    first = np.ceil(y.min(axis=1) - 0.5).clip(0, height).astype(np.int64)
    last = np.floor(y.max(axis=1) - 0.5).clip(-1, height - 1).astype(np.int64)
    owner, row = _runs(first, (last - first + 1).clip(min=0))
    middle = row + 0.5
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        # Both faces of an edge must find the same x, so its ends are put in one order.
        one, two = corners[:, i, :2], corners[:, j, :2]
        turned = (one[:, 1] > two[:, 1]) | ((one[:, 1] == two[:, 1]) & (one[:, 0] > two[:, 0]))
        top, bottom = np.where(turned[:, None], (two, one), (one, two))
        rise = bottom[:, 1] - top[:, 1]
        slope = (bottom[:, 0] - top[:, 0]) / np.where(rise > 0, rise, 1)
        x = top[owner, 0] + (middle - top[owner, 1]) * slope[owner]
        crossed = (middle >= top[owner, 1]) & (middle <= bottom[owner, 1]) & (rise[owner] > 0)
        left = np.where(crossed, np.minimum(left, x), left)
        right = np.where(crossed, np.maximum(right, x), right)
    begin = np.ceil(left - 0.5).clip(0, width).astype(np.int64)
    end = np.floor(right - 0.5).clip(-1, width - 1).astype(np.int64)
    span, column = _runs(begin, (end - begin + 1).clip(min=0))
    return owner[span], row[span] * width + column


def _runs(
    first: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each i, first[i], first[i] + 1, ... count[i] times: the i, and the numbers."""
    owner = np.repeat(np.arange(len(first)), count)
    before = np.cumsum(count) - count
    return owner, np.arange(len(owner)) + (first - before)[owner]


def _nearness(
    corners: NDArray[np.float64],
    which: NDArray[np.int64],
    pixel: NDArray[np.int64],
    width: int,
) -> NDArray[np.float32]:
    """(n,) 1 / depth of fragments, which is a plane over the picture."""
    near = 1 / corners[..., 2]
    a, b, c = (corners[:, i, :2] for i in range(3))
    area = _twice_area(corners)
    one, two = near[:, 1] - near[:, 0], near[:, 2] - near[:, 0]
    across = (one * (c - a)[:, 1] - two * (b - a)[:, 1]) / area
    down = (two * (b - a)[:, 0] - one * (c - a)[:, 0]) / area
    at_zero = near[:, 0] - across * (a[:, 0] - 0.5) - down * (a[:, 1] - 0.5)
    value = at_zero[which] + across[which] * (pixel % width) + down[which] * (pixel // width)
    # A sliver's plane is steep, and rounding may lead out of it.
    return value.clip(near.min(axis=1)[which], near.max(axis=1)[which]).astype(np.float32)


def _inside(
    corners: NDArray[np.float64], pixel: NDArray[np.int64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Barycentric coordinates in space and depth at the middle of pixels, (n, 3) and (n,)."""
    here = np.stack([pixel % width + 0.5, pixel // width + 0.5], axis=1)
    offsets = corners[..., :2] - here[:, None]
    flat = np.stack(
        [
            offsets[:, j, 0] * offsets[:, k, 1] - offsets[:, j, 1] * offsets[:, k, 0]
            for j, k in ((1, 2), (2, 0), (0, 1))
        ],
        axis=1,
    )
    flat = (flat / _twice_area(corners)[:, None]).clip(0, 1)
    flat /= (flat[:, 0] + flat[:, 1] + flat[:, 2])[:, None]
    near = flat / corners[..., 2]
    total = near[:, 0] + near[:, 1] + near[:, 2]  # sum() is slow over three
    return near / total[:, None], 1 / total
