"""CUDA's driver API through ctypes: addresses, copies, graphs, and every return code."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from cg3d_runtime.engines import cuda
from cg3d_runtime.engines.cuda_memory import CudaStream
from cg3d_runtime.errors import EngineError


def test_copies_go_there_and_back(driver: ctypes.CDLL) -> None:
    stream = CudaStream()
    with stream.current():
        source, target = stream.pinned_memory(1000), stream.pinned_memory(1000)
        address = stream.device_memory(1000)
        source[:] = np.arange(1000) % 251
        target[:] = 0
        stream.to_device(address, source, 900)
        stream.to_host(target, address, 800)
        assert not target.any(), "work waits for the stream"
        stream.synchronize()
    assert address % 256 == 0
    np.testing.assert_array_equal(target[:800], source[:800])
    assert not target[800:].any()
    stream.close()
    assert driver.fake_live() == 0


def test_everything_is_given_back_once(driver: ctypes.CDLL) -> None:
    stream = CudaStream()
    with stream.current():
        for size in (0, 1, 256, 100_000):
            stream.device_memory(size)
            assert stream.pinned_memory(size).shape == (size,)
    assert driver.fake_live() == 10  # eight blocks, a stream, a context
    driver.fake_watch(b"cuMemFree_v2")
    stream.close()
    stream.close()
    assert driver.fake_calls() == 4
    assert driver.fake_live() == 0


def test_a_graph_repeats_what_was_captured(driver: ctypes.CDLL) -> None:
    stream = CudaStream()
    with stream.current():
        source, target = stream.pinned_memory(8), stream.pinned_memory(8)
        address = stream.device_memory(8)

        def copy() -> None:
            stream.to_device(address, source, 8)
            stream.to_host(target, address, 8)

        target[:] = 0
        graph = stream.capture(copy)
        stream.synchronize()
        assert not target.any(), "capturing does nothing"
        for value in (3, 4):
            source[:] = value
            stream.launch(graph)
            stream.synchronize()
            assert (target == value).all()
    stream.close()
    assert driver.fake_live() == 0


def test_a_capture_that_fails_leaves_the_stream_usable(driver: ctypes.CDLL) -> None:
    stream = CudaStream()
    with stream.current():
        source, address = stream.pinned_memory(8), stream.device_memory(8)
        with pytest.raises(EngineError, match="CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"):
            stream.capture(lambda: [stream.device_memory(8)].clear())
        for function in (b"cuStreamEndCapture", b"cuGraphInstantiateWithFlags"):
            driver.fake_fail(function, 900)
            with pytest.raises(EngineError, match=function.decode()):
                stream.capture(lambda: stream.to_device(address, source, 8))
        driver.fake_fail(b"", 0)
        stream.to_device(address, source, 8)
        stream.synchronize()
    stream.close()
    assert driver.fake_live() == 0


@pytest.mark.parametrize(
    "function",
    ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2", "cuStreamCreate"],
)
def test_opening_checks_every_code(driver: ctypes.CDLL, function: str) -> None:
    driver.fake_fail(function.encode(), 2)
    with pytest.raises(EngineError, match=rf"{function} failed: CUDA_ERROR_OUT_OF_MEMORY \(2\)"):
        CudaStream()
    assert driver.fake_live() == 0


@pytest.mark.parametrize(
    "function",
    [
        "cuMemAlloc_v2", "cuMemHostAlloc", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2",
        "cuStreamSynchronize", "cuStreamBeginCapture_v2", "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags", "cuGraphLaunch",
    ],
)  # fmt: skip
def test_working_checks_every_code(driver: ctypes.CDLL, function: str) -> None:
    stream = CudaStream()
    driver.fake_fail(function.encode(), 77)

    def work() -> None:
        source, address = stream.pinned_memory(8), stream.device_memory(8)
        graph = stream.capture(lambda: stream.to_device(address, source, 8))
        stream.launch(graph)
        stream.to_host(source, address, 8)
        stream.synchronize()

    with stream.current(), pytest.raises(EngineError, match=f"{function} failed: error 77"):
        work()
    driver.fake_fail(b"", 0)
    stream.close()
    assert driver.fake_live() == 0


def test_work_that_failed_shows_when_waiting(driver: ctypes.CDLL) -> None:
    stream = CudaStream()
    with stream.current():
        source, address = stream.pinned_memory(8), stream.device_memory(8)
        stream.to_device(address, source, 9)  # more than either has
        with pytest.raises(EngineError, match="cuStreamSynchronize failed: CUDA_ERROR_ILLEGAL"):
            stream.synchronize()
    stream.close()


def test_memory_that_is_not_there(driver: ctypes.CDLL) -> None:
    driver.fake_memory(1000)
    stream = CudaStream()
    with stream.current(), pytest.raises(EngineError, match="CUDA_ERROR_OUT_OF_MEMORY"):
        stream.device_memory(2000)
    stream.close()


def test_a_driver_that_has_gone_takes_its_memory_along(driver: ctypes.CDLL) -> None:
    stream = CudaStream()
    with stream.current():
        stream.device_memory(8)
    driver.fake_fail(b"cuCtxPushCurrent_v2", 4)  # CUDA_ERROR_DEINITIALIZED
    stream.close()


def test_no_driver_and_an_old_one(monkeypatch: pytest.MonkeyPatch, driver: ctypes.CDLL) -> None:
    monkeypatch.setattr(cuda, "LIBRARY", "libc.so.6")
    with pytest.raises(EngineError, match=r"cannot be used \(.*cuInit"):
        CudaStream()
    monkeypatch.setattr(cuda, "LIBRARY", "libcuda-none.so")
    with pytest.raises(EngineError, match="cannot open"):
        CudaStream()
