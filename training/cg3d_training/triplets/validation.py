"""Objects that a run on triplets never learns from, to check it on while it trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import fill, normal_name
from cg3d_training.data.clouds import OrderedClouds
from cg3d_training.data.shards import ShardFolder
from cg3d_training.data.storage import Cache
from cg3d_training.losses import centred_rows
from cg3d_training.teachers import Teacher
from cg3d_training.triplets.caption_vectors import text_vectors

#: The paper's caption, around each class name.
PROMPT = "A photo of a {}"


class NamedClouds:
    """Points and names of a folder of shards; pictures are not asked for."""

    def __init__(self, folder: str, points: int, cache: Cache | None) -> None:
        self._shards = ShardFolder(folder, cache)
        names = []
        for sample in self._shards:
            names.append(normal_name(sample.record["name"]))
            if not names[-1] or len(sample.points) < points:
                raise TrainingError(
                    f"{folder}: {sample.key} has no name, or {len(sample.points)} points where "
                    f"the encoder takes {points}; make the shards anew with `cg3d-train prepare`"
                )
        if not names:
            raise TrainingError(f"{folder}: no objects to validate on")
        self.names = tuple(names)

    def __len__(self) -> int:
        return len(self.names)

    def points(self, index: int) -> NDArray[np.float32]:
        """(n, 3) float32."""
        return self._shards[index].points[:, :3].astype(np.float32)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What zero-shot accuracy is measured on.

    Attributes:
        points: (n, N, 3) float32, in furthest point order.
        anchors: (L, d) unit rows, the class names' text vectors.
        own: (n, L) bool, the class of each object.
    """

    points: Tensor
    anchors: Tensor
    own: Tensor


def held_out(
    folder: str, points: int, seed: int, teacher: Teacher, mean: Tensor, device: str, quiet: bool,
    cache: Cache | None = None,
) -> HeldOut:  # fmt: skip
    """Read a folder of shards to validate on.

    Args:
        folder: made by `cg3d-train prepare`, of objects that are not trained on; or its address
            in an object store.
        points: that the encoder takes.
        seed: of the samples of the clouds; they are drawn once.
        teacher: makes the names' vectors, on `device`.
        mean: (d,) taken off the texts' unit vectors, as in training.
        device: where the teacher is.
        quiet: show no progress.
        cache: for shards of an object store; None: `default_cache()`.

    Raises:
        TrainingError: there are no objects, or one has no name or too few points.
    """
    objects = NamedClouds(folder, points, cache)
    names = tuple(dict.fromkeys(objects.names))
    texts = tuple(fill(PROMPT, name) for name in names)
    vectors = text_vectors(teacher, texts, torch.device(device), quiet)
    clouds = OrderedClouds(objects, points, 1, seed, quiet)
    classes = torch.tensor([names.index(name) for name in objects.names])
    return HeldOut(
        clouds.batch(np.arange(len(objects)), np.random.default_rng(0)),
        centred_rows(vectors, mean),
        functional.one_hot(classes, len(names)).bool(),
    )
