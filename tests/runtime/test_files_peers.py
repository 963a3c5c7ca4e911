"""Clouds written by other libraries: PCD by pypcd4, PLY by plyfile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plyfile
import pypcd4
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from cg3d_runtime.files import read_points

ENCODINGS = [
    pypcd4.Encoding.ASCII,
    pypcd4.Encoding.BINARY,
    pypcd4.Encoding.BINARY_COMPRESSED,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("peers")


def clouds(dtype: type[np.floating]) -> st.SearchStrategy[NDArray[np.floating]]:
    numbers = st.floats(-1e4, 1e4, width=32) | st.just(np.nan)
    shape = st.tuples(st.integers(1, 40), st.just(3))
    return hnp.arrays(dtype, shape, elements=numbers)


@settings(max_examples=120, deadline=None)
@given(clouds(np.float32), st.sampled_from(ENCODINGS), st.sampled_from([np.float32, np.float64]))
def test_pcd_by_pypcd4(
    folder: Path, points: NDArray[np.float32], encoding: pypcd4.Encoding, kind: type[np.floating]
) -> None:
    columns = [np.arange(len(points), dtype=np.uint8), *points.astype(kind).T]
    cloud = pypcd4.PointCloud.from_points(
        columns, ("ring", "x", "y", "z"), (np.uint8, kind, kind, kind)
    )
    cloud.save(folder / "a.pcd", encoding=encoding)

    read = read_points(folder / "a.pcd")

    if encoding == pypcd4.Encoding.ASCII:  # it writes ten digits
        np.testing.assert_allclose(read.points, points, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(read.points, points)
        assert read.points.dtype == kind


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(["<f4", ">f4", "<f8", ">f8"]).flatmap(lambda d: clouds(np.dtype(d))),  # type: ignore[arg-type]
    st.booleans(),
    st.sampled_from("<>"),
)
def test_ply_by_plyfile(folder: Path, points: NDArray[np.floating], text: bool, order: str) -> None:
    code = f"f{points.dtype.itemsize}"
    vertices = np.empty(len(points), [("red", "u1"), ("x", code), ("y", code), ("z", code)])
    vertices["red"] = 7
    for axis, name in enumerate("xyz"):
        vertices[name] = points[:, axis]
    element = plyfile.PlyElement.describe(vertices, "vertex")
    plyfile.PlyData([element], text=text, byte_order="=" if text else order).write(folder / "a.ply")

    read = read_points(folder / "a.ply")

    np.testing.assert_allclose(read.points, points, rtol=1e-6 if text else 0)
    if not text:
        assert read.points.dtype.itemsize == points.dtype.itemsize


def test_a_mesh_by_plyfile_with_faces_of_several_sizes(folder: Path) -> None:
    corners = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1)], "f4,f4,f4")
    corners.dtype.names = ("x", "y", "z")
    faces = np.empty(2, [("vertex_indices", "O")])
    faces["vertex_indices"] = [np.array([0, 1, 2, 3]), np.array([0, 1, 4])]
    elements = [
        plyfile.PlyElement.describe(corners, "vertex"),
        plyfile.PlyElement.describe(faces, "face"),
    ]
    plyfile.PlyData(elements).write(folder / "m.ply")
    read = read_points(folder / "m.ply")
    assert read.faces == 3
    on_floor, on_wall = read.points[:, 2] == 0, read.points[:, 1] == 0
    assert (on_floor | on_wall).all()
    assert on_floor.mean() == pytest.approx(2 / 3, abs=0.01)
