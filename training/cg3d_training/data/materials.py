"""trimesh's materials as colours at the corners of faces and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError
from cg3d_training.render.mesh import ColouredMesh

#: Pictures larger than this on a side are reduced: objects are drawn a few hundred pixels wide.
LARGEST_TEXTURE = 1024
_LARGEST_PICTURE = 1 << 27  # pixels of a picture that is read at all; 400 MB as RGB
_GREY = np.float32(0.7)
_GAMMA = np.float32(2.2)


class Painter:
    """Makes coloured meshes; decodes each picture once, however many meshes show it."""

    def __init__(self) -> None:
        self._pictures: dict[tuple[int, bool], tuple[Any, NDArray[np.uint8]]] = {}

    def paint(
        self,
        geometry: Any,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int64],
        *,
        linear: bool,
    ) -> ColouredMesh:
        """The mesh of a scene with its colours.

        Args:
            geometry: trimesh's mesh.
            vertices: (v, 3) where the scene puts its vertices.
            faces: (f, 3).
            linear: whether factors and vertex colours are linear light, as in glTF, and not sRGB.
                (Pictures are sRGB in all formats.)

        Raises:
            InputError: a picture is damaged or far too large.
        """
        visual = geometry.visual
        material = getattr(visual, "material", None)
        colours = np.ones((len(faces), 3, 3), np.float32)
        by_corner = _by_corner(visual, len(vertices), faces)
        if by_corner is not None:
            colours *= _encoded(by_corner, linear)
        uv = getattr(visual, "uv", None)
        picture, porous = _picture_of(material)
        if picture is None or uv is None or np.shape(uv)[0] != len(vertices):
            factor = _factor(material)
            if factor is not None:
                colours *= _encoded(factor, linear)
            elif by_corner is None:
                colours *= _GREY
            return ColouredMesh.plain(vertices, faces, colours)
        if linear and _factor(material) is not None:
            # OBJ says the same of Kd, but its writers leave any number beside a picture.
            colours *= _encoded(_factor(material), linear)
        corners = np.asarray(uv, dtype=np.float32)[:, :2][faces]
        return ColouredMesh(
            vertices=vertices,
            faces=faces,
            colours=colours,
            uv=np.nan_to_num(corners, posinf=0, neginf=0),
            texture=np.zeros(len(faces), np.int32),
            textures=(self._decoded(picture, porous),),
        )

    def _decoded(self, picture: Any, porous: bool) -> NDArray[np.uint8]:
        key = (id(picture), porous)
        if key not in self._pictures:  # with the picture itself, so that its id stays its own
            self._pictures[key] = (picture, _decode(picture, porous))
        return self._pictures[key][1]


def _by_corner(visual: Any, vertices: int, faces: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """(f, 3, 3) colours of vertices or faces, 0 to 1, where the mesh has any."""
    if visual.kind == "vertex":
        colours = np.asarray(visual.vertex_colors)
    elif visual.kind == "face":
        colours = np.repeat(np.asarray(visual.face_colors)[:, None], 3, axis=1)
    else:  # beside a material
        colours = np.asarray(getattr(visual, "vertex_attributes", {}).get("color", ()))
    if colours.ndim == 2 and len(colours) == vertices and colours.shape[1] >= 3:
        colours = colours[faces]
    if colours.shape[:2] != faces.shape or colours.shape[2] < 3:
        return None
    largest = np.iinfo(colours.dtype).max if colours.dtype.kind in "iu" else 1
    return np.nan_to_num(colours[..., :3].astype(np.float32) / largest).clip(0, 1)


def _picture_of(material: Any) -> tuple[Any, bool]:
    """The picture of a material or None, and whether its alpha is to be minded."""
    picture = getattr(material, "baseColorTexture", None)
    if picture is not None:
        return picture, getattr(material, "alphaMode", None) in ("MASK", "BLEND")
    picture = getattr(material, "image", None)
    return picture, getattr(picture, "mode", "") in ("RGBA", "LA", "PA")


def _factor(material: Any) -> NDArray[np.float32] | None:
    """(3,) the plain colour of a material from 0 to 1, where it has one."""
    for name in ("baseColorFactor", "diffuse"):
        value = getattr(material, name, None)
        if value is not None:
            # trimesh keeps both as bytes
            return np.asarray(value)[:3].astype(np.float32) / np.float32(255)
    return None


def _encoded(colours: NDArray[np.float32] | None, linear: bool) -> NDArray[np.float32]:
    assert colours is not None
    return colours ** (1 / _GAMMA) if linear else colours


def _decode(picture: Any, porous: bool) -> NDArray[np.uint8]:
    """(h, w, 3 or 4) uint8 of a PIL image that was opened, not yet decoded."""
    image = require("PIL.Image", "train", "Reading textures")
    width, height = picture.size
    if not 0 < width * height <= _LARGEST_PICTURE:
        raise InputError(f"its texture has {width} x {height} pixels")
    try:
        pixels = picture.convert("RGBA" if porous else "RGB")
        if max(width, height) > LARGEST_TEXTURE:
            pixels.thumbnail((LARGEST_TEXTURE, LARGEST_TEXTURE), image.Resampling.BOX)
    except Exception as error:  # its decoders raise whatever they trip over
        raise InputError(f"its texture cannot be decoded ({error})") from error
    return np.asarray(pixels, dtype=np.uint8)
