"""Pictures of an object from several sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_training.render.camera import Camera, random_camera
from cg3d_training.render.lighting import Lighting, random_lighting
from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.normals import corner_normals
from cg3d_training.render.rasterise import Hits, rasterise

_PALE = 160  # the darkest that a channel of a pale colour is


@dataclass(frozen=True)
class ViewSettings:
    """How objects are pictured.

    Attributes:
        views: pictures of each object.
        size: pixels on a side.
        antialias: samples of each pixel on a side; 1 for none.
        elevation: lowest and highest camera, degrees above the floor.
        background: (r, g, b) from 0 to 255; None: another pale colour for each picture.
    """

    views: int = 5
    size: int = 224
    antialias: int = 2
    elevation: tuple[float, float] = (5.0, 45.0)
    background: tuple[int, int, int] | None = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class View:
    """From where, in which light, and before which (r, g, b) a picture is taken."""

    camera: Camera
    lighting: Lighting
    background: tuple[int, int, int] = (255, 255, 255)


def choose_views(
    mesh: ColouredMesh, settings: ViewSettings, rng: np.random.Generator
) -> list[View]:
    """Random sides of an upright object (y up), each with its own lights and background.

    Raises:
        InputError: the mesh has no finite vertices, or all of them are at one place.
    """
    used = mesh.vertices[np.unique(mesh.faces)]
    views = []
    for _ in range(settings.views):
        camera = random_camera(used, rng, settings.elevation)
        lighting = random_lighting(rng, camera)
        r, g, b = settings.background or rng.integers(_PALE, 256, size=3).tolist()
        views.append(View(camera, lighting, (r, g, b)))
    return views


def render_views(
    mesh: ColouredMesh, settings: ViewSettings, rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """Pictures of an upright object (y up) from random sides, each with its own lights.

    Returns:
        `settings.views` pictures, (size, size, 3) uint8 sRGB, first row on top.

    Raises:
        InputError: the mesh has no finite vertices, or all of them are at one place.
    """
    normals = corner_normals(mesh.vertices, mesh.faces)
    return [
        render(
            mesh, view.camera, view.lighting, settings.size, settings.antialias,
            view.background, normals=normals,
        )
        for view in choose_views(mesh, settings, rng)
    ]  # fmt: skip


def reduce(fine: NDArray[np.float32], antialias: int) -> NDArray[np.uint8]:
    """The means of squares of samples.

    Args:
        fine: (size * antialias, size * antialias, channels) float32 from 0 to 1.
        antialias: samples of each pixel on a side.

    Returns:
        (size, size, channels) uint8.
    """
    size = len(fine) // antialias
    grid = fine.reshape(size, antialias, size, antialias, -1)
    steps = range(antialias)
    blocks = sum(grid[:, i, :, j] for i in steps for j in steps) / np.float32(antialias**2)
    return np.asarray(np.round(blocks * 255), np.uint8)


def render(
    mesh: ColouredMesh,
    camera: Camera,
    lighting: Lighting,
    size: int = 224,
    antialias: int = 2,
    background: tuple[int, int, int] = (255, 255, 255),
    *,
    normals: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """One picture.

    Faces are seen from both sides and lit on the side that is seen. Glass is drawn as if it were
    opaque.

    Args:
        mesh: what to draw.
        camera: from where. It has to stand outside of the mesh.
        lighting: by which lights.
        size: pixels on a side.
        antialias: samples of each pixel on a side.
        background: (r, g, b) from 0 to 255.
        normals: (f, 3, 3) from `corner_normals`, where they are already known.

    Returns:
        (size, size, 3) uint8 sRGB, first row on top.
    """
    if normals is None:
        normals = corner_normals(mesh.vertices, mesh.faces)
    fine = size * antialias
    hits = rasterise(
        camera.project(mesh.vertices, fine),
        mesh.faces,
        fine,
        mesh.porous(),
        lambda faces, weights: mesh.colour_at(faces, weights)[1],
    )
    colour, _ = mesh.colour_at(hits.face, hits.weights)
    towards = _to_viewer(mesh, hits, normals, camera)
    canvas = np.empty((fine * fine, 3), np.float32)
    canvas[:] = np.array(background, np.float32) / 255
    canvas[hits.pixel] = lighting.shade(colour, towards)
    return reduce(canvas.reshape(fine, fine, 3), antialias)


def _to_viewer(
    mesh: ColouredMesh, hits: Hits, normals: NDArray[np.float32], camera: Camera
) -> NDArray[np.float32]:
    """(n, 3) unit normals, turned to the side of the face from which it is seen."""
    weights = hits.weights.astype(np.float32)
    smooth: NDArray[np.float32] = np.einsum("nk,nkd->nd", weights, normals[hits.face])
    length = np.sqrt(np.einsum("nd,nd->n", smooth, smooth))[:, None]
    smooth /= np.where(length > 0, length, 1)
    # A plane is seen from one side all over, so one corner of each face decides.
    corners = mesh.vertices[mesh.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    side = np.where(np.einsum("fd,fd->f", flat, corners[:, 0] - camera.eye) > 0, -1, 1)
    smooth *= side.astype(np.float32)[hits.face, None]
    return smooth
