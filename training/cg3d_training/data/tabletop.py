"""Objects cut from real views of tables, turned upright by the table they stand on.

Layout of the folder: `objects.json`, a list of {scene, label, n, class}; for each scene a
`SCENE.npz` with `xyz_mm` (n, 3) int16 in the camera's optical frame (z forward) and `label` (n,)
uint8, where 1 is the table and objects start at 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_training.data.indoor import IndoorScene, SceneFile, made_scene
from cg3d_training.data.names import name_rules

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
    annotation = folder / "objects.json"
    if not annotation.is_file():
        raise TrainingError(f"{annotation} is missing; the tabletop set is views and this list")
    entries = json.loads(annotation.read_text(encoding="utf-8"))
    for scene in dict.fromkeys(entry["scene"] for entry in entries):
        file = folder / f"{scene}.npz"
        if not file.is_file():
            raise TrainingError(f"{file} is missing, but {annotation.name} names its objects")
        with np.load(file, allow_pickle=False) as archive:
            xyz = archive["xyz_mm"].astype(np.float32) / 1000
            labels = archive["label"]
        upright = xyz @ rotation_to_up(plane_normal(xyz[labels == _TABLE])).T
        for entry in entries:
            if entry["scene"] == scene:
                points = upright[labels == entry["label"]]
                if len(points) == 0:
                    raise TrainingError(f"{file} has no points with label {entry['label']}")
                yield ScannedObject(scene, entry["label"], entry["class"], points)


def find_views(folder: Path) -> tuple[SceneFile, ...]:
    """The views as scenes, turned upright by their table; the table itself is none of the objects.

    Raises:
        TrainingError: the annotation is missing.
    """
    annotation = folder / "objects.json"
    if not annotation.is_file():
        raise TrainingError(f"{annotation} is missing; the tabletop set is views and this list")
    entries = json.loads(annotation.read_text(encoding="utf-8"))
    views: dict[str, dict[int, str]] = {}
    for entry in entries:
        views.setdefault(entry["scene"], {})[entry["label"]] = entry["class"]
    return tuple(
        SceneFile(view, partial(_read_view, folder / f"{view}.npz", words))
        for view, words in views.items()
    )


def _read_view(file: Path, words: Mapping[int, str]) -> IndoorScene:
    try:
        with np.load(file, allow_pickle=False) as archive:
            xyz = archive["xyz_mm"].astype(np.float32) / 1000
            labels, rgb = archive["label"], archive["rgb"]
        upright = xyz @ rotation_to_up(plane_normal(xyz[labels == _TABLE])).T
        instance = np.full(len(xyz), -1, np.int32)
        for number, label in enumerate(words):
            instance[labels == label] = number
        classes = tuple(name_rules().tabletop_classes.get(w, w) for w in words.values())
        return made_scene(file.stem, upright, rgb, instance, classes)
    except (OSError, ValueError, KeyError, InputError) as error:
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
