"""What a teacher's image tower makes of pictures and depth maps, with or without prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

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


def of_shards(folders: Sequence[Path]) -> list[PictureSet]:
    """For each folder that `cg3d-train prepare` made, the first picture of every object.

    All of them are of the same classes: the names that occur in any, sorted.

    Raises:
        TrainingError: a folder cannot be read.
    """
    opened = [TripletSet(folder, points=1) for folder in folders]
    classes = tuple(sorted({name for objects in opened for name in objects.names}))
    return [
        _of_triplets(f"{folder.name}, pictures", objects, classes)
        for folder, objects in zip(folders, opened, strict=True)
    ]


def _of_triplets(name: str, objects: TripletSet, classes: tuple[str, ...]) -> PictureSet:
    def make(row: int, form: PictureForm) -> torch.Tensor:
        return picture(objects.sample(row).views[0], form)[None]

    labels = np.array([classes.index(n) for n in objects.names], np.int64)
    return PictureSet(name, classes, labels, 1, make)


@torch.no_grad()
def view_vectors(towers: Sequence[ImageTower], pictures: PictureSet) -> list[NDArray[np.float32]]:
    """For each tower (n, views, d) unit rows; every picture is made once.

    Args:
        towers: of one teacher, with other prompts each.
        pictures: of which objects.
    """
    teacher = towers[0].teacher
    form, device = PictureForm.of(teacher), next(teacher.parameters()).device
    parts: list[list[torch.Tensor]] = [[] for _ in towers]
    at_once = max(1, _AT_ONCE // pictures.views)
    rows = range(0, len(pictures.labels), at_once)
    for start in tqdm(rows, pictures.name, unit="batch", leave=False):
        own = range(start, min(start + at_once, len(pictures.labels)))
        batch = torch.cat([pictures.make(row, form) for row in own]).to(device)
        for tower, found in zip(towers, parts, strict=True):
            vectors = unit_rows(teacher.encode_image(batch, tower.prompts))
            found.append(vectors.cpu().view(len(own), pictures.views, -1))
    return [torch.cat(found).numpy() for found in parts]


def open_prompts(file: Path, device: str = "cpu") -> DeepPrompts:
    """Prompts of a run on triplets: its folder, or its `prompts.safetensors`.

    Raises:
        TrainingError: no such file, or it holds no prompts.
    """
    return load_prompts(read_tensors(file / PROMPTS if file.is_dir() else file)[0]).to(device)
