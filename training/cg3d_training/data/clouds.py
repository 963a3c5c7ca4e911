"""Clouds as the encoder meets them in training: several furthest point orders of each object."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cg3d_runtime.points import furthest_point_order, unit_sphere
from cg3d_training.data.partial import PartialViews, partial_view


class PointSource(Protocol):
    """Objects whose points can be asked for one by one."""

    def __len__(self) -> int:
        """How many objects there are."""

    def points(self, index: int) -> NDArray[np.float32]:
        """(n, 3) float32, y up."""


class OrderedClouds:
    """For each object, several samples of `points` points in furthest point order.

    Each is drawn from another random subset of the object's points, in another order, so that
    the encoder never sees the very same points twice too often; sampling is done once, before
    training, and not at every visit.

    Args:
        objects: whose points they are.
        points: of each sample.
        orders: samples of the whole object.
        seed: of all that is drawn here.
        quiet: show no progress.
        partial: further samples, each as cameras drawn anew see the object.
        cameras: how those stand and what they get wrong.
    """

    def __init__(
        self,
        objects: PointSource,
        points: int,
        orders: int,
        seed: int,
        quiet: bool = False,
        partial: int = 0,
        cameras: PartialViews = PartialViews(),  # noqa: B008  frozen
    ) -> None:
        rng = np.random.default_rng(seed)
        # A stream of their own: the samples of whole objects stay what they are without them.
        rng_partial = np.random.default_rng([seed, 1])
        clouds = np.empty((len(objects), orders + partial, points, 3), np.float16)
        bar = tqdm(
            range(len(objects)), "furthest point orders", unit="object", leave=False, disable=quiet
        )
        for i in bar:
            whole = objects.points(i)
            for j in range(orders):
                clouds[i, j] = one_order(whole, points, rng)
            for j in range(partial):
                seen = partial_view(whole, cameras, rng_partial)
                clouds[i, orders + j] = seen[furthest_point_order(seen, points)]
        self._clouds = clouds

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """(B, points, 3) float32: for each object one of its samples."""
        which = rng.integers(self._clouds.shape[1], size=len(rows))
        return torch.from_numpy(self._clouds[rows, which].astype(np.float32))


def one_order(
    whole: NDArray[np.float32], points: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A random subset of a cloud (at least half of it), in the unit sphere, in order."""
    keep = int(rng.integers(max(points, len(whole) // 2), len(whole) + 1))
    subset = unit_sphere(whole[rng.permutation(len(whole))[:keep]]).xyz
    return subset[furthest_point_order(subset, points)]
