"""Text files in the dialects that tools write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import read_points

EXPECTED = np.array([[1.0, 2.0, 3.0], [-4.5, 5e-3, 6.25]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.xyz", "1 2 3\n-4.5 5e-3 6.25\n"),
        ("no_end.xyz", "1 2 3\n-4.5 5e-3 6.25"),
        ("tabs.txt", "1\t2\t3\t255\n-4.5\t5e-3\t6.25\t0\n"),
        ("windows.xyz", "1 2 3\r\n-4.5 5e-3 6.25\r\n"),
        ("bom.xyz", "\ufeff1 2 3\n-4.5 5e-3 6.25\n"),
        ("commas.csv", "1,2,3\n-4.5,5e-3,6.25\n"),
        ("spaced.csv", "1, 2, 3,\n-4.5, 5e-3, 6.25,\n"),
        ("semicolons.csv", "1;2;3\n-4.5;5e-3;6.25\n"),
        ("header.csv", "x,y,z,intensity\n1,2,3,9\n-4.5,5e-3,6.25,9\n"),
        ("columns.csv", '"Time","Z","X","Y"\n0.1,3,1,2\n0.2,6.25,-4.5,5e-3\n'),
        ("comments.txt", "# a scan\n\n1 2 3 # first\n// half way\n-4.5 5e-3 6.25\n"),
        ("cloudcompare.txt", "//X Y Z\n1 2 3\n-4.5 5e-3 6.25\n"),
        ("leica.pts", "2\n1 2 3 -12 100 100 100\n-4.5 5e-3 6.25 -13 1 2 3\n"),
    ],
)
def test_dialects(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    read = read_points(tmp_path / name)
    np.testing.assert_array_equal(read.points, EXPECTED)
    assert read.kind == name.rsplit(".", 1)[1]


def test_what_numpy_wrote_comes_back(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(300, 4))
    np.savetxt(tmp_path / "a.xyz", points)
    np.testing.assert_array_equal(read_points(tmp_path / "a.xyz").points, points[:, :3])


def test_nan_rows_are_kept_for_the_recogniser_to_count(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("1 2 3\nnan nan nan\n")
    assert np.isnan(read_points(tmp_path / "a.xyz").points[1]).all()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xyz", b"1 2 3\n4 5\n", "line 2 has 2 columns"),
        ("a.xyz", b"# c\n1 2 3\n\n4 five 6\n", "line 4: 'five' is not a number"),
        ("a.csv", b"x;y;z\n1,5;2,5;3,5\n", "line 2: '1,5' is not a number; decimal points are"),
        ("a.csv", b"1,2,3\n4,,6\n", "line 2: '' is not a number"),
        ("a.xyz", b"O 1 2 3\nH 1 2 3\n", "line 1 is neither"),
        ("a.xyz", b"1 2\n3 4\n", "line 1 has 2 columns"),
        ("a.csv", b"x,y,z\n", "no points"),
        ("a.txt", b"# nothing\n\n", "no line with points"),
        ("a.pts", b"3\n1 2 3\n4 5 6\n", "promises 3 points, 2 follow"),
        ("a.xyz", b"\x80\x81\x82", "not text"),
        ("a.xyz", b"1 2 3\n\0\0\0\n", "not text"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_points(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
