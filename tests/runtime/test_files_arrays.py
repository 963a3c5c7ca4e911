"""NumPy files: what numpy itself wrote comes back, and nothing is ever unpickled."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import read_points


@pytest.fixture
def cloud() -> NDArray[np.float64]:
    return np.random.default_rng(3).normal(size=(50, 3))


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "f8", "i2", "u1", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_number(tmp_path: Path, dtype: str, order: str) -> None:
    values = np.random.default_rng(0).integers(0, 200, (40, 5)).astype(dtype)
    np.save(tmp_path / "cloud.npy", np.asarray(values, order=order))  # type: ignore[call-overload]

    read = read_points(tmp_path / "cloud.npy")

    assert read.points.flags.c_contiguous
    assert (read.kind, read.faces, read.path) == ("npy", 0, tmp_path / "cloud.npy")
    np.testing.assert_array_equal(read.points, values[:, :3])


def test_records_with_x_y_z(tmp_path: Path, cloud: NDArray[np.float64]) -> None:
    fields = [("intensity", "u1"), ("X", "f4"), ("Y", "f8"), ("Z", "i4")]
    records = np.zeros((5, 10), dtype=fields)
    for axis, name in enumerate("XYZ"):
        records[name] = (cloud[:, axis] * 100).reshape(5, 10)
    np.save(tmp_path / "organised.npy", records)

    points = read_points(tmp_path / "organised.npy").points

    expected = np.stack([records[name].ravel() for name in "XYZ"], axis=1)
    np.testing.assert_allclose(points, expected)


def test_rows_for_axes_are_turned_by_the_caller(tmp_path: Path, cloud: NDArray[np.float64]) -> None:
    np.save(tmp_path / "a.npy", cloud.T)
    with pytest.raises(InputError, match=r"\(3, 50\), one row each for x, y and z; save array.T"):
        read_points(tmp_path / "a.npy")


@pytest.mark.parametrize(("given", "kept"), [("f2", "f4"), (">f4", "f4"), ("i4", "f8")])
def test_digits_are_kept(tmp_path: Path, given: str, kept: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(30).reshape(10, 3).astype(given))
    assert read_points(tmp_path / "a.npy").points.dtype == np.dtype(kept)


def test_map_coordinates_keep_their_millimetres(tmp_path: Path) -> None:
    utm = np.array([[412_345.678, 5_654_321.123, 99.001], [412_345.679, 5_654_321.124, 99.002]])
    np.save(tmp_path / "a.npy", utm)
    np.savetxt(tmp_path / "a.xyz", utm)
    for name in ("a.npy", "a.xyz"):
        np.testing.assert_array_equal(read_points(tmp_path / name).points, utm)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_takes_the_array_called_points(
    tmp_path: Path, cloud: NDArray[np.float64], save: object
) -> None:
    save(tmp_path / "a.npz", other=cloud + 1, points=cloud, label="chair")  # type: ignore[operator]
    np.testing.assert_array_equal(read_points(tmp_path / "a.npz").points, cloud)


def test_npz_takes_the_only_array_of_points(tmp_path: Path, cloud: NDArray[np.float64]) -> None:
    np.savez(tmp_path / "a.npz", scan=cloud, colour=np.zeros(50), pair=np.zeros((50, 2)))
    np.testing.assert_array_equal(read_points(tmp_path / "a.npz").points, cloud)


def test_npz_with_several_candidates_lists_them(tmp_path: Path, cloud: NDArray[np.float64]) -> None:
    np.savez(tmp_path / "a.npz", left=cloud, right=cloud, rest=np.zeros(3))
    with pytest.raises(InputError, match=r"several arrays.*left, right.*'points'"):
        read_points(tmp_path / "a.npz")


def test_npz_without_points_says_why_for_each_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", colour=np.zeros(5), name="x")
    with pytest.raises(InputError, match=r"'colour': has the shape \(5,\).*'name'"):
        read_points(tmp_path / "a.npz")


def test_pickles_are_refused(tmp_path: Path) -> None:
    trap = np.array([[print, 1, 2]], dtype=object)
    np.save(tmp_path / "trap.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "trap.npz", points=trap)
    for name in ("trap.npy", "trap.npz"):
        with pytest.raises(InputError, match="pickled"):
            read_points(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 2)), r"shape \(4, 2\)"),
        (np.zeros(12), r"shape \(12,\)"),
        (np.zeros((4, 6, 3)), "organised cloud"),
        (np.zeros((0, 3)), "no points"),
        (np.zeros((4, 3), bool), "bool"),
        (np.zeros((4, 3), complex), "complex"),
        (np.full((4, 3), "a"), "<U1"),
        (np.zeros(4, [("x", "f4"), ("y", "f4")]), "no x, y and z"),
        (np.zeros(4, [("x", "f4"), ("y", "f4"), ("z", "f4", (2,))]), "'z'"),
    ],
)
def test_arrays_that_are_not_points(
    tmp_path: Path, array: NDArray[np.generic], reason: str
) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=reason) as caught:
        read_points(tmp_path / "a.npy")
    assert str(tmp_path / "a.npy") in str(caught.value)


def test_a_lying_shape_is_noticed_before_memory_is_taken(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 3), }"
    header = header.ljust(117) + b"\n"
    path = tmp_path / "lie.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"1234")
    with pytest.raises(InputError, match=r"truncated.*999999999999"):
        read_points(path)


def test_truncated_and_foreign_files(tmp_path: Path, cloud: NDArray[np.float64]) -> None:
    np.save(tmp_path / "a.npy", cloud)
    whole = (tmp_path / "a.npy").read_bytes()
    for part, reason in [(whole[:-8], "truncated"), (whole[:20], "not an"), (b"hello", "not an")]:
        (tmp_path / "a.npy").write_bytes(part)
        with pytest.raises(InputError, match=reason):
            read_points(tmp_path / "a.npy")
        (tmp_path / "a.npz").write_bytes(part)
        with pytest.raises(InputError, match=r"not a sound \.npz"):
            read_points(tmp_path / "a.npz")


def test_a_zip_without_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"readme\.txt"):
        read_points(tmp_path / "a.npz")
