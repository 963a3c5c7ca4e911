"""What is asked to name clouds without training on them: encoders, bundles, PointCLIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol as Shape

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.checkpoint import Checkpoint, load_checkpoint
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.evaluation.any_order import embed_any_order
from cg3d_training.evaluation.subjects import find_checkpoint
from cg3d_training.losses import unit_rows
from cg3d_training.paper.depth_maps import DepthMaps
from cg3d_training.paper.pictures import ImageTower, of_clouds, view_vectors
from cg3d_training.paper.protocol import Protocol, prepared
from cg3d_training.paper.words import BundleWords, Words
from cg3d_training.runs.folder import RESULT

_AT_ONCE = 32


class Contender(Shape):
    """Makes one vector, or one a view, of every cloud.

    Attributes:
        name: for tables.
        words: that its vectors are compared with.
        space: in which.
        phrasing: that it is always asked with; None: whichever the user chose.
    """

    name: str
    words: Words
    space: TextSpace
    phrasing: tuple[str, ...] | None

    def embed(self, clouds: LabelledClouds, protocol: Protocol) -> NDArray[np.float32]:
        """(n, views, d) unit rows; an encoder has one view."""


class EncoderContender:
    """A checkpoint's encoder, through torch.

    Raises:
        TrainingError: it is a classifier's, or the words are of another size.
    """

    phrasing: tuple[str, ...] | None = None

    def __init__(
        self, checkpoint: Checkpoint, name: str, words: Words, device: str = "cpu"
    ) -> None:
        if checkpoint.record.get("classes"):
            raise TrainingError(f"{name} is a classifier's, which compares nothing with texts")
        if len(checkpoint.text_mean) != words.dim:
            raise TrainingError(
                f"{name} was trained for texts of {len(checkpoint.text_mean)} numbers, and "
                f"{words.name} gives {words.dim}: name its own teacher with --text"
            )
        self.name, self.words, self._device = name, words, device
        self.space = TextSpace(checkpoint.text_mean.numpy())
        self._encoder = checkpoint.build().to(device)

    def embed(self, clouds: LabelledClouds, protocol: Protocol) -> NDArray[np.float32]:
        """See `Contender`."""
        points = protocol.points or self._encoder.points
        if points < self._encoder.fewest_points:
            raise TrainingError(
                f"{self.name} takes {self._encoder.fewest_points} points or more, not {points}"
            )
        if self._encoder.any_order:
            return self._any_order(clouds)
        parts, batch = [], []
        for cloud in tqdm(clouds.clouds, self.name, unit="cloud", leave=False):
            batch.append(prepared(cloud, protocol, points))
            if len(batch) == _AT_ONCE:
                parts.append(self._rows(batch))
                batch = []
        if batch:
            parts.append(self._rows(batch))
        return np.concatenate(parts)[:, None]

    def _any_order(self, clouds: LabelledClouds) -> NDArray[np.float32]:
        """Encoders of other projects have their own rule (docs/peers.md), whatever the protocol."""
        every, parts = clouds.clouds, []
        for start in tqdm(range(0, len(every), _AT_ONCE), self.name, unit="batch", leave=False):
            batch = [every[i] for i in range(start, min(start + _AT_ONCE, len(every)))]
            parts.append(embed_any_order(self._encoder, batch, "y", self._device))
        return np.concatenate(parts)[:, None]

    @torch.no_grad()
    def _rows(self, batch: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        points = torch.from_numpy(np.stack(batch)).to(self._device)
        return unit_rows(self._encoder.embed_ordered(points)).cpu().numpy()


class BundleContender:
    """A bundle through the Recognizer: what a robot gets."""

    phrasing: tuple[str, ...] | None = None

    def __init__(self, recognizer: Recognizer, words: Words | None = None) -> None:
        self._recognizer = recognizer
        self.name = recognizer.bundle.manifest.name
        self.words: Words = words or BundleWords(recognizer)
        self.space = TextSpace(recognizer.bundle.text().mean)

    def embed(self, clouds: LabelledClouds, protocol: Protocol) -> NDArray[np.float32]:
        """See `Contender`."""
        if protocol.sampling != "bundle":
            raise TrainingError(
                f"the bundle {self.name} prepares clouds in its own way; the official protocol is "
                "for checkpoints"
            )
        rows = []
        for cloud in tqdm(clouds.clouds, self.name, unit="cloud", leave=False):
            if protocol.points:
                cloud = prepared(cloud, protocol, protocol.points)
            rows.append(self._recognizer.embed([cloud], "y"))
        return np.concatenate(rows)[:, None]


class PictureContender:
    """PointCLIP: a teacher's image tower on depth maps, whose views have one vote each."""

    def __init__(
        self, tower: ImageTower, maps: DepthMaps, words: Words,
        phrasing: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        self.name = tower.name
        self.words, self.phrasing = words, phrasing
        self.space = TextSpace(np.zeros(words.dim, np.float32))
        self._tower, self._maps = tower, maps

    def embed(self, clouds: LabelledClouds, protocol: Protocol) -> NDArray[np.float32]:
        """See `Contender`; the protocol's points do not concern it."""
        return view_vectors([self._tower], of_clouds(self.name, clouds, self._maps))[0]


def open_contender(
    path: Path | None, words: Words | None, threads: int | None = None, device: str = "cpu"
) -> Contender:
    """A bundle, a checkpoint, or the folder of a run; None: the shipped bundle.

    Raises:
        TrainingError: a checkpoint without words, or one that cannot be read.
        BundleError: a bundle that cannot be read.
    """
    checkpoint = find_checkpoint(path)
    if checkpoint is None:
        return BundleContender(Recognizer(path, threads=threads), words)
    if words is None:
        raise TrainingError(
            f"{path} is a checkpoint, which has no words of its own: give --text open_clip:..., "
            "slip:FILE, or a folder of text vectors"
        )
    name = checkpoint.parent.name if checkpoint.name == RESULT else checkpoint.stem
    return EncoderContender(load_checkpoint(checkpoint), name, words, device)
