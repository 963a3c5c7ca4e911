"""LAS and LAZ files written by laspy, and what their headers may claim."""

from __future__ import annotations

import struct
from pathlib import Path

import laspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import read_points

#: Point formats by version of the file.
FORMATS = [("1.2", 0), ("1.2", 3), ("1.3", 4), ("1.4", 6), ("1.4", 7), ("1.4", 10)]


def write(path: Path, points: NDArray[np.floating], version: str, kind: int) -> None:
    header = laspy.LasHeader(version=version, point_format=kind)
    header.scales, header.offsets = [0.001] * 3, [500_000.0, 5_400_000.0, 0.0]  # as in UTM
    header.add_extra_dim(laspy.ExtraBytesParams("confidence", np.float32))
    las = laspy.LasData(header)
    las.x, las.y, las.z = points.T
    las.write(path)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int32, st.tuples(st.integers(1, 30), st.just(3)), elements=st.integers(0, 2**24)),
    st.sampled_from(FORMATS),
    st.sampled_from(["las", "laz"]),
)
def test_what_laspy_writes(
    tmp_path_factory: pytest.TempPathFactory,
    steps: NDArray[np.int32],
    form: tuple[str, int],
    suffix: str,
) -> None:
    points = steps * 0.001 + [500_000.0, 5_400_000.0, 0.0]
    path = tmp_path_factory.mktemp("las") / f"a.{suffix}"
    write(path, points, *form)

    read = read_points(path)

    np.testing.assert_allclose(read.points, points, atol=1e-6)
    assert (read.points.dtype, read.kind, read.faces) == (np.float64, suffix, 0)


def test_more_points_than_are_read_at_once(tmp_path: Path) -> None:
    points = np.random.default_rng(0).integers(0, 99_999, (150_000, 3)) * 0.001
    points += [500_000.0, 5_400_000.0, 0.0]
    write(tmp_path / "a.laz", points, "1.4", 6)
    np.testing.assert_allclose(read_points(tmp_path / "a.laz").points, points, atol=1e-6)


def test_an_empty_survey(tmp_path: Path) -> None:
    write(tmp_path / "a.las", np.empty((0, 3)), "1.2", 0)
    with pytest.raises(InputError, match="0 points"):
        read_points(tmp_path / "a.las")


@pytest.mark.parametrize(
    ("at", "code", "value", "reason"),
    [
        (0, "4s", b"LASX", "byte 0: not a LAS file"),
        (25, "B", 9, r"byte 24: LAS 1\.9 is not read"),
        (94, "H", 10, "byte 94: its header has 10 bytes"),
        (96, "I", 2**31, "points begin at 2147483648"),
        (100, "I", 2**31, "byte 100: 2147483648 records are claimed, 1 are there"),
        (375 + 20, "H", 60_000, "byte 429: a record of 60000 bytes"),
        (104, "B", 77, "byte 104: no points of format"),
        (105, "H", 3, "byte 104: no points of format 6 have 3 bytes"),
        (243, "I", 2**31, "byte 243: 2147483648 extended records"),
        (247, "Q", 2**62, "truncated: byte 107 promises 4611686018427387904 points"),
        (247, "Q", 6, "truncated: byte 107 promises 6 points"),
    ],
)
def test_lying_headers(tmp_path: Path, at: int, code: str, value: object, reason: str) -> None:
    path = tmp_path / "a.las"
    write(path, np.ones((5, 3)) * [500_000.0, 5_400_000.0, 0], "1.4", 6)
    content = bytearray(path.read_bytes())
    struct.pack_into("<" + code, content, at, value)
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_points(path)


@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_a_file_cut_anywhere(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write(path, np.ones((50, 3)) * [500_000.0, 5_400_000.0, 0], "1.4", 6)
    content = path.read_bytes()
    for cut in range(1, len(content), 37):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError):
            read_points(path)
