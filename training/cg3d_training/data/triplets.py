"""One object to one triplet: points with colours, pictures, a caption."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError
from cg3d_runtime.points import furthest_point_order
from cg3d_runtime.points.normalize import unit_sphere
from cg3d_training.data.captions import choose_caption
from cg3d_training.data.cloud_files import is_cloud, load_cloud
from cg3d_training.data.mesh_list import MeshItem
from cg3d_training.data.meshes import load_mesh, sample_coloured
from cg3d_training.data.samples import FURTHEST_FIRST, Sample
from cg3d_training.render import depth
from cg3d_training.render.backends import RendererName, open_renderer
from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.views import ViewSettings, choose_views

_JPEG_QUALITY = 92


@dataclass(frozen=True)
class TripletSettings:
    """What is made of each object.

    Attributes:
        points: points on the surface.
        views: pictures.
        size: pixels on a side of a picture.
        seed: of everything random. What an object becomes depends on it and on the object's file
            name and content alone.
        renderer: who draws the pictures of a mesh, see `cg3d_training.render.backends`; or
            "depth": depth maps of points, of meshes and of clouds without faces.
        background: behind the meshes: white, or another pale colour for each picture.
    """

    points: int = 2048
    views: int = 5
    size: int = 224
    seed: int = 1
    renderer: RendererName | Literal["depth"] = "cpu"
    background: Literal["white", "pale"] = "white"


def make_triplet(
    folder: Path, item: MeshItem, key: str, settings: TripletSettings, blender: str = "blender"
) -> Sample:
    """Read a mesh or a cloud, sample it, picture it and say what it is.

    Args:
        folder: of the files.
        item: the object.
        key: of the sample.
        settings: what is made.
        blender: its executable, where it is the renderer.

    Raises:
        InputError: the file is missing, outside the folder, or no sound mesh; or it is a cloud,
            and the pictures are not depth maps.
        DependencyError: trimesh or pillow is not installed, or what the renderer needs.
    """
    path = folder / item.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError("it is a link to somewhere outside the folder of meshes")
    source: dict[str, Any] = {"source": item.file, "licence": item.licence, "creator": item.creator}
    if item.details:
        source["details"] = dict(item.details)
    if settings.renderer == "depth" and is_cloud(path):
        cloud = load_cloud(path, item.up)
        return cloud_triplet(cloud, item.name, item.captions, key, settings, source)
    mesh = load_mesh(path, item.up)
    return triplet_of(mesh, item.name, item.captions, key, settings, source, blender)


def triplet_of(
    mesh: ColouredMesh,
    name: str,
    captions: tuple[str, ...],
    key: str,
    settings: TripletSettings,
    source: dict[str, Any],
    blender: str = "blender",
) -> Sample:
    """The triplet of a mesh that is already there, y up.

    Args:
        mesh: the object.
        name: what it is.
        captions: given descriptions; without any, the caption is a template around the name.
        key: of the sample.
        settings: how much of everything.
        source: goes into the record; its "source" also seeds what is random.
        blender: its executable, where it is the renderer.

    Raises:
        InputError: the mesh cannot be sampled or pictured.
        DependencyError: what the renderer needs is not installed.
    """
    streams = _streams(settings, source, key)
    points, colours = sample_coloured(mesh, settings.points, streams.points)
    white = (255, 255, 255) if settings.background == "white" else None
    wanted = ViewSettings(settings.views, settings.size, background=white)
    if settings.renderer == "depth":
        dense, _ = sample_coloured(mesh, depth.POINTS, streams.views)
        views = depth.depth_views(dense, wanted, streams.views)
    else:
        chosen = choose_views(mesh, wanted, streams.views)
        views = open_renderer(settings.renderer, blender).draw(mesh, chosen, wanted)
    return _sample(points, colours, views, name, captions, key, source, streams.words)


def cloud_triplet(
    points: NDArray[np.float32],
    name: str,
    captions: tuple[str, ...],
    key: str,
    settings: TripletSettings,
    source: dict[str, Any],
) -> Sample:
    """The triplet of a cloud that is already there, y up: its pictures are depth maps.

    Args:
        points: (n, 3) finite. Fewer than `settings.points` are repeated.

    The others are those of `triplet_of`.

    Raises:
        InputError: all points are at one place.
    """
    streams = _streams(settings, source, key)
    few = settings.points > len(points)
    rows = streams.points.permutation(len(points))
    if few:
        more = streams.points.integers(len(points), size=settings.points - len(points))
        rows = np.concatenate([rows, more])
    rows = rows[: settings.points]
    shown = points[streams.views.permutation(len(points))[: depth.POINTS]]
    views = depth.depth_views(shown, ViewSettings(settings.views, settings.size), streams.views)
    grey = np.full((len(rows), 3), round(0.7 * 255), np.uint8)  # as a mesh without colours
    return _sample(points[rows], grey, views, name, captions, key, source, streams.words)


@dataclass(frozen=True, eq=False)
class _Streams:
    """Points, pictures and words draw from streams of their own: more views, same points."""

    points: np.random.Generator
    views: np.random.Generator
    words: np.random.Generator


def _streams(settings: TripletSettings, source: dict[str, Any], key: str) -> _Streams:
    text = f"{settings.seed}:{source.get('source', key)}"
    entropy = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return _Streams(*map(np.random.default_rng, np.random.SeedSequence(entropy).spawn(3)))


def _sample(
    points: NDArray[np.float32],
    colours: NDArray[np.uint8],
    views: list[NDArray[np.uint8]],
    name: str,
    captions: tuple[str, ...],
    key: str,
    source: dict[str, Any],
    words: np.random.Generator,
) -> Sample:
    sphere = unit_sphere(points)
    rows = np.concatenate([sphere.xyz, colours / np.float32(255)], axis=1).astype(np.float16)
    rows = rows[_furthest_first(sphere.xyz)]
    record = {
        "order": FURTHEST_FIRST,
        **source,
        "name": name,
        "caption": choose_caption(name, captions, words),
        "captions": list(captions),
        "centroid": [float(v) for v in sphere.centroid],
        "radius": sphere.radius,
    }
    return Sample(key, rows, tuple(_jpeg(view) for view in views), record)


def _furthest_first(xyz: NDArray[np.float32]) -> NDArray[np.int64]:
    """All points in furthest point order; at the end those that it never takes, near the origin."""
    chosen = furthest_point_order(xyz, len(xyz))
    _, first = np.unique(chosen, return_index=True)  # it repeats points when it has no others
    order = chosen[np.sort(first)]
    return np.concatenate([order, np.setdiff1d(np.arange(len(xyz)), order)])


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    image = require("PIL.Image", "train", "Writing views")
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
