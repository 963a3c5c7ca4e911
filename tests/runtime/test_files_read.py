"""The door: what is no file of points is refused by name, with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import READERS, read_points


def test_an_unknown_suffix_lists_what_is_read(tmp_path: Path) -> None:
    for name in ("a.docx", "cloud"):
        (tmp_path / name).write_text("1 2 3")
    with pytest.raises(InputError, match=r"'\.docx' are not read") as caught:
        read_points(tmp_path / "a.docx")
    assert all(suffix in str(caught.value) for suffix in READERS)
    with pytest.raises(InputError, match="without a suffix"):
        read_points(tmp_path / "cloud")


def test_suffixes_in_capitals_and_plain_strings(tmp_path: Path) -> None:
    (tmp_path / "A.XYZ").write_text("1 2 3\n")
    assert read_points(str(tmp_path / "A.XYZ")).kind == "xyz"


@pytest.mark.parametrize("suffix", list(READERS))
def test_missing_empty_and_folder(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_points(tmp_path / f"missing{suffix}")
    (tmp_path / f"empty{suffix}").touch()
    with pytest.raises(InputError, match="is empty"):
        read_points(tmp_path / f"empty{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_points(tmp_path / f"folder{suffix}")


def test_what_is_not_there_or_a_folder_is_told_before_its_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_points(tmp_path / "missing.foo")
    with pytest.raises(InputError, match=r"is a folder.*name the files in it"):
        read_points(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xyz")
    with pytest.raises(InputError, match="pipe"):
        read_points(tmp_path / "pipe.xyz")


def test_a_path_with_a_nul_character() -> None:
    with pytest.raises(InputError):
        read_points("a\0b.xyz")
