"""What a teacher's image tower makes of pictures and depth maps, with or without prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import read_tensors
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.data.triplet_set import PictureForm, TripletSet, picture
from cg3d_training.losses import unit_rows
from cg3d_training.paper.depth_maps import DepthMaps
from cg3d_training.teachers import DeepPrompts, Teacher, load_prompts
from cg3d_training.triplets.pretrain import PROMPTS

_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class ImageTower:
    """A teacher as it sees with some prompts.

    Attributes:
        name: for tables.
        teacher: frozen, on any device.
        prompts: on the same device; None for the teacher as it is.
    """

    name: str
    teacher: Teacher
    prompts: DeepPrompts | None = None


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures with classes, drawn or read one object after the other.

    Attributes:
        name: for tables.
        classes: (C) names as the set writes them.
        labels: (n,) int64.
        views: pictures of each object.
        make: an object's (views, 3, H, W) float32 for a form.
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    views: int
    make: Callable[[int, PictureForm], torch.Tensor]


def of_clouds(name: str, clouds: LabelledClouds, maps: DepthMaps) -> PictureSet:
    """Depth maps of a labelled set."""
    return PictureSet(
        f"{name}, {maps.name}", clouds.classes, clouds.labels, maps.views,
        lambda row, form: maps.draw(clouds.clouds[row], form),
    )  # fmt: skip


def of_shards(name: str, folder: Path, classes: Sequence[str] | None = None) -> PictureSet:
    """The first picture of every object of a folder that `cg3d-train prepare` made.

    Args:
        name: for tables.
        folder: of shards.
        classes: their order, where another split gives it; None: the names that occur, sorted.

    Raises:
        TrainingError: the folder cannot be read, or an object is of no such class.
    """
    objects = TripletSet(folder, points=1)
    known = tuple(classes or sorted(set(objects.names)))
    missing = sorted(set(objects.names) - set(known))
    if missing:
        raise TrainingError(f"{folder}: {missing[0]!r} is not among the {len(known)} other classes")
    labels = np.array([known.index(n) for n in objects.names], np.int64)

    def make(row: int, form: PictureForm) -> torch.Tensor:
        return picture(objects.sample(row).views[0], form)[None]

    return PictureSet(f"{name}, pictures", known, labels, 1, make)


@torch.no_grad()
def view_vectors(tower: ImageTower, pictures: PictureSet) -> NDArray[np.float32]:
    """(n, views, d) unit rows."""
    form, parts = PictureForm.of(tower.teacher), []
    device = next(tower.teacher.parameters()).device
    at_once = max(1, _AT_ONCE // pictures.views)
    rows = range(0, len(pictures.labels), at_once)
    for start in tqdm(rows, f"{tower.name}: {pictures.name}", unit="batch", leave=False):
        own = range(start, min(start + at_once, len(pictures.labels)))
        batch = torch.cat([pictures.make(row, form) for row in own]).to(device)
        vectors = unit_rows(tower.teacher.encode_image(batch, tower.prompts))
        parts.append(vectors.cpu().view(len(own), pictures.views, -1))
    return torch.cat(parts).numpy()


def open_prompts(file: Path, device: str = "cpu") -> DeepPrompts:
    """Prompts of a run on triplets: its folder, or its `prompts.safetensors`.

    Raises:
        TrainingError: no such file, or it holds no prompts.
    """
    return load_prompts(read_tensors(file / PROMPTS if file.is_dir() else file)[0]).to(device)
