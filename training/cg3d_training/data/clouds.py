"""Clouds as the encoder meets them in training: several furthest point orders of each object."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cg3d_runtime.bundle.arrays import decode_array, encode_array
from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import furthest_point_order, unit_sphere
from cg3d_training.data.partial import PartialViews, partial_view

#: Part of a kept sample's name: another rule of drawing needs another number.
_RULE = 1


class PointSource(Protocol):
    """Objects whose points can be asked for one by one."""

    def __len__(self) -> int:
        """How many objects there are."""

    def points(self, index: int) -> NDArray[np.float32]:
        """(n, 3) float32, y up."""


class WithClouds:
    """A source, and further clouds (n, 3) after it."""

    def __init__(self, source: PointSource, further: Sequence[NDArray[np.float32]]) -> None:
        self._source, self._further = source, further

    def __len__(self) -> int:
        return len(self._source) + len(self._further)

    def points(self, index: int) -> NDArray[np.float32]:
        """(n, 3) float32, y up."""
        own = len(self._source)
        return self._source.points(index) if index < own else self._further[index - own]


class OrderedClouds:
    """For each object, several samples of `points` points in furthest point order.

    Each is drawn from another random subset of the object's points, in another order, so that
    the encoder never sees the very same points twice too often; sampling is done once, before
    training, and not at every visit. What is drawn depends on the seed and the object's own points
    alone, so it is the same in every set that holds the object.

    Args:
        objects: whose points they are.
        points: of each sample.
        orders: samples of the whole object.
        seed: of all that is drawn here.
        quiet: show no progress.
        partial: further samples, each as cameras drawn anew see the object.
        cameras: how those stand and what they get wrong.
        cache: a folder that keeps the samples for the next run; None keeps nothing.

    Raises:
        TrainingError: a file of the cache holds something else.
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
        cache: Path | None = None,
    ) -> None:
        settings: list[object] = [_RULE, seed, points, orders, partial]
        if partial:
            settings.append(dataclasses.asdict(cameras))
        clouds = np.empty((len(objects), orders + partial, points, 3), np.float16)
        bar = tqdm(
            range(len(objects)), "furthest point orders", unit="object", leave=False, disable=quiet
        )
        for i in bar:
            whole = objects.points(i)
            digest = hashlib.sha256(json.dumps(settings).encode() + whole.tobytes()).hexdigest()
            file = cache / digest[:2] / f"{digest}.npy" if cache else None
            kept = _kept(file, clouds.shape[1:]) if file else None
            if kept is not None:
                clouds[i] = kept
                continue
            rng = np.random.default_rng([seed, int(digest, 16)])
            for j in range(orders):
                clouds[i, j] = one_order(whole, points, rng)
            for j in range(orders, orders + partial):
                seen = partial_view(whole, cameras, rng)
                clouds[i, j] = seen[furthest_point_order(seen, points)]
            if file:
                replace_file(file, encode_array(clouds[i]))
        self._clouds = clouds

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """(B, points, 3) float32: for each object one of its samples."""
        which = rng.integers(self._clouds.shape[1], size=len(rows))
        return torch.from_numpy(self._clouds[rows, which].astype(np.float32))


def _kept(file: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """What a file of the cache holds; None where there is none."""
    if not file.is_file():
        return None
    array = decode_array(file.read_bytes(), str(file))
    if array.dtype != np.float16 or array.shape != shape:
        raise TrainingError(
            f"{file} holds {array.dtype} {array.shape}, not float16 {shape}: delete it, it will be "
            "made again"
        )
    return array


def one_order(
    whole: NDArray[np.float32], points: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A random subset of a cloud (at least half of it), in the unit sphere, in order.

    A cloud of fewer points than `points` is repeated.
    """
    least = min(len(whole), max(points, len(whole) // 2))
    keep = int(rng.integers(least, len(whole) + 1))
    subset = unit_sphere(whole[rng.permutation(len(whole))[:keep]]).xyz
    return subset[furthest_point_order(subset, points)]
