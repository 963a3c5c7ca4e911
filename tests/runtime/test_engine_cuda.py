"""Asking the driver for devices, with drivers of every mood."""

from __future__ import annotations

import ctypes

import pytest

from cg3d_runtime.engines.cuda import cuda_device_count


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
