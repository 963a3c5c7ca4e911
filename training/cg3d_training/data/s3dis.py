"""S3DIS (Armeni et al., CVPR 2016): six floors of offices, 13 classes.

Layout, as published (Stanford3dDataset_v1.2 and its aligned version):
`Area_1/office_1/office_1.txt` and `Area_1/office_1/Annotations/chair_1.txt`, each with lines
`x y z r g b`, metres, z up. Every file of Annotations is one object, its name the class and a
number. The points come from Annotations alone: together they are those of the room's file.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_runtime.files.text import decode_lines, parse_rows
from cg3d_training.data.indoor import IndoorScene, SceneFile, file_bytes, made_scene

#: As published; "stairs" occurs too and counts as clutter there.
CLASSES = tuple(
    "ceiling floor wall beam column window door table chair sofa bookcase board clutter".split()
)

_FOLDER = "Annotations"
_OBJECT = re.compile(r"([A-Za-z]+)_\d+\Z")

#: One published file (Area_5/hallway_6, ceiling_1) has a control character inside a line.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def find_rooms(path: Path) -> tuple[SceneFile, ...]:
    """The rooms below the folder of the set, of an area, or of one room.

    Raises:
        TrainingError: there is none.
    """
    folders = [path] if (path / _FOLDER).is_dir() else sorted(
        found.parent for pattern in (f"*/{_FOLDER}", f"Area_*/*/{_FOLDER}")
        for found in path.glob(pattern) if found.is_dir()
    )  # fmt: skip
    if not folders:
        raise TrainingError(
            f"{path} holds no room of S3DIS: Area_*/office_1/{_FOLDER} was looked for"
        )
    return tuple(
        SceneFile(f"{f.parent.name}/{f.name}", partial(read_room, f))
        for f in dict.fromkeys(folders)
    )


def read_room(folder: Path) -> IndoorScene:
    """A room with its objects.

    Args:
        folder: e.g. Area_1/office_1.

    Raises:
        TrainingError: a file is missing, damaged, or not as published.
    """
    parts: list[NDArray[np.float64]] = []
    classes: list[str] = []
    for file in sorted((folder / _FOLDER).glob("*.txt")):
        match = _OBJECT.match(file.stem)
        if match is None or match[1].lower() not in (*CLASSES, "stairs"):
            raise TrainingError(
                f"{file}: objects are called CLASS_NUMBER.txt, with one of {', '.join(CLASSES)}"
            )
        parts.append(_numbers(file))
        classes.append(match[1].lower())
    if not parts:
        raise TrainingError(f"{folder / _FOLDER} holds no object (chair_1.txt and the like)")
    rows = np.concatenate(parts)
    instance = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    name = f"{folder.parent.name}/{folder.name}"
    try:
        return made_scene(name, rows[:, :3], rows[:, 3:], instance, tuple(classes))
    except InputError as error:
        raise TrainingError(f"{folder}: {error}") from error


def _numbers(file: Path) -> NDArray[np.float64]:
    """(n, 6) float64: x, y, z, red, green, blue."""
    data = _CONTROL.sub(b" ", file_bytes(file))
    try:
        rows = parse_rows(decode_lines(data), range(6), delimiter=None, first=0)
        if not len(rows):
            raise InputError("holds no points")
    except InputError as error:
        raise TrainingError(f"{file}: {error}") from error
    return rows
