"""The paper's segmentation: k-means on coordinates (section 3.4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.planes import room_height_band
from cg3d_runtime.scene.segmentation import Partition
from cg3d_runtime.scene.voxels import spacing, voxels

#: Rounds of Lloyd's algorithm; k-means on coordinates hardly moves after these.
_ROUNDS = 30

#: Square metres of floor plan for each cluster, and the bounds of their number.
_AREA_EACH, _LEAST, _MOST = 1.0, 8, 256


@dataclass(frozen=True)
class KMeansSegmentation:
    """Clusters of points that lie together, whatever they belong to.

    As the paper does, floor and ceiling are left out first. The paper does not say how many
    clusters it takes; here it is one for each square metre of floor plan, 8 to 256, unless given.

    Attributes:
        clusters: their number; None to take it from the size of the scene.
    """

    clusters: int | None = None

    def __call__(self, xyz: NDArray[np.floating]) -> tuple[Partition, ...]:
        """One partition; see `Segmentation`."""
        step = spacing(xyz)
        grid = voxels(xyz, 4.0 * step)
        inside = room_height_band(grid.centres[:, 2], grid.size)
        labels = np.full(len(grid), -1, np.int32)
        plan = len(np.unique(grid.cells[:, :2] // max(1, round(0.25 / grid.size)), axis=0))
        area = plan * (max(1, round(0.25 / grid.size)) * grid.size) ** 2
        count = self.clusters or int(np.clip(round(area / _AREA_EACH), _LEAST, _MOST))
        chosen = np.flatnonzero(inside)
        labels[chosen] = kmeans(grid.centres[chosen], grid.counts[chosen], count)
        return (Partition("k-means", labels[grid.of_point], 1.0),)


def kmeans(
    places: NDArray[np.floating], weights: NDArray[np.integer], clusters: int
) -> NDArray[np.int32]:
    """Lloyd's algorithm from k-means++ seeds, the same at every call.

    Args:
        places: (m, d).
        weights: (m,) positive.
        clusters: how many; fewer where there are fewer places.

    Returns:
        (m,) int32 the cluster of each place.
    """
    places = np.ascontiguousarray(places, np.float32)
    places = places - places.mean(axis=0)
    mass = np.asarray(weights, np.float64)
    clusters = min(clusters, len(places))
    # Raw bits of PCG64 never change between numpy versions.
    draws = np.random.PCG64(0).random_raw(clusters).astype(np.float64) / 2.0**64
    centres = np.empty((clusters, places.shape[1]), np.float32)
    nearest = np.full(len(places), np.inf)
    for i, draw in enumerate(draws):
        chance = np.cumsum(mass * np.where(np.isinf(nearest), 1.0, nearest))
        centres[i] = places[min(int(np.searchsorted(chance, draw * chance[-1])), len(places) - 1)]
        np.minimum(nearest, ((places - centres[i]) ** 2).sum(axis=1), out=nearest)
    labels = _assigned(places, centres)
    for _ in range(_ROUNDS):
        total = np.bincount(labels, mass, clusters)
        for k in range(places.shape[1]):
            moved = np.bincount(labels, mass * places[:, k], clusters)
            centres[:, k] = np.where(total > 0, moved / np.maximum(total, 1e-12), centres[:, k])
        again = _assigned(places, centres)
        if np.array_equal(again, labels):
            break
        labels = again
    return labels


def _assigned(places: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int32]:
    half = 0.5 * (centres**2).sum(axis=1)
    labels = np.empty(len(places), np.int32)
    for start in range(0, len(places), 4096):
        part = places[start : start + 4096]
        labels[start : start + 4096] = (half - part @ centres.T).argmin(axis=1)
    return labels
