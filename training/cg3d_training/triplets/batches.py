"""The batches of a run on triplets: which objects, and what is read and computed of each.

All randomness of a step follows from seed, epoch and step, and that of one object in it from a
number drawn for it. So a run goes on in the middle of an epoch without reading what came before,
every process reads its own share of a batch and no more, and reading can be done ahead by other
processes: none of this changes a bit of what is trained on.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cg3d_runtime.errors import Cg3dError, TrainingError
from cg3d_training.data.augment import Augmentation, augment
from cg3d_training.data.order import EpochOrder, OrderSettings
from cg3d_training.data.storage import Cache
from cg3d_training.data.triplet_set import CaptionTable, PictureForm, TripletSet, picture
from cg3d_training.triplets.clouds import AsPrepared, Clouds, OrderedOnDemand
from cg3d_training.triplets.config import TripletConfig

_STEPS = 2  # keeps these draws apart from others of the same seed


@dataclass(frozen=True)
class Loading:
    """How batches are read; nothing in it changes what is trained on.

    Attributes:
        workers: processes that read and compute batches ahead; 0: this one, when they are needed.
        ahead: batches that each of them holds ready.
        keep_mb: megabytes of ordered clouds that each process keeps, so as not to order them
            again at the next visit.
        cache: for shards of an object store; None: `default_cache()`.
    """

    workers: int = 0
    ahead: int = 2
    keep_mb: int = 1024
    cache: Cache | None = None


@dataclass(frozen=True)
class Wanted:
    """What a step needs of its objects.

    Attributes:
        points: their points; pictures: a picture of each.
    """

    points: bool
    pictures: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step trains on. B objects in all, of which S are this process's share.

    Attributes:
        rows: (B,) int64 the objects.
        points: (S, points, 3) float32 on the CPU, y up, in furthest point order, augmented; None
            where the step does not want them.
        pictures: (S, 3, H, W) float32 on the CPU, ready for the teacher; or None.
        captions: (B,) int64 rows of the table of captions.
        classes: (B,) int64; objects of one name have one number.
    """

    rows: NDArray[np.int64]
    points: Tensor | None
    pictures: Tensor | None
    captions: NDArray[np.int64]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class _Visit:
    """One object of a batch: which order of its points, which view, how augmented; -1 for none."""

    row: int
    order: int
    view: int
    seed: int


#: Points and picture of one visit, or of a batch; or why they could not be read.
_Read = tuple[Tensor | None, Tensor | None] | Cg3dError


