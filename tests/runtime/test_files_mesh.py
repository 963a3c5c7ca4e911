"""Mesh files: written by trimesh, sampled evenly, placed as their scene says."""

from __future__ import annotations

import base64
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from cg3d_runtime.errors import DependencyError, InputError
from cg3d_runtime.files import read_points
from cg3d_runtime.files.surface import fan_triangles, sample_surface


@pytest.mark.parametrize("suffix", ["obj", "off", "stl", "glb", "gltf"])
def test_points_lie_on_the_mesh_that_trimesh_wrote(tmp_path: Path, suffix: str) -> None:
    mesh = trimesh.creation.capsule(height=1.0, radius=0.3)
    path = tmp_path / f"a.{suffix}"
    if suffix == "gltf":  # the buffers go into files of their own beside it
        for name, content in trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh)).items():
            (tmp_path / name.replace("model", "a")).write_bytes(content)
    else:
        mesh.export(path)

    read = read_points(path)

    assert read.kind == suffix
    assert read.faces == len(mesh.faces)
    assert read.points.shape == (8192, 3)
    reference, _ = trimesh.sample.sample_surface(mesh, 60_000, seed=1)
    distance, _ = cKDTree(reference).query(read.points)
    assert distance.max() < 0.05
    np.testing.assert_array_equal(read_points(path).points, read.points)


def test_a_scene_is_placed_by_its_transforms(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([10, 0, 0]))
    scene.add_geometry(box, transform=trimesh.transformations.scale_matrix(2.0))
    scene.export(tmp_path / "a.glb")

    points = read_points(tmp_path / "a.glb").points

    np.testing.assert_allclose(points.min(axis=0), [-1, -1, -1], atol=0.02)
    np.testing.assert_allclose(points.max(axis=0), [10.5, 1, 1], atol=0.02)
    share = float((points[:, 0] > 5).mean())
    assert share == pytest.approx(6 / (6 + 24), abs=0.01)  # by area: 6 m2 and 24 m2


def test_modelnet_off_with_counts_in_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text("OFF4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n")
    read = read_points(tmp_path / "a.off")
    assert read.faces == 2
    np.testing.assert_allclose(read.points.mean(axis=0), [0.5, 0.5, 0.0], atol=0.01)


def test_off_with_comments_and_colours(tmp_path: Path) -> None:
    rows = ["0 0 0", "1 0 0 # a corner", "1 1 0", "0 1 0"]
    (tmp_path / "a.off").write_text("\n".join(["OFF", "# by hand", "4 1 0", *rows, "4 0 1 2 3"]))
    rows = [f"{row.split(' #')[0]} 255 0 0 255" for row in rows]
    (tmp_path / "b.off").write_text("\n".join(["COFF", "4 1 0", *rows, "4 0 1 2 3 0 0 255"]))
    for name in ("a.off", "b.off"):
        read = read_points(tmp_path / name)
        assert read.faces == 2
        np.testing.assert_allclose(read.points.max(axis=0), [1, 1, 0], atol=0.02)
        np.testing.assert_allclose(read.points.mean(axis=0), [0.5, 0.5, 0], atol=0.01)


def test_off_cut_before_its_last_number_is_refused(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=1)
    faces = "".join(f"4 {a} {b} {c} {a}\n" for a, b, c in mesh.faces)
    vertices = "".join(f"{x} {y} {z}\n" for x, y, z in mesh.vertices)
    whole = f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n{vertices}{faces}".encode()
    path = tmp_path / "a.off"
    path.write_bytes(whole)
    assert read_points(path).faces == 2 * len(mesh.faces)
    for cut in range(1, len(whole.rsplit(b" ", 1)[0]) + 1, 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError):
            read_points(path)
    path.write_bytes(whole.rsplit(b" ", 1)[0])
    with pytest.raises(InputError, match="as many corners"):
        read_points(path)


def test_samples_are_even_and_follow_the_area() -> None:
    vertices = np.array([[0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0], [3, 0, 3]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 4]])  # 1.5, 1.5 and 1.5 in area
    points = sample_surface(vertices, faces, 3000)
    assert int((points[:, 2] > 0).sum()) == pytest.approx(1000, abs=1)
    flat = points[points[:, 2] == 0]
    counts, _, _ = np.histogram2d(flat[:, 0], flat[:, 1], bins=(6, 2), range=((0, 3), (0, 1)))
    expected = len(flat) / 12
    # Random points would stray by 13 (one standard deviation of a binomial); these by less.
    assert np.abs(counts - expected).max() < 15


def test_degenerate_triangles_get_no_points() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [np.inf, 0, 0], [9, 9, 9]])
    faces = np.array([[4, 4, 4], [0, 1, 2], [0, 1, 3], [4, 4, 4]])
    points = sample_surface(vertices, faces, 64)
    assert points.max() <= 1.0
    assert np.isfinite(points).all()


def test_fans_of_polygons() -> None:
    triangles = fan_triangles([np.array([[0, 1, 2, 3]]), np.array([[4, 5, 6]]), np.array([[7, 8]])])
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 2, 3], [4, 5, 6]])


def gltf(document: dict[str, object]) -> bytes:
    return json.dumps({"asset": {"version": "2.0"}, **document}).encode()


