"""Meshes through trimesh: .obj, .off, .stl, .glb and .gltf, sampled on their surface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError
from cg3d_runtime.files.gltf import check_gltf
from cg3d_runtime.files.surface import sample_surface

# A scene may place one mesh many times; this many triangles take about 2 GB to sample.
_LARGEST_FACES = 10_000_000

#: trimesh's geometry, vertices (v, 3) float64 and faces (f, 3) int64 of one placed mesh.
ScenePart = tuple[Any, NDArray[np.float64], NDArray[np.int64]]


class _Neighbours:
    """Gives trimesh the files that a mesh refers to: those in or below its own folder, no others.

    trimesh asks its resolver for them by item, as a .gltf does for its .bin.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def __getitem__(self, name: str) -> bytes:
        return self.get(name)

    def get(self, name: str) -> bytes:
        path = (self._folder / name.strip()).resolve()
        if not path.is_relative_to(self._folder):
            raise InputError(f"it refers to {name!r}, which is outside its folder")
        if not path.is_file():
            raise InputError(f"it refers to {name!r}, which is not there")
        return path.read_bytes()


def read_mesh(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points sampled on the surface of a mesh, placed as its scene says; vertices if no faces."""
    parts = [(vertices, faces) for _, vertices, faces in read_scene(data, path)]
    total = sum(len(faces) for _, faces in parts)
    vertices = np.concatenate([np.empty((0, 3))] + [corners for corners, _ in parts])
    if len(vertices) == 0:
        raise InputError(f"no vertex of a {path.suffix.lower()} file in it")
    if total == 0:
        return vertices, 0
    starts = np.cumsum([0] + [len(corners) for corners, _ in parts])
    triangles = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return sample_surface(vertices, np.concatenate(triangles)), total


def read_scene(data: bytes, path: Path, *, materials: bool = False) -> list[ScenePart]:
    """The meshes of a file, each where its scene puts it.

    Args:
        data: the file.
        path: where it lies; files that it refers to are read from its folder or below.
        materials: whether to read materials and pictures too.

    Returns:
        For each: trimesh's geometry (which knows the materials), its vertices (v, 3) float64,
        moved, and its faces (f, 3) int64; no faces for points and lines.

    Raises:
        InputError: the file is not sound, or has too many faces.
        DependencyError: trimesh is not installed.
    """
    trimesh = require("trimesh", "files", f"Reading {path.suffix.lower()} files")
    if path.suffix.lower() in (".glb", ".gltf"):
        check_gltf(data)
    if path.suffix.lower() == ".stl":
        _check_stl(data)
    if path.suffix.lower() == ".off":
        data = _sound_off(data)
    try:
        scene = trimesh.load(
            BytesIO(data),
            file_type=path.suffix.lower().lstrip("."),
            resolver=_Neighbours(path.parent),
            force="scene",
            process=False,  # merging vertices changes no surface and costs time
            skip_materials=not materials,
        )
        return list(_placed(scene))
    except InputError:
        raise
    except Exception as error:  # its parsers raise whatever they trip over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"not a sound {path.suffix.lower()} file ({reason[:200]})") from error


def _check_stl(data: bytes) -> None:
    """Refuse a binary STL that is cut off; trimesh would take it for an empty text file."""
    if data.lstrip().startswith(b"solid") or len(data) < 84:
        return
    triangles = int.from_bytes(data[80:84], "little")
    if 84 + 50 * triangles > len(data):
        raise InputError(
            f"truncated: its header promises {triangles} triangles, {len(data) - 84} bytes follow"
        )


def _sound_off(data: bytes) -> bytes:
    """A text OFF without comments: trimesh repeats the lines before one.

    Raises:
        InputError: it is none, or is cut off; trimesh would take the faces that are left.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    rows = [row for row in (line.split(b"#", 1)[0].split() for line in lines) if row]
    # "OFF8 12 0" is how ModelNet begins; colours, normals and texture come after x, y, z.
    first = re.fullmatch(rb"(?:ST)?C?N?OFF(.*)", rows[0][0]) if rows else None
    if first is None:
        raise InputError("its first line does not begin with OFF")
    plain = b"\n".join(map(b" ".join, rows))
    head = [first[1], *rows[0][1:]] if first[1] else rows[0][1:]
    counts, rows = (head, rows[1:]) if head else ((rows[1:2] or [[]])[0], rows[2:])
    if len(counts) < 2 or not all(n.isdigit() and len(n) < 16 for n in counts[:2]):
        raise InputError("its header does not say how many vertices and faces there are")
    vertices, faces = int(counts[0]), int(counts[1])
    if len(rows) < vertices + faces:
        raise InputError(
            f"truncated: its header promises {vertices} vertices and {faces} faces, {len(rows)} "
            "lines follow"
        )
    if any(len(row) < 3 for row in rows[:vertices]):
        raise InputError("a vertex has fewer than three numbers")
    for number, row in enumerate(rows[vertices : vertices + faces]):
        if not (row[0].isdigit() and len(row[0]) < 16 and int(row[0]) < len(row)):
            raise InputError(f"face {number} does not have as many corners as it says")
    return plain


def _placed(scene: Any) -> Iterator[ScenePart]:
    """Vertices and triangles of every mesh in the scene, moved to where its node puts it."""
    total = 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        vertices = np.asarray(geometry.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.asarray(getattr(geometry, "faces", ()), dtype=np.int64).reshape(-1, 3)
        total += len(faces) + len(vertices) // 3
        if total > _LARGEST_FACES:
            raise InputError(f"has over {_LARGEST_FACES} triangles")
        if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise InputError(f"a face names a vertex outside the {len(vertices)} there are")
        matrix = np.asarray(transform, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = vertices @ matrix[:3, :3].T + matrix[:3, 3]
        yield geometry, moved, faces
