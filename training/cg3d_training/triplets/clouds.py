"""The points of an object at a visit, in furthest point order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.clouds import one_order
from cg3d_training.data.samples import FURTHEST_FIRST, Sample

_CLOUDS = 3  # keeps these draws apart from others of the same seed


class Clouds(Protocol):
    """Clouds in furthest point order."""

    def order(self, sample: Callable[[], Sample], row: int, order: int) -> Tensor:
        """(points, 3) float32, y up, in the unit sphere.

        Args:
            sample: reads the object.
            row: its number.
            order: which of its orders.

        Raises:
            TrainingError: it cannot be read, or is in no order.
        """


class AsPrepared:
    """The first points of an object, as `prepare` put them in order."""

    def __init__(self, points: int) -> None:
        self._points = points

    def order(self, sample: Callable[[], Sample], row: int, order: int) -> Tensor:
        """See `Clouds`."""
        found = sample()
        if found.record.get("order") != FURTHEST_FIRST:
            raise TrainingError(
                f"{found.key}: data.orders is 0, and these shards were made before points were "
                "put in order: make them anew with `cg3d-train prepare`, or set data.orders to 1"
            )
        return torch.from_numpy(found.points[: self._points, :3].astype(np.float32))


class OrderedOnDemand:
    """Clouds in furthest point order, computed when they are asked for and kept while they fit.

    The j-th order of an object is the same whenever and wherever it is computed.
    """

    def __init__(self, points: int, seed: int, room: int) -> None:
        """Keep up to `room` bytes of clouds."""
        self._points, self._seed = points, seed
        self._room = room // (points * 3 * 2)
        self._kept: dict[tuple[int, int], NDArray[np.float16]] = {}

    def order(self, sample: Callable[[], Sample], row: int, order: int) -> Tensor:
        """See `Clouds`."""
        cloud = self._kept.get((row, order))
        if cloud is None:
            rng = np.random.default_rng([self._seed, _CLOUDS, row, order])
            whole = sample().points[:, :3].astype(np.float32)
            cloud = one_order(whole, self._points, rng).astype(np.float16)
            # What is kept is never put out again: visits are even, so the share of visits that
            # find their cloud is the share of clouds that is kept, whichever these are.
            if len(self._kept) < self._room:
                self._kept[row, order] = cloud
        return torch.from_numpy(cloud.astype(np.float32))
