"""One mesh to one triplet: points with colours, pictures, a caption."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError
from cg3d_runtime.points.normalize import unit_sphere
from cg3d_training.data.captions import choose_caption
from cg3d_training.data.mesh_list import MeshItem
from cg3d_training.data.meshes import load_mesh, sample_coloured
from cg3d_training.data.samples import Sample
from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.views import ViewSettings, render_views

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
    """

    points: int = 2048
    views: int = 5
    size: int = 224
    seed: int = 1


def make_triplet(folder: Path, item: MeshItem, key: str, settings: TripletSettings) -> Sample:
    """Read a mesh, sample it, picture it and say what it is.

    Raises:
        InputError: the file is missing, outside the folder, or no sound mesh.
        DependencyError: trimesh or pillow is not installed.
    """
    path = folder / item.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError("it is a link to somewhere outside the folder of meshes")
    source: dict[str, Any] = {"source": item.file, "licence": item.licence, "creator": item.creator}
    if item.details:
        source["details"] = dict(item.details)
    mesh = load_mesh(path, item.up)
    return triplet_of(mesh, item.name, item.captions, key, settings, source)


def triplet_of(
    mesh: ColouredMesh,
    name: str,
    captions: tuple[str, ...],
    key: str,
    settings: TripletSettings,
    source: dict[str, Any],
) -> Sample:
    """The triplet of a mesh that is already there, y up.

    Args:
        mesh: the object.
        name: what it is.
        captions: given descriptions; without any, the caption is a template around the name.
        key: of the sample.
        settings: how much of everything.
        source: goes into the record; its "source" also seeds what is random.

    Raises:
        InputError: the mesh cannot be sampled or pictured.
    """
    # Points, pictures and words draw from streams of their own: more views, same points.
    text = f"{settings.seed}:{source.get('source', key)}"
    entropy = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    for_points, for_views, for_words = (
        np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(3)
    )
    points, colours = sample_coloured(mesh, settings.points, for_points)
    sphere = unit_sphere(points)
    views = render_views(mesh, ViewSettings(settings.views, settings.size), for_views)
    rows = np.concatenate([sphere.xyz, colours / np.float32(255)], axis=1).astype(np.float16)
    record = {
        **source,
        "name": name,
        "caption": choose_caption(name, captions, for_words),
        "captions": list(captions),
        "centroid": [float(v) for v in sphere.centroid],
        "radius": sphere.radius,
    }
    return Sample(key, rows, tuple(_jpeg(view) for view in views), record)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    image = require("PIL.Image", "train", "Writing views")
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
