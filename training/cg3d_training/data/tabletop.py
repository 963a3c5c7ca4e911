"""Objects cut from real views of tables, turned upright by the table they stand on.

Layout of the folder: `objects.json`, a list of {scene, label, n, class}; for each scene a
`SCENE.npz` with `xyz_mm` (n, 3) int16 in the camera's optical frame (z forward) and `label` (n,)
uint8, where 1 is the table and objects start at 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_training.data.indoor import IndoorScene, SceneFile, made_scene
from cg3d_training.data.names import name_rules
from cg3d_training.data.reading import read_arrays, read_json

_TABLE = 1


@dataclass(frozen=True)
class ScannedObject:
    """One object as a depth camera saw it: one side, with noise.

    Attributes:
        scene: the view it was cut from.
        label: its number in the view.
        name: its class, as an annotator wrote it.
        points: (n, 3) float32, metres, z up.
    """

    scene: str
    label: int
    name: str
    points: NDArray[np.float32]


def scanned_objects(folder: Path) -> Iterator[ScannedObject]:
    """The annotated objects of all views, view by view.

    Raises:
        TrainingError: a file is missing or does not fit the annotation.
    """
    for scene, words in _annotation(folder).items():
        file = folder / f"{scene}.npz"
        upright, labels = _upright(file)
        for label, word in words.items():
            points = upright[labels == label]
            if len(points) == 0:
                raise TrainingError(f"{file} has no points with label {label}")
            yield ScannedObject(scene, label, word, points)


def find_views(folder: Path) -> tuple[SceneFile, ...]:
    """The views as scenes, turned upright by their table; the table itself is none of the objects.

    Raises:
        TrainingError: the annotation is missing.
    """
    return tuple(
        SceneFile(view, partial(_read_view, folder / f"{view}.npz", words))
        for view, words in _annotation(folder).items()
    )


def _annotation(folder: Path) -> dict[str, dict[int, str]]:
    """Of every view its labels and what they are."""
    file = folder / "objects.json"
    if not file.is_file():
        raise TrainingError(f"{file} is missing; the tabletop set is views and this list")
    views: dict[str, dict[int, str]] = {}
    try:
        for entry in read_json(file):
            views.setdefault(str(entry["scene"]), {})[int(entry["label"])] = str(entry["class"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{file} is no list of scene, label and class ({error!r})") from error
    return views


def _upright(file: Path) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """A view's points (n, 3), metres, z up, and their labels (n,)."""
    xyz_mm, labels = read_arrays(file, "xyz_mm", "label")
    if xyz_mm.shape != (*labels.shape, 3) or labels.ndim != 1 or xyz_mm.dtype.kind not in "iuf":
        raise TrainingError(
            f"{file}: xyz_mm is {xyz_mm.dtype} {xyz_mm.shape} and label {labels.shape}"
        )
    if (labels == _TABLE).sum() < 3:
        raise TrainingError(f"{file} has no table (label {_TABLE}) to turn it upright by")
    xyz: NDArray[np.float32] = xyz_mm.astype(np.float32) / np.float32(1000)
    return xyz @ rotation_to_up(plane_normal(xyz[labels == _TABLE])).T, labels


def _read_view(file: Path, words: Mapping[int, str]) -> IndoorScene:
    upright, labels = _upright(file)
    (rgb,) = read_arrays(file, "rgb")
    if rgb.shape != upright.shape:
        raise TrainingError(f"{file}: xyz_mm is {upright.shape} and rgb {rgb.shape}")
    instance = np.full(len(upright), -1, np.int32)
    for number, label in enumerate(words):
        instance[labels == label] = number
    classes = tuple(name_rules().tabletop_classes.get(w, w) for w in words.values())
    try:
        return made_scene(file.stem, upright, rgb, instance, classes)
    except InputError as error:
        raise TrainingError(f"{file}: {error}") from error


def plane_normal(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """(3,) unit normal of the plane through points, on the side of the camera (the origin)."""
    centre = points.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(np.cov((points - centre).T))
    normal: NDArray[np.float64] = vectors[:, 0]
    return normal if normal @ -centre > 0 else -normal


def rotation_to_up(normal: NDArray[np.float64]) -> NDArray[np.float32]:
    """(3, 3) rotation that takes a unit vector to +z."""
    side = np.cross(normal, [0.0, 0.0, 1.0] if abs(normal[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(normal, side), normal]).astype(np.float32)
