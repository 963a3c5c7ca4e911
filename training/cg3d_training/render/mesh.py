"""Triangles with colours: by corner, by texture, or both multiplied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError

_GREY = (0.7, 0.7, 0.7)
_OPAQUE = 127.5  # alpha from which a texel is seen


@dataclass(frozen=True, eq=False)
class ColouredMesh:
    """A triangle mesh and the colour of every point on it.

    Attributes:
        vertices: (v, 3) float64.
        faces: (f, 3) int64, rows of `vertices`.
        colours: (f, 3, 3) float32, sRGB from 0 to 1 at each corner of each face.
        uv: (f, 3, 2) float32 texture coordinates, (0, 0) at the lower left of the picture; they
            repeat outside 0 to 1.
        texture: (f,) int32 row of `textures`, -1 where a face has none. The texture's colour is
            multiplied with the corners'.
        textures: (h, w, 3) or (h, w, 4) uint8 sRGB pictures, first row on top. Where a picture
            has a fourth channel, the surface has a hole wherever that is below one half.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    colours: NDArray[np.float32]
    uv: NDArray[np.float32]
    texture: NDArray[np.int32]
    textures: tuple[NDArray[np.uint8], ...]

    @staticmethod
    def plain(vertices: ArrayLike, faces: ArrayLike, colours: ArrayLike = _GREY) -> ColouredMesh:
        """A mesh without textures.

        Args:
            vertices: (v, 3).
            faces: (f, 3).
            colours: sRGB from 0 to 1: (3,) for all, (v, 3) by vertex or (f, 3, 3) by corner; for
                colours by face give `colours[:, None].repeat(3, axis=1)`.

        Raises:
            InputError: a face names a vertex that is not there, or the shapes do not fit.
        """
        corners = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
        points = np.asarray(vertices, dtype=np.float64).reshape(-1, 3)
        if corners.size and (corners.min() < 0 or corners.max() >= len(points)):
            raise InputError(f"a face names a vertex outside the {len(points)} there are")
        given = np.asarray(colours, dtype=np.float32)
        if given.shape == (len(points), 3):
            given = given[corners]
        if given.shape not in ((3,), (len(corners), 3, 3)):
            raise InputError(f"colours of shape {given.shape} fit no mesh of {len(corners)} faces")
        return ColouredMesh(
            vertices=points,
            faces=corners,
            colours=np.broadcast_to(given, (len(corners), 3, 3)).astype(np.float32),
            uv=np.zeros((len(corners), 3, 2), np.float32),
            texture=np.full(len(corners), -1, np.int32),
            textures=(),
        )

    def porous(self) -> NDArray[np.bool_]:
        """(f,) whether a face may have holes, by its texture."""
        holed = np.array([*(picture.shape[2] == 4 for picture in self.textures), False])
        return holed[self.texture]

    def colour_at(
        self, faces: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Colours at points of the surface.

        Args:
            faces: (n,) the face of each point.
            weights: (n, 3) its barycentric coordinates.

        Returns:
            (n, 3) float32 sRGB from 0 to 1, and (n,) whether there is surface and no hole.
        """
        parts = weights.astype(np.float32)
        colour = np.einsum("nk,nkd->nd", parts, self.colours[faces])
        seen = np.ones(len(faces), dtype=bool)
        used = self.texture[faces]
        for row, picture in enumerate(self.textures):
            here = np.flatnonzero(used == row)
            if len(here) == 0:
                continue
            uv = np.einsum("nk,nkd->nd", parts[here], self.uv[faces[here]])
            texels = _bilinear(picture, uv)
            colour[here] *= texels[:, :3] / np.float32(255)
            if picture.shape[2] == 4:
                seen[here] = texels[:, 3] >= _OPAQUE
        return colour, seen


def join(meshes: Iterable[ColouredMesh]) -> ColouredMesh:
    """All meshes as one. A picture that several of them share (the same array) is kept once.

    Raises:
        ValueError: there are none.
    """
    parts = list(meshes)
    pictures: dict[int, NDArray[np.uint8]] = {id(t): t for part in parts for t in part.textures}
    rows = {key: row for row, key in enumerate(pictures)}
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])
    moved = [np.array([rows[id(t)] for t in part.textures] + [-1], np.int32) for part in parts]
    return ColouredMesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([p.faces + s for p, s in zip(parts, starts, strict=False)]),
        colours=np.concatenate([part.colours for part in parts]),
        uv=np.concatenate([part.uv for part in parts]),
        texture=np.concatenate([m[p.texture] for p, m in zip(parts, moved, strict=True)]),
        textures=tuple(pictures.values()),
    )


def _bilinear(picture: NDArray[np.uint8], uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, channels) float32 from 0 to 255, the picture repeated over the plane."""
    height, width = picture.shape[:2]
    flat = picture.reshape(height * width, -1)
    wrapped = uv - np.floor(uv)
    x = wrapped[:, 0] * width - np.float32(0.5)
    y = (1 - wrapped[:, 1]) * height - np.float32(0.5)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_share, lower_share = (x - left)[:, None], (y - top)[:, None]
    columns, rows = (left % width, (left + 1) % width), (top % height, (top + 1) % height)
    upper, lower = (
        flat[row * width + columns[0]] * (1 - right_share)
        + flat[row * width + columns[1]] * right_share
        for row in rows
    )
    mixed: NDArray[np.float32] = (upper * (1 - lower_share) + lower * lower_share).astype(
        np.float32
    )
    return mixed
