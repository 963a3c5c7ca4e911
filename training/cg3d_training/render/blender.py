"""Pictures by Blender, path traced: a process of its own for each object, and files in between.

The job is a folder: `job.json` (size, samples, and of each view the camera and the lights),
`mesh.npz` (arrays of the mesh, moved and scaled to a radius of 1) and `texture-0.png` ...;
`blender_script.py`, which Blender runs, answers with `view-0.png` ..., clear around the object.
Blender is run as a program; its Python is not ours.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import DependencyError, InputError
from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.normals import corner_normals
from cg3d_training.render.views import View, ViewSettings

#: Paths of light for each pixel.
SAMPLES = 32
_LONGEST = 600.0  # seconds for one view
_SCRIPT = Path(__file__).with_name("blender_script.py")


class BlenderRenderer:
    """Starts Blender once for each object."""

    def __init__(self, executable: str) -> None:
        """Find it.

        Args:
            executable: a path, or a name on PATH.

        Raises:
            DependencyError: there is no such program.
        """
        found = shutil.which(executable)
        if found is None:
            raise DependencyError(
                f"Blender was not found as {executable!r}: install it (blender.org/download, or "
                "apt install blender), or say where it is with --blender FILE"
            )
        self._executable = found

    def draw(
        self, mesh: ColouredMesh, views: Sequence[View], settings: ViewSettings
    ) -> list[NDArray[np.uint8]]:
        """See `Renderer`."""
        with TemporaryDirectory(prefix="cg3d-blender-") as name:
            folder = Path(name)
            _write_job(folder, mesh, views, settings.size)
            try:
                done = subprocess.run(
                    self.command(folder), capture_output=True, text=True, errors="replace",
                    timeout=_LONGEST * len(views), check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise InputError(f"Blender took over {_LONGEST:.0f} s a view") from error
            if done.returncode:
                last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                raise InputError(f"Blender failed ({done.returncode}): {' '.join(last)[:300]}")
            return [
                _read(folder / f"view-{i}.png", settings.size, view.background)
                for i, view in enumerate(views)
            ]

    def command(self, folder: Path) -> list[str]:
        """What is run for a job."""
        return [
            self._executable, "--background", "--factory-startup", "--python-exit-code", "3",
            "--python", str(_SCRIPT), "--", str(folder),
        ]  # fmt: skip


def _write_job(folder: Path, mesh: ColouredMesh, views: Sequence[View], size: int) -> None:
    image = require("PIL.Image", "train", "Drawing with Blender")
    used = mesh.vertices[np.unique(mesh.faces)]
    middle = (used.min(axis=0) + used.max(axis=0)) / 2
    radius = float(np.linalg.norm(used - middle, axis=1).max()) or 1.0
    np.savez(
        folder / "mesh.npz",
        vertices=((mesh.vertices - middle) / radius).astype(np.float32),
        faces=mesh.faces.astype(np.int32),
        normals=corner_normals(mesh.vertices, mesh.faces),
        colours=mesh.colours,
        uv=mesh.uv,
        texture=mesh.texture,
    )
    for i, picture in enumerate(mesh.textures):
        image.fromarray(picture).save(folder / f"texture-{i}.png")
    job = {
        "size": size,
        "samples": SAMPLES,
        "textures": len(mesh.textures),
        "views": [_view(view, middle, radius) for view in views],
    }
    (folder / "job.json").write_text(json.dumps(job))


def _view(view: View, middle: NDArray[np.float64], radius: float) -> dict[str, Any]:
    camera, lighting = view.camera, view.lighting
    return {
        "eye": ((camera.eye - middle) / radius).tolist(),
        "axes": camera.axes.tolist(),
        "field_of_view": camera.field_of_view,
        "ambient": float(lighting.ambient),
        "directions": lighting.directions.tolist(),
        "strengths": lighting.strengths.tolist(),
    }


def _read(path: Path, size: int, background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A picture that Blender made, before the background."""
    image = require("PIL.Image", "train", "Drawing with Blender")
    try:
        with image.open(path, formats=("PNG",)) as picture:
            if picture.size != (size, size):
                raise InputError(f"Blender made a picture of {picture.size} pixels")
            pixels = np.asarray(picture.convert("RGBA"), np.float32)
    except OSError as error:
        raise InputError(f"Blender ended without {path.name} ({error})") from error
    alpha = pixels[..., 3:] / 255
    over = pixels[..., :3] * alpha + np.array(background, np.float32) * (1 - alpha)
    return np.round(over).astype(np.uint8)
