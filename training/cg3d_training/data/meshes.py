"""Mesh files for training: with their colours, upright, and points on their surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files.mesh import read_scene
from cg3d_runtime.points.normalize import Up, upright
from cg3d_training.data.materials import Painter
from cg3d_training.render.mesh import ColouredMesh, join
from cg3d_training.render.normals import face_normals

#: Files that are read, by their suffix in small letters.
SUFFIXES = (".glb", ".gltf", ".obj", ".off", ".ply", ".stl")

_LARGEST_FACES = 2_000_000  # a view of more would take gigabytes
_LARGEST_FILE = 1 << 30
_ROUNDS = 8  # of drawing points anew that fell into holes


def load_mesh(path: Path, up: Up = "y") -> ColouredMesh:
    """Read a mesh with its colours, as its scene puts it together, y up.

    Colours come from pictures (base colour), plain materials, vertices or faces; without any, it
    is light grey. Of glTF's extensions none is read; glass is opaque.

    Args:
        path: a file of one of `SUFFIXES`. Materials and pictures beside it are read from its
            folder or below; one that is missing leaves its faces plain.
        up: the axis that points up in the file.

    Raises:
        InputError: the file cannot be read, is not sound, or has no faces with an area.
        DependencyError: trimesh or pillow is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path.suffix or 'a file without suffix'} is not one of {', '.join(SUFFIXES)} (clouds "
            "are for the renderer depth)"
        )
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path.name} has {path.stat().st_size} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror})") from error
    linear = path.suffix.lower() in (".glb", ".gltf")
    painter = Painter()
    parts, total = [], 0
    for geometry, vertices, faces in read_scene(data, path, materials=True):
        total += len(faces)
        if total > _LARGEST_FACES:
            raise InputError(f"has over {_LARGEST_FACES} triangles; reduce it first")
        if len(faces):
            corners = upright(vertices, up).astype(np.float64)
            parts.append(painter.paint(geometry, corners, faces, linear=linear))
    if not parts:
        raise InputError("has no faces; points alone can be pictured as depth maps only")
    return _checked(join(parts))


def _checked(mesh: ColouredMesh) -> ColouredMesh:
    """The mesh without faces whose corners are not finite; refused where nothing is left."""
    # Beyond this, squares of lengths overflow; below, areas vanish.
    largest: NDArray[np.float64] = np.abs(mesh.vertices).max(axis=1)
    sound = largest < 1e100
    keep = sound[mesh.faces].all(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        _, areas = face_normals(mesh.vertices, mesh.faces[keep])
    if not 0 < areas.sum() < np.inf:
        raise InputError(f"a mesh without area ({len(mesh.faces)} faces)")
    rows, faces = np.unique(mesh.faces[keep], return_inverse=True)
    return ColouredMesh(
        vertices=mesh.vertices[rows],
        faces=faces.reshape(-1, 3).astype(np.int64),
        colours=mesh.colours[keep],
        uv=mesh.uv[keep],
        texture=mesh.texture[keep],
        textures=mesh.textures,
    )


def sample_coloured(
    mesh: ColouredMesh, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Random points on the surface, even by area, with the surface's colour there.

    Args:
        mesh: what to sample. Points that fall into holes of its pictures are drawn again.
        count: how many points.
        rng: chooses them.

    Returns:
        points (count, 3) float32 in the mesh's unit, colours (count, 3) uint8 sRGB.

    Raises:
        InputError: the mesh has no area, or is all holes.
    """
    _, areas = face_normals(mesh.vertices, mesh.faces)
    ends = np.cumsum(areas)
    if len(ends) == 0 or not 0 < ends[-1] < np.inf:
        raise InputError(f"a mesh without area ({len(mesh.faces)} faces)")
    points = np.empty((0, 3), np.float32)
    colours = np.empty((0, 3), np.uint8)
    for _ in range(_ROUNDS):
        need = count - len(points)
        faces = np.searchsorted(ends, rng.random(need) * ends[-1], side="right")
        faces = faces.clip(max=len(ends) - 1)
        faces[areas[faces] == 0] = int(areas.argmax())  # rounding at the very end of the sum
        root, side = np.sqrt(rng.random(need)), rng.random(need)
        weights = np.stack([1 - root, root * (1 - side), root * side], axis=1)
        here = np.einsum("nk,nkd->nd", weights, mesh.vertices[mesh.faces[faces]])
        colour, seen = mesh.colour_at(faces, weights)
        rgb = np.round(colour * 255).clip(0, 255).astype(np.uint8)
        points = np.concatenate([points, here[seen].astype(np.float32)])
        colours = np.concatenate([colours, rgb[seen]])
        if len(points) == count:
            return points, colours
    if len(points) == 0:
        raise InputError("its textures make it all holes")
    again = rng.integers(len(points), size=count - len(points))
    return np.concatenate([points, points[again]]), np.concatenate([colours, colours[again]])
