"""Pictures of meshes and depth maps of points.

They are drawn on the CPU with numpy: no GL, no display, the same bytes every time. `backends.py`
has others that draw: a GL driver, and Blender.
"""

from __future__ import annotations

from cg3d_training.render.camera import Camera, fitting_camera, random_camera
from cg3d_training.render.lighting import Lighting, random_lighting
from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.views import ViewSettings, render, render_views

__all__ = [
    "Camera",
    "ColouredMesh",
    "Lighting",
    "ViewSettings",
    "fitting_camera",
    "random_camera",
    "random_lighting",
    "render",
    "render_views",
]
