"""Whatever happens to a file's bytes, reading gives points or an InputError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import FileCloud, read_points

SUFFIXES = ("npy", "npz", "xyz", "csv", "pcd", "ply", "obj", "off", "stl", "glb", "gltf")


def _pcd(path: Path, points: np.ndarray) -> None:
    header = (
        "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 12\nHEIGHT 1\n"
        "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 12\nDATA binary\n"
    )
    path.write_bytes(header.encode() + points.astype("<f4").tobytes())


def _gltf(path: Path, box: trimesh.Trimesh) -> None:
    files = trimesh.exchange.gltf.export_gltf(trimesh.Scene(box), embed_buffers=True)
    path.write_bytes(files["model.gltf"])


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small sound file of every kind."""
    folder = tmp_path_factory.mktemp("sound")
    points = np.random.default_rng(0).normal(size=(12, 3))
    box = trimesh.creation.box()
    writers: dict[str, Callable[[Path], object]] = {
        "npy": lambda path: np.save(path, points),
        "npz": lambda path: np.savez_compressed(path, points=points),
        "xyz": lambda path: np.savetxt(path, points),
        "csv": lambda path: np.savetxt(path, points, delimiter=",", header="x,y,z", comments=""),
        "pcd": lambda path: _pcd(path, points),
        "gltf": lambda path: _gltf(path, box),
    }
    contents = {}
    for suffix in SUFFIXES:
        path = folder / f"sound.{suffix}"
        writers.get(suffix, box.export)(path)
        contents[suffix] = path.read_bytes()
        read_points(path)  # sound before it is damaged
    return contents


def _read(path: Path, content: bytes) -> FileCloud | None:
    """The points, or None after an InputError; anything else that is raised fails the test."""
    path.write_bytes(content)
    try:
        return read_points(path)
    except InputError:
        return None


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes(
    sound_files: dict[str, bytes], tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    content = bytearray(sound_files[suffix])
    # Headers come first, so faults there must not be drowned by those in the numbers.
    place = st.integers(0, min(len(content), 400) - 1) | st.integers(0, len(content) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(place)] = data.draw(st.integers(0, 255) | st.sampled_from(b"0123456789-"))
    read = _read(tmp_path / f"damaged.{suffix}", bytes(content))
    if read is not None:
        assert read.points.ndim == 2
        assert read.points.shape[1] == 3
        assert len(read.points) >= 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_cut_and_swollen_files(
    sound_files: dict[str, bytes], tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    content = sound_files[suffix]
    cut = data.draw(st.integers(0, len(content) - 1))
    extra = data.draw(st.binary(max_size=30))
    _read(tmp_path / f"cut.{suffix}", content[:cut])
    _read(tmp_path / f"swollen.{suffix}", content[:cut] + extra + content[cut:])


@pytest.mark.parametrize("suffix", ["npy", "npz", "pcd", "ply", "stl", "glb", "gltf"])
def test_a_file_cut_in_half_is_never_taken_for_whole(
    sound_files: dict[str, bytes], tmp_path: Path, suffix: str
) -> None:
    content = sound_files[suffix]
    assert _read(tmp_path / f"half.{suffix}", content[: len(content) // 2]) is None


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_noise(tmp_path: Path, suffix: str, content: bytes) -> None:
    _read(tmp_path / f"noise.{suffix}", content)
