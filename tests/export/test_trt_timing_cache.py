"""Timing caches: taken when whole and of this machine, else never handed to TensorRT."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cg3d_export.tensorrt.machine import Machine
from cg3d_export.tensorrt.timing_cache import (
    CacheKey,
    cache_key,
    default_timing_cache,
    read_timing_cache,
    write_timing_cache,
)
from cg3d_runtime.engines.cuda import CudaDevice

KEY = CacheKey("10.3.0", "Orin", "8.7")
DATA = bytes(range(256)) + b"\nlines\n"


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "orin.cache"
    assert read_timing_cache(path, KEY) == (b"", "")
    assert write_timing_cache(path, KEY, DATA) == ""
    assert read_timing_cache(path, KEY) == (DATA, "")
    assert write_timing_cache(path, KEY, b"newer") == ""
    assert read_timing_cache(path, KEY) == (b"newer", "")
    assert [file.name for file in path.parent.iterdir()] == ["orin.cache"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.booleans())
def test_no_damage_goes_through(tmp_path: Path, place: int, flip: int, cut: bool) -> None:
    path = tmp_path / "orin.cache"
    path.unlink(missing_ok=True)
    write_timing_cache(path, KEY, DATA)
    content = bytearray(path.read_bytes())
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] ^= flip
    path.write_bytes(content)
    data, note = read_timing_cache(path, KEY)
    assert data == b""
    assert "not used" in note


@pytest.mark.parametrize(
    "key",
    [CacheKey("10.3.1", "Orin", "8.7"), CacheKey("10.3.0", "Thor", "11.0")],
)
def test_of_another_machine(tmp_path: Path, key: CacheKey) -> None:
    path = tmp_path / "orin.cache"
    write_timing_cache(path, key, DATA)
    data, note = read_timing_cache(path, KEY)
    assert data == b""
    assert "another device or TensorRT" in note


def test_a_strangers_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    data, note = read_timing_cache(path, KEY)
    assert data == b""
    assert "left as it is" in note
    assert write_timing_cache(path, KEY, DATA) == ""
    assert path.read_text() == "years of work"


def test_a_disk_that_refuses_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    note = write_timing_cache(tmp_path / "file" / "orin.cache", KEY, DATA)
    assert "cannot be written" in note
    (tmp_path / "folder.cache").mkdir()
    assert "cannot be read" in read_timing_cache(tmp_path / "folder.cache", KEY)[1]


def test_a_file_for_each_device_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    orin = CudaDevice("Orin", "8.7", 8 << 30, "12.6")
    here = default_timing_cache(Machine("10.3.0", orin))
    assert here == tmp_path / "cg3d-sdk" / "timing" / "sm87-trt10.3.0-timing.cache"
    assert default_timing_cache(Machine("10.13.3.9", orin)) != here
    assert cache_key(Machine("10.3.0", orin)) == KEY
