"""Mesh files with their colours, and points on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.stats import chisquare
from small_meshes import QUARTERS, write_glb, write_obj, write_ply

from cg3d_runtime.errors import InputError
from cg3d_training.data.meshes import load_mesh, sample_coloured
from cg3d_training.render import ColouredMesh

RNG = np.random.default_rng


def expected_quarter(points: np.ndarray) -> np.ndarray:
    """What QUARTERS shows at x and y from -1 to 1."""
    return QUARTERS[np.where(points[:, 1] > 0, 0, 63), np.where(points[:, 0] > 0, 63, 0)]


def away_from_seams(points: np.ndarray) -> np.ndarray:
    inner = (np.abs(points[:, :2]) > 0.05) & (np.abs(points[:, :2]) < 0.95)
    return inner.all(axis=1)


def test_obj_with_texture_and_plain_material(tmp_path: Path) -> None:
    points, colours = sample_coloured(load_mesh(write_obj(tmp_path)), 2000, RNG(0))
    front = (points[:, 2] == 0) & away_from_seams(points)
    assert 700 < front.sum() < 1100
    np.testing.assert_array_equal(colours[front], expected_quarter(points)[front])
    back = points[:, 2] == -1
    assert (colours[back] == [255, 128, 0]).all()  # Kd 1, 0.5, 0


def test_glb_with_texture(tmp_path: Path) -> None:
    points, colours = sample_coloured(load_mesh(write_glb(tmp_path / "a.glb")), 1000, RNG(0))
    inner = away_from_seams(points)
    np.testing.assert_array_equal(colours[inner], expected_quarter(points)[inner])


def test_glb_factors_are_linear(tmp_path: Path) -> None:
    mesh = load_mesh(write_glb(tmp_path / "a.glb", (0.5, 1.0, 0.0)))
    _, colours = sample_coloured(mesh, 10, RNG(0))
    # The sRGB curve of a half is 188; a power of 2.2 gives 186.
    assert np.abs(colours - np.array([188, 255, 0])).max() <= 3


def test_ply_with_coloured_vertices(tmp_path: Path) -> None:
    points, colours = sample_coloured(load_mesh(write_ply(tmp_path / "a.ply")), 1000, RNG(0))
    assert np.abs((points + 1) / 2 * 255 - colours).max() < 2


def test_z_up(tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 2, 3))
    (tmp_path / "a.stl").write_bytes(box.export(file_type="stl"))
    assert np.ptp(load_mesh(tmp_path / "a.stl").vertices, axis=0).tolist() == [1, 2, 3]
    turned = load_mesh(tmp_path / "a.stl", up="z")
    assert np.ptp(turned.vertices, axis=0).tolist() == [1, 3, 2]
    assert (turned.colours == np.float32(0.7)).all()


def test_samples_are_even_by_area_and_seeded() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [9, 0, 0], [5, 3, 0]], float)
    mesh = ColouredMesh.plain(vertices, [[0, 1, 2], [3, 4, 5]])
    points, colours = sample_coloured(mesh, 26000, RNG(1))
    assert points.dtype == np.float32
    assert colours.dtype == np.uint8
    small = points[points[:, 0] <= 1]
    # Areas 0.5 and 6; in the small triangle, its four quarters are equally likely.
    assert abs(len(small) / 26000 - 0.5 / 6.5) < 0.006
    x, y = small[:, 0], small[:, 1]
    quarter = np.select([x > 0.5, y > 0.5, x + y < 0.5], [0, 1, 2], 3)
    assert chisquare(np.bincount(quarter, minlength=4)).pvalue > 1e-3
    again, _ = sample_coloured(mesh, 26000, RNG(1))
    np.testing.assert_array_equal(points, again)
    assert not np.array_equal(points, sample_coloured(mesh, 26000, RNG(2))[0])


def test_no_points_in_holes(tmp_path: Path) -> None:
    path = write_obj(tmp_path)
    holed = np.dstack([QUARTERS, np.full((64, 64), 255, np.uint8)])
    holed[:, :32, 3] = 0
    Image.fromarray(holed).save(tmp_path / "panel.png")
    points, _ = sample_coloured(load_mesh(path), 1000, RNG(0))
    assert len(points) == 1000
    front = points[points[:, 2] == 0]
    assert len(front) > 200
    assert front[:, 0].min() > -0.02
    holed[..., 3] = 0
    Image.fromarray(holed).save(tmp_path / "panel.png")
    points, _ = sample_coloured(load_mesh(path), 100, RNG(0))
    assert (points[:, 2] == -1).all()


def test_scene_transforms_are_applied(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    for x in (0, 10):
        matrix = trimesh.transformations.translation_matrix([x, 0, 0])
        scene.add_geometry(trimesh.creation.box(), transform=matrix)
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    assert np.ptp(load_mesh(tmp_path / "a.glb").vertices[:, 0]) == 11


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.obj", b"", "not a sound|no faces|no vertex"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 1 0 0\nf 1 2 3\n", "without area"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n", "without area|not a sound"),
        ("a.glb", b"glTF\x02\0\0\0\xff\xff\0\0\xff\0\0\0JSON", "truncated"),
        ("a.stl", b"\0" * 80 + b"\xff\xff\xff\x7f", "truncated"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
            "not a sound|no faces|no vertex",
        ),
        ("a.fbx", b"", "not one of"),
        ("missing.obj", None, "cannot be read"),
    ],
)
def test_what_is_no_mesh_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_mesh(tmp_path / name)


def test_broken_and_missing_textures(tmp_path: Path) -> None:
    path = write_obj(tmp_path)
    whole = (tmp_path / "panel.png").read_bytes()
    (tmp_path / "panel.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="texture"):
        load_mesh(path)
    (tmp_path / "panel.png").unlink()
    _, colours = sample_coloured(load_mesh(path), 500, RNG(0))
    assert {tuple(c) for c in colours.tolist()} == {(51, 51, 51), (255, 128, 0)}


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = write_obj(tmp_path / "in")
    (tmp_path / "in" / "panel.png").rename(tmp_path / "panel.png")
    mtl = tmp_path / "in" / "panel.mtl"
    mtl.write_text(mtl.read_text().replace("panel.png", "../panel.png"))
    assert load_mesh(path).textures == ()


def test_real_meshes(shared: Path) -> None:
    folder = shared / "data" / "meshes"
    for pattern in ("sweethome3d/*/*.obj", "kaykit/*/*.glb", "kaykit/*/*.gltf"):
        path = sorted(folder.glob(pattern))[3]
        mesh = load_mesh(path)
        scene = trimesh.load(path, force="scene")
        _, colours = sample_coloured(mesh, 500, RNG(0))
        np.testing.assert_allclose(
            [mesh.vertices.min(0), mesh.vertices.max(0)], scene.bounds, rtol=1e-6
        )
        assert len(np.unique(colours, axis=0)) > 1
