"""Small mesh files in several formats, coloured in the ways that files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

#: Red and green above, blue and yellow below.
QUARTERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
QUARTERS = QUARTERS.repeat(32, 0).repeat(32, 1)


def write_obj(folder: Path, name: str = "panel") -> Path:
    """A textured square that faces +z and a plain one behind it, with an .mtl and a .png."""
    Image.fromarray(QUARTERS).save(folder / f"{name}.png")
    (folder / f"{name}.mtl").write_text(
        f"newmtl shown\nKd 0.2 0.2 0.2\nmap_Kd {name}.png\n\nnewmtl plain\nKd 1.0 0.5 0.0\n"
    )
    square = "v -1 -1 {z}\nv 1 -1 {z}\nv 1 1 {z}\nv -1 1 {z}\n"
    (folder / f"{name}.obj").write_text(
        f"mtllib {name}.mtl\n" + square.format(z=0) + square.format(z=-1)
        + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        + "usemtl shown\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
        + "usemtl plain\nf 5 6 7\nf 5 7 8\n"
    )  # fmt: skip
    return folder / f"{name}.obj"


def write_glb(path: Path, factor: tuple[float, float, float] | None = None) -> Path:
    """A box of one colour, or the textured square, as binary glTF."""
    if factor is not None:
        mesh = trimesh.creation.box()
        material = trimesh.visual.material.PBRMaterial(baseColorFactor=[*factor, 1.0])
        mesh.visual = trimesh.visual.TextureVisuals(material=material)
    else:
        corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
        uv = (corners[:, :2] + 1) / 2
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(QUARTERS))
        visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        mesh = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)
    path.write_bytes(trimesh.Scene([mesh]).export(file_type="glb"))
    return path


def write_ply(path: Path) -> Path:
    """A sphere whose vertices are coloured by their place."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    ball.visual.vertex_colors = ((ball.vertices + 1) / 2 * 255).astype(np.uint8)
    path.write_bytes(ball.export(file_type="ply"))
    return path
