"""A machine with a CUDA device, as far as the SDK asks."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_tensorrt
import pytest
from plans_to_run import engine, info  # noqa: F401

from cg3d_runtime.engines import cuda


@pytest.fixture(scope="session")
def fake_libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that stands in for the driver, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform == "win32":
        pytest.skip("needs a C compiler (cc or gcc) to make a stand-in for the NVIDIA driver")
    library = tmp_path_factory.mktemp("cuda") / "libcuda.so.1"
    source = Path(__file__).with_name("fake_cuda.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


@pytest.fixture
def driver(
    fake_libcuda: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ctypes.CDLL]:
    """A driver with one device, new for every test."""
    library = shutil.copy(fake_libcuda, tmp_path / "libcuda.so.1")  # a copy has its own state
    monkeypatch.setattr(cuda, "LIBRARY", str(library))
    loaded = ctypes.CDLL(str(library))
    loaded.fake_host.restype = ctypes.c_void_p
    loaded.fake_host.argtypes = (ctypes.c_uint64, ctypes.c_size_t)
    loaded.fake_memory.argtypes = (ctypes.c_size_t,)
    loaded.fake_enqueue.argtypes = (ctypes.c_void_p, fake_tensorrt.WORK, ctypes.c_long)
    cuda.cuda_device_count.cache_clear()
    cuda.cuda_device.cache_clear()
    yield loaded
    cuda.cuda_device_count.cache_clear()
    cuda.cuda_device.cache_clear()


@pytest.fixture
def fake(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> fake_tensorrt.FakeTensorRT:
    """An installed TensorRT 10.3 on that device."""
    module = fake_tensorrt.FakeTensorRT(driver)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module
