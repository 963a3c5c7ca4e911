"""KITTI's and nuScenes' scans: plain rows of float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import is_point_file, read_points


@pytest.mark.parametrize(("name", "columns"), [("000000.bin", 4), ("n008.pcd.bin", 5)])
def test_a_scan(tmp_path: Path, name: str, columns: int) -> None:
    rows = np.random.default_rng(0).normal(size=(40, columns)).astype("<f4")
    rows.tofile(tmp_path / name)
    cloud = read_points(tmp_path / name)
    np.testing.assert_array_equal(cloud.points, rows[:, :3])
    assert (cloud.points.dtype, cloud.kind) == (np.float32, "bin")


def test_files_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(33))
    with pytest.raises(InputError, match=r"33 bytes are no multiple of 16, .* byte 32"):
        read_points(path)
    rows = np.ones((3, 4), np.float32)
    for value in (np.nan, np.inf, -1e6):
        rows[2, 1] = value
        rows.tofile(path)
        with pytest.raises(InputError, match="byte 32 would be the point"):
            read_points(path)


def test_the_buffer_of_a_gltf_is_no_scan(tmp_path: Path) -> None:
    path = tmp_path / "scene.bin"
    path.write_bytes(bytes(32))
    assert is_point_file(path)
    (tmp_path / "scene.gltf").touch()
    assert not is_point_file(path)
    assert is_point_file(tmp_path / "scene.gltf")
