"""A folder of triplets as pre-training meets them: points, pictures for the teacher, captions."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import fill, normal_name
from cg3d_training.data.captions import TEMPLATES
from cg3d_training.data.samples import Sample, decode_view
from cg3d_training.data.shard_index import read_objects
from cg3d_training.data.shards import ShardFolder
from cg3d_training.data.storage import Cache
from cg3d_training.teachers import Teacher

_PHOTO = "A photo of a {}"


class TripletSet:
    """The objects of a folder that `cg3d-train prepare` made.

    Points and pictures stay where they are until they are asked for; in memory there is a place, a
    name and a caption of each object.

    Attributes:
        names: of each object, as `normal_name` writes it; objects of one name are one class.
        classes: (n,) int64, the number of each object's class.
        views: (n,) int64, how many pictures each object has.
        captions: given for each object, may be none.
        prepared: the caption that `prepare` chose for each object.
        licences: how many objects come under which.
        shard_counts: (shards,) int64, how many objects are in each; they are numbered in order.
    """

    def __init__(
        self, source: str | Path, points: int, quiet: bool = False, cache: Cache | None = None
    ) -> None:
        """Read what there is, from the lines of `objects.jsonl` alone.

        Args:
            source: a folder of shards, or its address in an object store.
            points: the least that every object must have.
            quiet: show no progress.
            cache: for shards of an object store; None: `default_cache()`.

        Raises:
            TrainingError: the folder is missing or damaged, or an object has no name, no
                pictures, or too few points.
            DependencyError: the package for this kind of address is not installed.
        """
        self._shards = ShardFolder(source, cache)
        # Texts that occur again and again, as names and templates do, are kept once.
        texts: dict[str, str] = {}
        names, captions, prepared, views = [], [], [], array("h")
        licences: Counter[str] = Counter()
        bar = tqdm(
            read_objects(self._shards.storage, self._shards.index), "triplets",
            total=len(self._shards), leave=False, disable=quiet, unit="object",
        )  # fmt: skip
        for row, facts in enumerate(bar):
            name = normal_name(facts.name)
            for problem, there in {
                "has no name": name,
                "has no pictures": facts.views > 0,
                f"has {facts.points} points and the encoder takes {points}": (
                    facts.points >= points
                ),
            }.items():
                if not there:
                    raise TrainingError(
                        f"{source}: {self._shards.index.key(row)} {problem}; make the shards anew "
                        "with `cg3d-train prepare`"
                    )
            names.append(texts.setdefault(name, name))
            captions.append(tuple(texts.setdefault(c, c) for c in facts.captions))
            prepared.append(texts.setdefault(facts.caption, facts.caption))
            views.append(facts.views)
            licences[facts.licence or "not stated"] += 1
        self.names, self.captions, self.prepared = tuple(names), tuple(captions), tuple(prepared)
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        self.classes = np.array([numbers[name] for name in names], np.int64)
        self.views = np.array(views, np.int64)
        self.shard_counts = self._shards.index.counts
        self.licences = dict(licences.most_common())

    def __len__(self) -> int:
        return len(self.names)

    def check_cache(self, objects: int) -> None:
        """See `ShardFolder.check_cache`."""
        self._shards.check_cache(objects)

    def sample(self, row: int) -> Sample:
        """All there is of an object, read anew.

        Raises:
            TrainingError: it cannot be read.
        """
        return self._shards[row]


@dataclass(frozen=True)
class PictureForm:
    """How a teacher wants its pictures.

    Attributes:
        size: (height, width) in pixels.
        mean, std: of each channel; pixels from 0 to 1 are made (pixel - mean) / std.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(teacher: Teacher) -> PictureForm:
        """That of a teacher."""
        return PictureForm(teacher.image_size, teacher.image_mean, teacher.image_std)


def picture(view: bytes, form: PictureForm) -> Tensor:
    """A JPEG or PNG file to (3, H, W) float32, ready for the teacher.

    Raises:
        TrainingError: it cannot be decoded.
    """
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (form.mean, form.std))
    return (fit(decode_view(view), form.size) - mean) / std


def fit(picture: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """(h, w, 3) uint8 to (3, H, W) float32 in [0, 1]: resized to cover, and cut in the middle.

    A picture that has the size already is left as it is.
    """
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
    height, width = size
    if tuple(image.shape[1:]) == size:
        return image
    scale = max(height / image.shape[1], width / image.shape[2])
    target = [max(round(s * scale), t) for s, t in zip(image.shape[1:], size, strict=True)]
    image = functional.interpolate(image[None], target, mode="bilinear", antialias=True)[0]
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    return image[:, top : top + height, left : left + width].clamp(0, 1)


class CaptionTable:
    """Every caption that a run can meet, once each, and which of them belong to which object.

    Attributes:
        texts: the captions.
    """

    def __init__(self, objects: TripletSet, kind: str) -> None:
        """Collect them.

        Args:
            objects: to say something of.
            kind: "photo", "templates" or "prepared", see `TripletDataConfig`.
        """
        numbers: dict[str, int] = {}
        choices: dict[tuple[str, ...], NDArray[np.int64]] = {}

        def rows(texts: tuple[str, ...]) -> NDArray[np.int64]:
            if texts not in choices:
                found = [numbers.setdefault(text, len(numbers)) for text in texts]
                choices[texts] = np.array(found, np.int64)
            return choices[texts]

        self._rows: Sequence[NDArray[np.int64]] = [
            rows(self._of(objects, i, kind)) for i in range(len(objects))
        ]
        self.texts = tuple(numbers)

    @staticmethod
    def _of(objects: TripletSet, row: int, kind: str) -> tuple[str, ...]:
        if kind == "prepared":
            return (objects.prepared[row],)
        if kind == "templates":
            given = objects.captions[row]
            return given or tuple(fill(template, objects.names[row]) for template in TEMPLATES)
        return (fill(_PHOTO, objects.names[row]),)

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """(B,) one caption of each object, as rows of `texts`."""
        counts = np.array([len(self._rows[row]) for row in rows])
        chosen = rng.integers(counts)
        return np.array([self._rows[row][c] for row, c in zip(rows, chosen, strict=True)])