def triangle(**changes: object) -> dict[str, object]:
    """A glTF of one triangle; `changes` go into its POSITION accessor."""
    data = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    accessor = {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"} | changes
    return {
        "buffers": [{"byteLength": 36, "uri": uri}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{k: v for k, v in accessor.items() if v is not None}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0, "translation": [5, 0, 0]}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }


def test_gltf_with_its_buffer_inside(tmp_path: Path) -> None:
    (tmp_path / "a.gltf").write_bytes(gltf(triangle()))
    read = read_points(tmp_path / "a.gltf")
    assert read.faces == 1
    assert read.points[:, 0].min() >= 5.0


def test_gltf_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.gltf"
    outside = triangle()
    outside["buffers"] = [{"byteLength": 36, "uri": "../secret.bin"}]
    (tmp_path.parent / "secret.bin").write_bytes(bytes(36))
    missing = triangle()
    missing["buffers"] = [{"byteLength": 36, "uri": "nowhere.bin"}]
    cases = [
        (gltf(triangle(bufferView=None, count=10**12)), "claim 1000000000000 elements"),
        (gltf(triangle(count=10**12)), "not a sound .gltf"),
        (gltf({"extensionsRequired": ["EXT_meshopt_compression"]}), "compressed"),
        (gltf(outside), "outside its folder"),
        (gltf(missing), "'nowhere.bin', which is not there"),
        (b"[1, 2]", "not a JSON object"),
        (b"{" * 50, "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ]
    for content, reason in cases:
        path.write_bytes(content)
        with pytest.raises(InputError, match=reason):
            read_points(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"glTF", "incomplete"),
        (struct.pack("<4sIIII", b"glTF", 1, 20, 0, 0), "version 1"),
        (struct.pack("<4sIIII", b"glTF", 2, 10**9, 0, 0), "promises 1000000000 bytes"),
    ],
)
def test_glb_headers(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.glb").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_points(tmp_path / "a.glb")


def test_an_instanced_mesh_cannot_eat_the_memory(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    sphere = trimesh.creation.icosphere(subdivisions=5)  # 20,480 triangles
    for _ in range(600):
        scene.add_geometry(sphere, geom_name="sphere")
    scene.export(tmp_path / "a.glb")
    with pytest.raises(InputError, match="over 10000000 triangles"):
        read_points(tmp_path / "a.glb")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.stl", b"solid x\nendsolid x\n", "no vertex of a .stl"),
        (
            "a.stl",
            bytes(80) + struct.pack("<I", 10**9) + bytes(50),
            "truncated: its header promises 1000000000 triangles",
        ),
        ("a.off", b"OFF\n99 1 0\n0 0 0\n", "truncated: its header promises 99 vertices"),
        ("a.off", b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "promises 3 vertices and 2 faces"),
        ("a.off", b"OFF\n2 0 0\n0 0 0\n1 0", "fewer than three numbers"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4 0 1 2", "as many corners as it says"),
        ("a.off", b"OFF BINARY\n\0\1", "how many vertices and faces"),
        ("a.off", b"4OFF\n0 0 0\n", "does not begin with OFF"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "without area"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 7\n", "not a sound .obj file"),
        ("a.obj", b"garbage\n", "no vertex of a .obj"),
    ],
)
def test_damage_is_an_input_error(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_points(tmp_path / name)


def test_without_trimesh_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.stl").write_bytes(b"solid")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(DependencyError, match=r"Reading .stl files.*cg3d-sdk\[files\]"):
        read_points(tmp_path / "a.stl")


def test_real_meshes(shared: Path) -> None:
    folder = shared / "data" / "meshes"
    listed = json.loads((folder / "meshes.json").read_text())
    for row in listed[::40]:
        read = read_points(folder / row["file"])
        scene = trimesh.load(folder / row["file"], force="scene", skip_materials=True)
        reach = (scene.bounds[1] - scene.bounds[0]).max()
        gap = np.abs([read.points.min(0) - scene.bounds[0], read.points.max(0) - scene.bounds[1]])
        assert read.faces > 0
        assert gap.max() < 0.03 * reach, row["file"]


def test_a_draco_file_without_its_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.gltf"
    path.write_bytes(gltf({"extensionsRequired": ["KHR_draco_mesh_compression"]}))
    monkeypatch.setattr("cg3d_runtime.files.gltf._reads_draco", lambda: False)
    with pytest.raises(InputError, match=r"compressed .*cg3d-sdk\[draco\]"):
        read_points(path)


def test_draco(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy", reason="needs the extra draco")
    path = tmp_path / "a.glb"
    box = trimesh.creation.box((1, 2, 3))
    path.write_bytes(box.export(file_type="glb", extension_draco=True))
    if b"KHR_draco" not in path.read_bytes():
        pytest.skip("this trimesh does not write Draco")
    read = read_points(path)
    assert read.faces == 12
    np.testing.assert_allclose(np.ptp(read.points, axis=0), (1, 2, 3), rtol=0.02)


def test_a_draco_file_of_others(shared: Path) -> None:
    pytest.importorskip("DracoPy", reason="needs the extra draco")
    path = shared / "data" / "meshes" / "quaternius" / "1d254ac507" / "Ramp-transformed.glb"
    read = read_points(path)
    assert read.faces == 192
    np.testing.assert_allclose(np.ptp(read.points, axis=0), (1.875, 1.392, 3.115), rtol=0.02)
