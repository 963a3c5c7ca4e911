"""Whether this machine has a usable CUDA device, asked of the driver itself."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache


@lru_cache(maxsize=1)
def cuda_device_count() -> int:
    """How many CUDA devices the driver offers; 0 without a driver.

    Asked before anything of CUDA is loaded: inference libraries list CUDA on machines without a
    GPU, print errors when it fails, and some of them crash.
    """
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return max(0, count.value)
