"""Choosing points: thinning large clouds and furthest point sampling, both deterministic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The sampling operator of the official code never selects points within this squared radius of
#: the origin (except the first), so that "dropped" points, set to the origin, vanish.
NEAR_ORIGIN = np.float32(1e-3)

#: The official operator reduces with at most this many threads, which decides its ties.
MAX_THREADS = 512


def thin(xyz: NDArray[np.floating], n: int) -> NDArray[np.floating]:
    """At most `n` rows, spread at random over the cloud, the same ones at every call.

    The choice depends on the number of rows alone. Raw bits of PCG64 are used because, unlike
    `Generator` methods, they never change between numpy versions.

    Args:
        xyz: (N, 3), any float type.
        n: the number of rows to keep; with N <= n the cloud comes back as it is.
    """
    if len(xyz) <= n:
        return xyz
    keys = np.random.PCG64(len(xyz)).random_raw(len(xyz))
    return xyz[np.sort(np.argpartition(keys, n)[:n])]


def furthest_point_sample(xyz: NDArray[np.float32], m: int) -> NDArray[np.int64]:
    """Furthest point sampling with the semantics of the official CUDA operator.

    Starts at index 0. Points with |p|^2 <= 1e-3 are never selected (except index 0). Among
    equally far points the smallest (k mod T) wins, then the smallest k, where T is the largest
    power of two <= N, at most 512. When the selectable points run out, an index repeats. Squared
    distances are float32, as in `pointnet2_ops.furthest_point_sample`.

    Args:
        xyz: (N, 3) float32, usually in the unit sphere.
        m: how many to select.

    Returns:
        (m,) int64 indices into `xyz`.
    """
    n = len(xyz)
    # With the points in the order of the tie rule, argmax (first of equals) applies it for free.
    threads = min(MAX_THREADS, 1 << (n.bit_length() - 1))
    order = np.lexsort((np.arange(n), np.arange(n) % threads))
    x, y, z = (np.ascontiguousarray(xyz[order, axis]) for axis in range(3))
    nearest = np.full(n, 1e10, np.float32)
    nearest[x * x + y * y + z * z <= NEAR_ORIGIN] = -1.0

    chosen = np.empty(m, np.int64)
    distance, square = np.empty(n, np.float32), np.empty(n, np.float32)
    last = 0  # index 0 is first in the order of the tie rule
    for i in range(m):
        chosen[i] = last
        np.subtract(x, x[last], out=distance)
        np.multiply(distance, distance, out=distance)
        for axis in (y, z):
            np.subtract(axis, axis[last], out=square)
            np.multiply(square, square, out=square)
            np.add(distance, square, out=distance)
        np.minimum(nearest, distance, out=nearest)
        last = int(nearest.argmax())
    return order[chosen]


def furthest_point_order(xyz: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Indices of exactly `n` points of which every prefix is a furthest point sample.

    An encoder that would sample inside its graph takes a prefix instead. With fewer than `n`
    points, all of them come in furthest point order, then again in turn, so that no point weighs
    much more than another.

    Args:
        xyz: (N, 3) float32 in the unit sphere.
        n: the number of points that the encoder takes.

    Returns:
        (n,) int64 indices into `xyz`.
    """
    order = furthest_point_sample(xyz, min(n, len(xyz)))
    if len(xyz) >= n:
        return order
    # The operator passes over points near the origin; they still belong to the shape.
    order = order[np.sort(np.unique(order, return_index=True)[1])]
    rest = np.setdiff1d(np.arange(len(xyz)), order)
    return np.resize(np.concatenate([order, rest]), n)
