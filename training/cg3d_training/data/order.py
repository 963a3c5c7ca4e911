"""The order of an epoch: random, and still so that few shards are read at a time.

The shards are shuffled and laid in a row, and the row of their objects is cut into `lanes` equal
parts. Within a lane, runs of `window` objects are shuffled. Every batch takes the same number of
objects from each lane, lane after lane. So

- a set of at most `window` objects in one lane is shuffled like a deck of cards;
- of a larger one only the shards of a window are needed at a time, and objects meet others of the
  few shards that this epoch put beside theirs;
- where K processes share the batches evenly and K divides `lanes`, each reads shards of its own
  (and at most one beyond each end), yet the batches are those of one process.

Everything follows from seed and epoch: the batch of any step is computed without those before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError

_ORDER = 1  # keeps these draws apart from others of the same seed


@dataclass(frozen=True)
class OrderSettings:
    """How objects are put in order.

    Attributes:
        seed: of the order; the epoch's number is added.
        batch: objects in a batch.
        window: objects that are shuffled together.
        lanes: parts of the set that batches draw from evenly.
    """

    seed: int
    batch: int
    window: int
    lanes: int = 1


class EpochOrder:
    """Which objects make which batch of an epoch.

    Attributes:
        steps: batches, the same number in every epoch; what is left over is left out, and is
            other objects in every epoch.
    """

    def __init__(self, counts: NDArray[np.int64], settings: OrderSettings, epoch: int) -> None:
        """Shuffle the shards.

        Args:
            counts: (shards,) objects in each; objects are numbered shard by shard.
            settings: how.
            epoch: from 0.

        Raises:
            TrainingError: a batch cannot be drawn from the lanes evenly, or window or lanes are
                not positive.
        """
        if settings.window < 1 or settings.lanes < 1:
            raise TrainingError(
                f"a window of {settings.window} objects and {settings.lanes} lanes: both should "
                "be at least 1"
            )
        if settings.batch % settings.lanes:
            raise TrainingError(
                f"a batch of {settings.batch} cannot be drawn from {settings.lanes} lanes evenly; "
                "choose data.lanes as a divisor of optimiser.batch_size"
            )
        self._settings, self._epoch = settings, epoch
        shuffled = np.random.default_rng([settings.seed, _ORDER, epoch]).permutation(len(counts))
        self._first = (np.cumsum(counts) - counts)[shuffled]
        self._ends = np.cumsum(counts[shuffled])
        self._lane = int(counts.sum()) // settings.lanes
        self._share = settings.batch // settings.lanes
        self.steps = self._lane // self._share
        self._windows: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def batch(self, step: int) -> NDArray[np.int64]:
        """(batch,) the objects of a step, those of each lane together."""
        places = range(step * self._share, (step + 1) * self._share)
        lanes = range(self._settings.lanes)
        return self._rows(np.array([self._place(lane, i) for lane in lanes for i in places]))

    def _place(self, lane: int, i: int) -> int:
        """Where the i-th of a lane stands in the row of all objects."""
        window, inside = divmod(i, self._settings.window)
        known = self._windows.get(lane)
        if known is None or known[0] != window:
            start = window * self._settings.window
            rng = np.random.default_rng([self._settings.seed, _ORDER, self._epoch, lane, window])
            places = rng.permutation(min(self._settings.window, self._lane - start)) + start
            known = self._windows[lane] = window, places
        return lane * self._lane + int(known[1][inside])

    def _rows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        shard = np.searchsorted(self._ends, places, side="right")
        before = np.where(shard > 0, self._ends[shard - 1], 0)
        return np.asarray(self._first[shard] + places - before, np.int64)
