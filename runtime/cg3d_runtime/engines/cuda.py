"""Whether this machine has a usable CUDA device, asked of the driver itself."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: The library of NVIDIA's driver; it comes with the driver and with nothing else.
LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

# CUdevice_attribute of cuda.h.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True)
class CudaDevice:
    """The first CUDA device, as the driver describes it.

    Attributes:
        name: e.g. "Orin".
        compute_capability: e.g. "8.7".
        memory_bytes: all of its memory; on a Jetson that is the board's.
        driver: the CUDA version that the driver supports, e.g. "12.6".
    """

    name: str
    compute_capability: str
    memory_bytes: int
    driver: str


@lru_cache(maxsize=1)
def cuda_device_count() -> int:
    """How many CUDA devices the driver offers; 0 without a driver.

    Asked before anything of CUDA is loaded: inference libraries list CUDA on machines without a
    GPU, print errors when it fails, and some of them crash.
    """
    try:
        driver = ctypes.CDLL(LIBRARY)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return max(0, count.value)


@lru_cache(maxsize=1)
def cuda_device() -> CudaDevice | None:
    """The first CUDA device; None without a driver, a device, or an answer."""
    if not cuda_device_count():
        return None
    try:
        return _describe(ctypes.CDLL(LIBRARY))
    except (OSError, AttributeError):
        return None


def _describe(driver: Any) -> CudaDevice | None:
    device, major, minor, version = (ctypes.c_int(0) for _ in range(4))
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    codes = (
        driver.cuDeviceGet(ctypes.byref(device), 0),
        driver.cuDeviceGetName(name, len(name), device),
        driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
        driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        driver.cuDriverGetVersion(ctypes.byref(version)),
    )
    if any(codes):
        return None
    return CudaDevice(
        name.value.decode("utf-8", errors="replace"),
        f"{major.value}.{minor.value}",
        memory.value,
        f"{version.value // 1000}.{version.value % 1000 // 10}",
    )
