"""Asking the driver for devices, with drivers of every mood."""

from __future__ import annotations

import ctypes

import pytest

from cg3d_runtime.engines import cuda
from cg3d_runtime.engines.cuda import CudaDevice, cuda_device, cuda_device_count


class Driver:
    """As much of libcuda as is asked."""

    def __init__(self, init: int, count: int) -> None:
        self.init, self.count = init, count

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.init

    def cuDeviceGetCount(self, target: object) -> int:  # noqa: N802
        ctypes.cast(target, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (Driver(init=0, count=2), 2),
        (Driver(init=0, count=0), 0),
        (Driver(init=100, count=1), 0),  # CUDA_ERROR_NO_DEVICE
        (object(), 0),  # a library of that name without the functions
        (OSError("libcuda.so.1: cannot open shared object file"), 0),
    ],
)
def test_counts_devices(monkeypatch: pytest.MonkeyPatch, driver: object, expected: int) -> None:
    def load(name: str) -> object:
        if isinstance(driver, OSError):
            raise driver
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)
    cuda_device_count.cache_clear()
    try:
        assert cuda_device_count() == expected
    finally:
        cuda_device_count.cache_clear()


def test_a_device_as_the_driver_describes_it(driver: ctypes.CDLL) -> None:
    device = cuda_device()
    assert device == CudaDevice("Fake Orin", "8.7", 8 << 30, "12.6")


def test_no_device_and_no_answer(driver: ctypes.CDLL) -> None:
    driver.fake_devices(0)
    assert cuda_device() is None
    cuda_device_count.cache_clear()
    cuda_device.cache_clear()
    driver.fake_devices(1)
    driver.fake_fail(b"cuDeviceTotalMem_v2", 999)
    assert cuda_device() is None
    cuda_device.cache_clear()
    driver.fake_fail(b"", 0)
    assert cuda_device() is not None


@pytest.mark.parametrize("library", ["libcuda-none.so.1", "libc.so.6"])
def test_no_driver(monkeypatch: pytest.MonkeyPatch, driver: ctypes.CDLL, library: str) -> None:
    monkeypatch.setattr(cuda, "LIBRARY", library)
    assert cuda_device() is None


def test_this_machine_answers_without_a_fault() -> None:
    """Whatever it has: a count, and a device exactly where there is one."""
    cuda_device_count.cache_clear()
    cuda_device.cache_clear()
    assert (cuda_device() is not None) == (cuda_device_count() > 0)
