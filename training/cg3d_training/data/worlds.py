"""Furnished worlds in .npz: `xyz_mm` uint16, `rgb`, `instance` (a row of `names`), z up."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_training.data.indoor import LARGEST_FILE, IndoorScene, SceneFile, made_scene
from cg3d_training.data.reading import read_arrays

#: How the names of models begin, to the word for what they are; the first that fits counts.
WORDS = {
    "AirConditioner": "air conditioner", "Bicycle": "bicycle", "Bookshelf": "bookshelf",
    "Book": "book", "Carpet": "carpet", "ChairB": "chair", "CoffeeTable": "coffee table",
    "ColumnB": "column", "DeskA": "desk", "DeskB": "desk", "DoorB": "door", "Horologe": "clock",
    "InfoDesk": "desk", "KitchenCabinet": "cabinet", "LightA": "lamp", "Portrait": "picture frame",
    "Refrigerator": "refrigerator", "RetailShopFloor": "floor", "RetailShopWall": "wall",
    "ShopWindow": "window", "Sofa": "sofa", "TV": "television", "Trash": "trash can",
    "curtain": "curtain", "elevator_01_door": "door", "floor_01_ceiling": "ceiling",
    "floor_01_floor": "floor", "floor_01_walls": "wall",
}  # fmt: skip


def find_worlds(path: Path) -> tuple[SceneFile, ...]:
    """The worlds of a folder, or one file.

    Raises:
        TrainingError: there is none.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.npz"))
    if not files:
        raise TrainingError(f"{path} holds no .npz")
    return tuple(SceneFile(file.stem, partial(read_world, file)) for file in files)


def read_world(file: Path) -> IndoorScene:
    """A world with its objects, called by `WORDS` where they are there.

    Raises:
        TrainingError: the file is damaged or lacks an array.
    """
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise InputError("is larger than any world")
        xyz_mm, rgb, instance, called = read_arrays(file, "xyz_mm", "rgb", "instance", "names")
        xyz, instance = xyz_mm.astype(np.float32) / 1000, instance.astype(np.int64)
        names = [str(name) for name in called]
        if xyz.ndim != 2 or xyz.shape[1] != 3 or rgb.shape != xyz.shape:
            raise InputError(f"xyz_mm has the shape {xyz.shape} and rgb {rgb.shape}")
        if instance.shape != (len(xyz),) or not ((instance >= 0) & (instance < len(names))).all():
            raise InputError("instance does not point into names for every point")
        return made_scene(file.stem, xyz, rgb, instance, tuple(map(_word, names)))
    except (OSError, ValueError, InputError) as error:
        raise TrainingError(f"{file}: {error}") from error


def _word(name: str) -> str:
    known = next((word for start, word in WORDS.items() if name.startswith(start)), None)
    return known or re.sub(r"_\d+\Z", "", name).lower()
