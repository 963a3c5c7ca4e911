"""As much of CUDA's driver API as an engine needs, by ctypes: memory, one stream, graphs.

Every return code is checked, and its name stands in the error. Names and signatures: cuda.h of
CUDA 11.4 and later.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.engines import cuda
from cg3d_runtime.errors import EngineError

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxPushCurrent_v2": (c_void_p,),
    "cuCtxPopCurrent_v2": (POINTER(c_void_p),),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_uint64),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
}

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: not held up by work on the default stream
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating

_log = logging.getLogger(__name__)


class CudaStream:
    """A stream on the first device, with the memory and the graphs that belong to it.

    The device's primary context is used, which it shares with whatever else of CUDA runs in the
    process. All methods but `close` must be called within `current()`, one thread at a time.

    Raises:
        EngineError: there is no driver, or it refused.
    """

    def __init__(self) -> None:
        try:
            self._driver = _load()
        except (OSError, AttributeError) as error:
            raise EngineError(
                f"the NVIDIA driver cannot be used ({error}). Install or update it, or use "
                "engine='cpu'."
            ) from error
        self._resources = ExitStack()
        self._device, self._context, self._stream = c_int(), c_void_p(), c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(self._device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        try:
            with self.current():
                self._call("cuStreamCreate", ctypes.byref(self._stream), _NON_BLOCKING)
                self._free_with("cuStreamDestroy_v2", self._stream)
        except EngineError:
            self.close()
            raise

    @property
    def handle(self) -> int:
        """The stream, as other libraries take it."""
        return self._stream.value or 0

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the device's context this thread's, for as long as the block lasts."""
        self._call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._try("cuCtxPopCurrent_v2", ctypes.byref(c_void_p()))

    def device_memory(self, size: int) -> int:
        """Allocate on the device; gives the address, which is a multiple of 256."""
        address = c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), max(1, size))
        self._free_with("cuMemFree_v2", address)
        return address.value

    def pinned_memory(self, size: int) -> NDArray[np.uint8]:
        """Allocate on the host, where the device can reach it: (size,) uint8."""
        address = c_void_p()
        self._call("cuMemHostAlloc", ctypes.byref(address), max(1, size), 0)
        self._free_with("cuMemFreeHost", address)
        buffer = (ctypes.c_uint8 * max(1, size)).from_address(address.value or 0)
        return np.ctypeslib.as_array(buffer)[:size]

    def to_device(self, address: int, array: NDArray[Any], size: int) -> None:
        """Enqueue a copy of the first `size` bytes of a pinned array."""
        self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, size, self._stream)

    def to_host(self, array: NDArray[Any], address: int, size: int) -> None:
        """Enqueue a copy of `size` bytes to the start of a pinned array."""
        self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, size, self._stream)

    def synchronize(self) -> None:
        """Wait until everything enqueued is done.

        Raises:
            EngineError: some of it failed.
        """
        self._call("cuStreamSynchronize", self._stream)

    def capture(self, enqueue: Callable[[], None]) -> int:
        """Record what `enqueue` enqueues, without doing it, as a graph for `launch`.

        Raises:
            EngineError: some of it cannot be captured; the stream is as before.
        """
        graph, executable = c_void_p(), c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        try:
            enqueue()
        except BaseException:
            self._try("cuStreamEndCapture", self._stream, ctypes.byref(graph))
            if graph:
                self._try("cuGraphDestroy", graph)
            raise
        self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        finally:
            self._try("cuGraphDestroy", graph)
        self._free_with("cuGraphExecDestroy", executable)
        return executable.value or 0

    def launch(self, graph: int) -> None:
        """Enqueue a captured graph."""
        self._call("cuGraphLaunch", graph, self._stream)

    def close(self) -> None:
        """Give everything back, last allocated first. May be called again."""
        context, self._context = self._context, c_void_p()
        if not context:
            return
        resources = self._resources.pop_all()
        # Where this fails the driver has gone already, and the memory with it.
        if self._try("cuCtxPushCurrent_v2", context):
            resources.close()
            self._try("cuCtxPopCurrent_v2", ctypes.byref(c_void_p()))
        self._try("cuDevicePrimaryCtxRelease_v2", self._device)

    def _free_with(self, function: str, handle: Any) -> None:
        self._resources.callback(self._try, function, handle)

    def _call(self, function: str, *arguments: Any) -> None:
        if code := getattr(self._driver, function)(*arguments):
            raise EngineError(f"CUDA's {function} failed: {self._name(code)}")

    def _try(self, function: str, *arguments: Any) -> bool:
        """For what must not raise: giving back, and tidying after another error."""
        code = getattr(self._driver, function)(*arguments)
        if code:
            _log.debug("CUDA's %s failed: %s", function, self._name(code))
        return not code

    def _name(self, code: int) -> str:
        name = c_char_p()
        if self._driver.cuGetErrorName(code, ctypes.byref(name)) or name.value is None:
            return f"error {code}"
        return f"{name.value.decode()} ({code})"


def _load() -> Any:
    driver = ctypes.CDLL(cuda.LIBRARY)
    for name, arguments in _SIGNATURES.items():
        function = getattr(driver, name)
        function.argtypes, function.restype = arguments, c_int
    return driver
