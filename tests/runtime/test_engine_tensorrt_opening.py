"""Plans that the TensorRT engine opens, and that it refuses, on a stand-in for TensorRT."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from pathlib import Path

import pytest
from fake_tensorrt import FakeTensorRT
from made_bundles import make_bundle
from made_plans import plan_info
from plans_to_run import EMBEDDING, POINTS, check, plan

from cg3d_runtime.engines import tensorrt as engine_module
from cg3d_runtime.engines.sidecar import PlanInfo
from cg3d_runtime.engines.tensorrt import TensorRTEngine
from cg3d_runtime.errors import DependencyError, EngineError


def test_a_plan_that_does_not_run_is_refused_when_opened(
    fake: FakeTensorRT, info: PlanInfo, driver: ctypes.CDLL
) -> None:
    fake.failing.add("execute")
    with pytest.raises(EngineError, match="failed to run: enqueueV3: no kernel"):
        TensorRTEngine(plan(), info)
    assert driver.fake_live() == 0


def test_a_plan_that_tensorrt_refuses(
    fake: FakeTensorRT, info: PlanInfo, driver: ctypes.CDLL
) -> None:
    fake.failing.add("deserialize")
    with pytest.raises(EngineError) as caught:
        TensorRTEngine(plan(), info, "cg3d-export my_bundle --trt")
    message = str(caught.value)
    assert "refuses the plan: Version tag does not match" in message
    assert "harmless" not in message
    assert "cg3d-export my_bundle --trt" in message
    fake.failing = {"create_execution_context"}
    with pytest.raises(EngineError, match="could not prepare the plan: it gave no reason"):
        TensorRTEngine(plan(), info)
    assert driver.fake_live() == 0


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"points": {**POINTS, "profile": [[1, 6, 3], [1, 6, 3], [4, 9, 3]]}}, "only the first"),
        ({"points": POINTS, "embedding": {**EMBEDDING, "dtype": "bfloat16"}}, "numpy lacks"),
        ({"points": POINTS, "embedding": {**EMBEDDING, "shape": [7]}}, "should be the batch"),
        ({"points": POINTS, "embedding": {**EMBEDDING, "shape": [-1, -1, 0]}}, "may be open"),
        ({"embedding": EMBEDDING}, "there should be one"),
        (
            {"points": POINTS, "tokens": {**POINTS, "profile": [[1, 6, 3]] * 3}},
            "there should be one, the same for all",
        ),
    ],
)
def test_plans_that_are_none_of_ours(
    fake: FakeTensorRT, info: PlanInfo, driver: ctypes.CDLL, tensors: dict, message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        TensorRTEngine(plan(tensors), info)
    gc.collect()
    assert driver.fake_live() == 0


def test_too_little_memory(fake: FakeTensorRT, info: PlanInfo, driver: ctypes.CDLL) -> None:
    driver.fake_memory(10_000)
    with pytest.raises(EngineError, match="CUDA_ERROR_OUT_OF_MEMORY"):
        TensorRTEngine(plan(scratch=20_000), info)
    assert driver.fake_live() == 0


def test_another_version_or_device_never_reaches_tensorrt(
    fake: FakeTensorRT, info: PlanInfo, tmp_path: Path
) -> None:
    fake.__version__ = "10.7.0.23"
    with pytest.raises(EngineError, match="the TensorRT version differs"):
        TensorRTEngine(plan(), info)
    fake.__version__ = "8.6.2"
    with pytest.raises(EngineError, match="or later is needed"):
        TensorRTEngine(plan(), info)
    fake.__version__ = "10.3.0.30"
    other = plan_info(make_bundle(tmp_path / "other"), compute_capability="9.0")
    with pytest.raises(EngineError, match="the device differs"):
        TensorRTEngine(plan(), other)
    assert fake.calls == []


def test_another_device_of_the_same_kind_is_a_warning(
    fake: FakeTensorRT, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    info = plan_info(make_bundle(tmp_path / "bundle"), device="Orin Nano")
    with caplog.at_level(logging.WARNING, "cg3d_runtime"):
        check(TensorRTEngine(plan(), info), 1)
    assert "was built on Orin Nano and runs on Fake Orin" in caplog.text


@pytest.mark.parametrize("compatible", [True, False])
def test_host_code_is_allowed_where_the_plan_needs_it(
    fake: FakeTensorRT, tmp_path: Path, compatible: bool
) -> None:
    changes = {"device": "Fake Orin", "version_compatible": compatible}
    engine = TensorRTEngine(plan(), plan_info(make_bundle(tmp_path / "bundle"), **changes))
    assert engine._session._runtime.engine_host_code_allowed is compatible


def test_without_a_device_tensorrt_is_not_even_imported(
    info: PlanInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "cuda_device", lambda: None)
    monkeypatch.setattr(engine_module, "load_tensorrt", lambda: pytest.fail("was imported"))
    with pytest.raises(EngineError, match="needs an NVIDIA driver"):
        TensorRTEngine(plan(), info)


def test_no_tensorrt(driver: ctypes.CDLL, info: PlanInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(DependencyError, match=r"cg3d-sdk\[trt\]"):
        TensorRTEngine(plan(), info)
