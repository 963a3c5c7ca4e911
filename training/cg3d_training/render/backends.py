"""Who draws the pictures: our rasteriser, a GL driver, or Blender.

All of them are given the same cameras and lights, so that pictures differ in their shading alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.normals import corner_normals
from cg3d_training.render.views import View, ViewSettings, render

RendererName = Literal["cpu", "gl", "blender"]


class Renderer(Protocol):
    """Draws meshes."""

    def draw(
        self, mesh: ColouredMesh, views: Sequence[View], settings: ViewSettings
    ) -> list[NDArray[np.uint8]]:
        """A picture for each view, (size, size, 3) uint8 sRGB, first row on top.

        Raises:
            InputError: this mesh cannot be drawn.
        """


class CpuRenderer:
    """The rasteriser of this package: the same picture everywhere."""

    def draw(
        self, mesh: ColouredMesh, views: Sequence[View], settings: ViewSettings
    ) -> list[NDArray[np.uint8]]:
        """See `Renderer`."""
        normals = corner_normals(mesh.vertices, mesh.faces)
        return [
            render(
                mesh, view.camera, view.lighting, settings.size, settings.antialias,
                view.background, normals=normals,
            )
            for view in views
        ]  # fmt: skip


@cache
def open_renderer(name: RendererName, blender: str = "blender") -> Renderer:
    """A renderer, opened once in each process.

    Args:
        name: which.
        blender: Blender's executable, a path or a name on PATH.

    Raises:
        DependencyError: what it needs is not installed.
    """
    if name == "gl":
        from cg3d_training.render.gl import GlRenderer

        return GlRenderer()
    if name == "blender":
        from cg3d_training.render.blender import BlenderRenderer

        return BlenderRenderer(blender)
    return CpuRenderer()