class TripletBatches:
    """Makes the batches of a run.

    Attributes:
        steps: batches in an epoch.
    """

    def __init__(
        self,
        objects: TripletSet,
        captions: CaptionTable,
        config: TripletConfig,
        points: int,
        form: PictureForm,
        share: slice,
        loading: Loading,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            objects: the set.
            captions: of the objects.
            config: the recipe.
            points: of a cloud.
            form: of pictures for the teacher.
            share: this process's part of a batch.
            loading: how.

        Raises:
            TrainingError: there is not one whole batch, or the recipe's lanes do not fit it.
        """
        self._objects, self._captions, self._config = objects, captions, config
        data, size = config.data, config.optimiser.batch_size
        if data.orders < 0:
            raise TrainingError(f"data.orders is {data.orders}; 0 is for the order of the shards")
        self._order = OrderSettings(config.seed, size, data.window, data.lanes)
        self.steps = EpochOrder(objects.shard_counts, self._order, 0).steps
        if not self.steps:
            raise TrainingError(
                f"{data.shards}: {len(objects)} objects to train on, fewer than one batch of {size}"
            )
        objects.check_cache(data.window * data.lanes)
        fixed = None
        if data.views == "fixed":
            fixed = np.random.default_rng(config.seed).integers(objects.views)
        self._plan = _Plan(objects, captions, config, fixed, share)
        clouds: Clouds = AsPrepared(points)
        if data.orders:
            room = loading.keep_mb * 1_000_000 // max(loading.workers, 1)
            clouds = OrderedOnDemand(points, config.seed, room)
        self._loader = DataLoader(
            _Visits(objects, clouds, config.augmentation, form),
            batch_sampler=self._plan,
            collate_fn=_join,
            num_workers=loading.workers,
            prefetch_factor=loading.ahead if loading.workers else None,
            persistent_workers=loading.workers > 0,
            worker_init_fn=_not_to_be_stopped,
            generator=torch.Generator(),  # else it would draw from the run's own
        )

    def close(self) -> None:
        """End the processes that read ahead; torch has no public name for it."""
        reading: Any = self._loader._iterator
        if reading is not None:
            reading._shutdown_workers()

    def epoch(self, epoch: int, start: int, wanted: Callable[[int], Wanted]) -> Iterator[Batch]:
        """The batches of an epoch.

        Args:
            epoch: from 0.
            start: the first step; what comes before it is not read.
            wanted: what each step needs.

        Raises:
            TrainingError: an object cannot be read.
        """
        order = EpochOrder(self._objects.shard_counts, self._order, epoch)
        self._plan.begin(order, epoch, start, wanted)
        for step, read in enumerate(self._loader, start):
            if isinstance(read, Cg3dError):
                raise read
            rows, captions = self._plan.rows(step), self._plan.draw(step).captions
            points, pictures = read
            yield Batch(rows, points, pictures, captions, self._objects.classes[rows])


@dataclass(frozen=True, eq=False)
class _Draws:
    """The random choices of a step, (B,) each, alike in every process."""

    orders: NDArray[np.int64]
    views: NDArray[np.int64]
    captions: NDArray[np.int64]
    seeds: NDArray[np.int64]


class _Plan:
    """What this process reads at each step of an epoch."""

    def __init__(
        self,
        objects: TripletSet,
        captions: CaptionTable,
        config: TripletConfig,
        fixed: NDArray[np.int64] | None,
        share: slice,
    ) -> None:
        self._objects, self._captions, self._config = objects, captions, config
        self._fixed, self._share = fixed, share

    def begin(
        self, order: EpochOrder, epoch: int, start: int, wanted: Callable[[int], Wanted]
    ) -> None:
        """Turn to an epoch."""
        self._epoch_order, self._epoch, self._start, self._wanted = order, epoch, start, wanted

    def rows(self, step: int) -> NDArray[np.int64]:
        """(B,) the objects of a step."""
        return self._epoch_order.batch(step)

    def draw(self, step: int) -> _Draws:
        """The choices of a step, whatever it wants of them."""
        rng = np.random.default_rng([self._config.seed, _STEPS, self._epoch, step])
        rows = self.rows(step)
        orders = rng.integers(max(self._config.data.orders, 1), size=len(rows))
        views = rng.integers(self._objects.views[rows])
        captions = self._captions.draw(rows, rng)
        if self._fixed is not None:
            views = self._fixed[rows]
        return _Draws(orders, views, captions, rng.integers(2**62, size=len(rows)))

    def __iter__(self) -> Iterator[list[_Visit]]:
        for step in range(self._start, self._epoch_order.steps):
            drawn, wanted = self.draw(step), self._wanted(step)
            columns = (
                self.rows(step)[self._share],
                drawn.orders[self._share] if wanted.points else None,
                drawn.views[self._share] if wanted.pictures else None,
                drawn.seeds[self._share],
            )
            count = len(range(*self._share.indices(len(drawn.seeds))))
            lists = ([-1] * count if c is None else c.tolist() for c in columns)
            yield [_Visit(*values) for values in zip(*lists, strict=True)]


class _Visits(Dataset[_Read]):
    """Visits to objects; runs in the processes that read ahead."""

    def __init__(
        self,
        objects: TripletSet,
        clouds: Clouds,
        augmentation: Augmentation,
        form: PictureForm,
    ) -> None:
        self._objects, self._clouds = objects, clouds
        self._augmentation, self._form = augmentation, form

    def __getitem__(self, visit: _Visit) -> _Read:
        sample = cache(lambda: self._objects.sample(visit.row))  # read once, if at all
        points = pixels = None
        try:
            if visit.order >= 0:
                cloud = self._clouds.order(sample, visit.row, visit.order)
                generator = torch.Generator().manual_seed(visit.seed)
                points = augment(cloud[None], self._augmentation, generator)[0]
            if visit.view >= 0:
                pixels = picture(sample().views[visit.view], self._form)
        except Cg3dError as error:  # raised where the batch is used, in whole
            return error
        return points, pixels


def _not_to_be_stopped(worker: int) -> None:
    """A signal to the whole group is the main process's to act on, once its step is done.

    A second SIGTERM does end this one, so that nobody has to wait for it in vain.
    """

    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, once)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _join(
    visits: list[_Read],
) -> _Read:
    points, pictures = [], []
    for visit in visits:
        if isinstance(visit, Cg3dError):
            return visit
        points += [visit[0]] if visit[0] is not None else []
        pictures += [visit[1]] if visit[1] is not None else []
    return (
        torch.stack(points) if points else None,
        torch.stack(pictures) if pictures else None,
    )
