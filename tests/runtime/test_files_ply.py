"""PLY files: those that trimesh writes and reads, and the dialects it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import read_points

TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float64)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_a_cloud_written_by_trimesh(tmp_path: Path, encoding: str) -> None:
    points = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    cloud = trimesh.PointCloud(points, colors=np.full((70, 4), 200, np.uint8))
    (tmp_path / "a.ply").write_bytes(cloud.export(file_type="ply", encoding=encoding))

    read = read_points(tmp_path / "a.ply")

    np.testing.assert_allclose(read.points, points, atol=1e-6)
    assert (read.kind, read.faces) == ("ply", 0)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_a_mesh_written_by_trimesh_is_sampled_on_its_surface(tmp_path: Path, encoding: str) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=2.0)
    (tmp_path / "a.ply").write_bytes(mesh.export(file_type="ply", encoding=encoding))

    read = read_points(tmp_path / "a.ply")

    assert read.faces == len(mesh.faces)
    assert len(read.points) == 8192
    radii = np.linalg.norm(read.points, axis=1)
    assert 1.97 < radii.min() <= radii.max() < 2.0001


def big_endian() -> bytes:
    """A file as old scanners write them: big endian, a property before x, an element between."""
    header = (
        b"ply\nformat binary_big_endian 1.0\ncomment old\nobj_info scanner 1\n"
        b"element camera 1\nproperty float fov\nproperty list uchar short pixels\n"
        b"element vertex 4\nproperty uchar quality\n"
        b"property double x\nproperty double y\nproperty double z\n"
        b"element face 2\nproperty uchar flags\n"
        b"property list uchar int vertex_indices\nend_header\n"
    )
    camera = np.array(1.5, ">f4").tobytes() + b"\x02" + np.array([7, 8], ">i2").tobytes()
    rows = np.zeros(4, dtype=[("q", "u1"), ("xyz", ">f8", (3,))])
    rows["xyz"] = TETRAHEDRON
    faces = b"\x00\x03" + np.array([0, 1, 2], ">i4").tobytes()
    faces += b"\x00\x04" + np.array([0, 1, 2, 3], ">i4").tobytes()
    return header + camera + rows.tobytes() + faces


def test_big_endian_with_other_elements_and_mixed_faces(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(big_endian())
    read = read_points(tmp_path / "a.ply")
    assert read.faces == 3  # a triangle and a quad
    assert read.points.min() >= 0.0
    assert read.points.max() <= 1.0


def test_ascii_quads_cover_the_square(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
        "property float z\nproperty uchar red\nelement face 1\n"
        "property list uchar uint vertex_index\nend_header\n"
        "0 0 0 9\n2 0 0 9\n2 1 0 9\n0 1 0 9\n4 0 1 2 3\n"
    )
    read = read_points(tmp_path / "a.ply")
    assert read.faces == 2
    np.testing.assert_allclose(read.points.mean(axis=0), [1.0, 0.5, 0.0], atol=0.01)


def ascii_ply(vertices: str = "4", faces: str = "1", body: str = "") -> bytes:
    return (
        f"ply\nformat ascii 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {faces}\nproperty list uchar int vertex_indices\n"
        f"end_header\n{body}"
    ).encode()


SQUARE = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ascii_ply("5", "1", SQUARE), "truncated.*5 of the element 'vertex'"),
        (ascii_ply("4", "2", SQUARE + "3 0 1 2\n"), "truncated.*2 of the element 'face'"),
        (ascii_ply("9" * 14, "1", SQUARE), "truncated"),
        (ascii_ply("-4", "1", SQUARE), "line 3 of its header"),
        (ascii_ply("4", "1", SQUARE + "3 0 1\n"), "line 14 is not a face"),
        (ascii_ply("4", "1", SQUARE + "3 0 1 9\n"), "names a vertex outside the 4"),
        (ascii_ply("4", "1", SQUARE + "3 0 1 1\n"), "without area"),
        (ascii_ply("4", "1", SQUARE.replace("1", "one", 1) + "3 0 1 2\n"), "line 11: 'one'"),
        (ascii_ply("0", "0"), "no points"),
        (b"plywood", "no end_header"),
        (b"solid", "does not begin"),
        (b"ply\nend_header\n", "no format line"),
        (b"ply\nformat ascii 1.0\nend_header\n", "no element 'vertex'"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty half x\n", "'half x' is not known"),
        (b"ply\nformat ascii 9.0\nend_header\n", "line 2 of its header"),
        (big_endian()[:-1], "truncated"),
        (big_endian()[:-20], "truncated"),
        (big_endian()[:-60], "truncated.*'vertex'"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_points(tmp_path / "a.ply")


def test_a_mesh_whose_corners_are_not_finite(tmp_path: Path) -> None:
    vertices: NDArray[np.float64] = np.full((3, 3), np.nan)
    mesh = trimesh.Trimesh(vertices, [[0, 1, 2]], process=False)
    mesh.export(tmp_path / "a.ply")
    with pytest.raises(InputError, match="without area"):
        read_points(tmp_path / "a.ply")
