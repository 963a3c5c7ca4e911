"""ScanNet v2 (Dai et al., CVPR 2017): scanned rooms as meshes, with objects.

Layout of a scan, as published: `scene0000_00/scene0000_00_vh_clean_2.ply` (vertices with colours;
metres, z up), and either of

    scene0000_00_vh_clean_2.0.010000.segs.json   {"segIndices": [a segment for every vertex]}
    scene0000_00.aggregation.json                {"segGroups": [{"segments": [...], "label": ...}]}
    scene0000_00_vh_clean_2.labels.ply           vertices with `label`, a class of NYU40

With the first two objects are known one by one, by the annotators' own words; with the third alone
only classes are, so all chairs are one object.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_runtime.files.ply import read_vertex_properties
from cg3d_training.data.indoor import IndoorScene, SceneFile, file_bytes, made_scene

_MESH = "_vh_clean_2.ply"
_LABELS = "_vh_clean_2.labels.ply"
_SEGMENTS = "_vh_clean_2.0.010000.segs.json"
_OBJECTS = (".aggregation.json", "_vh_clean.aggregation.json")

#: The classes of NYU40 by their number; 0 is unannotated.
NYU40 = tuple(
    "wall;floor;cabinet;bed;chair;sofa;table;door;window;bookshelf;picture;counter;blinds;desk;"
    "shelves;curtain;dresser;pillow;mirror;floor mat;clothes;ceiling;books;refrigerator;television;"
    "paper;towel;shower curtain;box;whiteboard;person;night stand;toilet;sink;lamp;bathtub;bag;"
    "otherstructure;otherfurniture;otherprop".split(";")
)


def find_scans(path: Path) -> tuple[SceneFile, ...]:
    """The scans below the set's folder, its `scans`, or in one scan's own.

    Raises:
        TrainingError: there is none.
    """
    patterns = ("*" + _MESH, "*/*" + _MESH, "scans*/*/*" + _MESH)
    folders = sorted({file.parent for pattern in patterns for file in path.glob(pattern)})
    if not folders:
        raise TrainingError(f"{path} holds no scan of ScanNet: scene*/scene*{_MESH} was looked for")
    return tuple(SceneFile(folder.name, partial(read_scan, folder)) for folder in folders)


def read_scan(folder: Path) -> IndoorScene:
    """A scan with its objects.

    Args:
        folder: e.g. scans/scene0000_00.

    Raises:
        TrainingError: a file is missing, damaged, or not as published.
    """
    scan = next(iter(sorted(folder.glob("*" + _MESH)))).name.removesuffix(_MESH)
    mesh = folder / (scan + _MESH)
    vertices = _vertices(mesh, ("x", "y", "z", "red", "green", "blue"))
    if len(vertices) < 6:
        raise TrainingError(f"{mesh}: its vertices have no x, y, z, red, green and blue")
    table = np.stack([*vertices.values()], axis=1)
    objects = [folder / (scan + ending) for ending in _OBJECTS]
    grouped = next((file for file in objects if file.is_file()), None)
    if grouped is not None:
        instance, classes = _grouped(folder / (scan + _SEGMENTS), grouped, len(table))
    else:
        instance, classes = _by_class(folder / (scan + _LABELS), len(table))
    try:
        return made_scene(scan, table[:, :3], table[:, 3:], instance, classes)
    except InputError as error:
        raise TrainingError(f"{mesh}: {error}") from error


def _vertices(file: Path, names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    try:
        return read_vertex_properties(file_bytes(file), names)
    except InputError as error:
        raise TrainingError(f"{file}: {error}") from error


def _grouped(
    segments: Path, objects: Path, vertices: int
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The object of every vertex, and the word for each."""
    found = _json(segments).get("segIndices")
    if not isinstance(found, list) or len(found) != vertices:
        count = len(found) if isinstance(found, list) else "no"
        raise TrainingError(f"{segments}: {count} segIndices for {vertices} vertices")
    try:
        segment = np.array(found, np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise TrainingError(f"{segments}: a segment is not a number") from error
    if segment.ndim != 1:
        raise TrainingError(f"{segments}: a segment is not a number")
    groups = _json(objects).get("segGroups")
    if not isinstance(groups, list):
        raise TrainingError(f"{objects}: it has no list segGroups")
    instance = np.full(vertices, -1, np.int32)
    classes = []
    for number, group in enumerate(groups):
        known = group if isinstance(group, dict) else {}
        word, own = known.get("label"), known.get("segments")
        if not isinstance(word, str) or not isinstance(own, list) or not _integers(own):
            raise TrainingError(f"{objects}: group {number} lacks a label or a list of segments")
        instance[np.isin(segment, own)] = number
        classes.append(" ".join(word.lower().split()))
    return instance, tuple(classes)


def _integers(values: list[Any]) -> bool:
    return all(type(value) is int and abs(value) < 1 << 62 for value in values)


def _by_class(file: Path, vertices: int) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    if not file.is_file():
        raise TrainingError(
            f"{file.parent}: neither an aggregation.json nor {file.name} says what is what"
        )
    labels = _vertices(file, ("label",)).get("label")
    if labels is None or len(labels) != vertices:
        count = "no" if labels is None else len(labels)
        raise TrainingError(f"{file}: {count} labels for the {vertices} vertices of the mesh")
    if not ((labels >= 0) & (labels <= len(NYU40))).all():
        raise TrainingError(f"{file}: a label is none of NYU40's, 0 to {len(NYU40)}")
    return labels.astype(np.int32) - 1, NYU40


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file_bytes(file))
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{file}: not JSON ({str(error)[:80]})") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{file}: not a JSON object")
    return content
