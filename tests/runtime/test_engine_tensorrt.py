"""The TensorRT engine on a stand-in for TensorRT and the driver: what it asks of both."""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_tensorrt import FakeTensorRT
from hypothesis import given
from hypothesis import strategies as st
from made_bundles import content, make_bundle
from made_plans import ENCODER, make_plan, plan_bytes, plan_info
from test_engine_onnx_runtime import network as onnx_network

from cg3d_runtime.engines import tensorrt as engine_module
from cg3d_runtime.engines.machine import plan_header
from cg3d_runtime.engines.sidecar import PlanInfo, Profile
from cg3d_runtime.engines.tensorrt import TensorRTEngine, batch_sizes
from cg3d_runtime.engines.tensorrt_messages import messages_of
from cg3d_runtime.errors import DependencyError, EngineError

POINTS = {"dtype": "float32", "shape": [-1, 6, 3], "profile": [[1, 6, 3], [2, 6, 3], [4, 6, 3]]}
EMBEDDING = {"dtype": "float32", "shape": [-1, 3]}


def plan(tensors: dict[str, Any] | None = None, **spec: Any) -> bytes:
    tensors = tensors or {"points": POINTS, "embedding": EMBEDDING}
    return plan_bytes(body=json.dumps({"tensors": tensors, **spec}).encode())


@pytest.fixture
def info(tmp_path: Path) -> PlanInfo:
    return plan_info(make_bundle(tmp_path / "bundle"), device="Fake Orin")


@pytest.fixture
def engine(fake: FakeTensorRT, info: PlanInfo) -> TensorRTEngine:
    return TensorRTEngine(plan(), info)


def clouds(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((batch, 6, 3)).astype(np.float32)


def check(engine: TensorRTEngine, batch: int, seed: int = 0) -> None:
    points = clouds(batch, seed)
    out = engine.run({"points": points})
    assert set(out) == {"embedding"}
    assert out["embedding"].dtype == np.float32
    np.testing.assert_allclose(out["embedding"], 2 * points.mean(axis=1), rtol=1e-6)


def test_answers_and_their_graphs(engine: TensorRTEngine, fake: FakeTensorRT) -> None:
    # Opening runs the smallest batch once, and records it.
    assert fake.calls == ["deserialize", "execute", "kernel", "capture"]
    for seed in range(3):
        for batch in (1, 4, 3):
            check(engine, batch, seed)
    # A size is run once, recorded once, and replayed from then on.
    assert fake.calls.count("execute") == 3
    assert fake.calls.count("capture") == 3
    assert fake.calls.count("kernel") == 10
    assert engine.name == "tensorrt 10.3.0 (Fake Orin, fp16)"


@pytest.mark.parametrize("batch", [5, 8, 9, 17])
def test_larger_batches_go_in_pieces(engine: TensorRTEngine, batch: int) -> None:
    check(engine, batch)
    check(engine, batch, 1)


def test_nothing_is_allocated_by_a_run(engine: TensorRTEngine, driver: ctypes.CDLL) -> None:
    for allocate in (b"cuMemAlloc_v2", b"cuMemHostAlloc"):
        driver.fake_watch(allocate)
        for batch in (4, 1, 9, 4):
            check(engine, batch)
        assert driver.fake_calls() == 0


def test_answers_are_the_callers(engine: TensorRTEngine) -> None:
    first = engine.run({"points": clouds(2, 1)})["embedding"]
    kept = first.copy()
    engine.run({"points": clouds(2, 2)})
    np.testing.assert_array_equal(first, kept)


def test_any_memory_order(engine: TensorRTEngine) -> None:
    points = np.asfortranarray(np.repeat(clouds(3), 2, axis=2)[:, ::-1, :3])
    out = engine.run({"points": points})["embedding"]
    np.testing.assert_allclose(out, 2 * points.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_threads_get_their_own_answers(engine: TensorRTEngine) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: check(engine, 1 + i % 6, i), range(100)))


def test_many_sizes_share_a_context(fake: FakeTensorRT, info: PlanInfo) -> None:
    points = {**POINTS, "profile": [[1, 6, 3], [8, 6, 3], [64, 6, 3]]}
    engine = TensorRTEngine(plan({"points": points, "embedding": EMBEDDING}), info)
    for _ in range(2):
        for batch in range(1, 20):
            check(engine, batch, batch)
    assert fake.alive.count("context") == 9  # eight with a graph, one for the rest
    assert fake.calls.count("capture") == 8


def test_several_inputs_and_outputs_of_several_types(fake: FakeTensorRT, info: PlanInfo) -> None:
    tensors = {
        "tokens": {"dtype": "int64", "shape": [-1, 5], "profile": [[1, 5], [1, 5], [3, 5]]},
        "points": {**POINTS, "profile": [[1, 6, 3], [1, 6, 3], [3, 6, 3]]},
        "scores": {"dtype": "float32", "shape": [-1, 1]},
        "labels": {"dtype": "int64", "shape": [-1, 1]},
    }
    engine = TensorRTEngine(plan(tensors), info)
    tokens = np.arange(20).reshape(4, 5)
    out = engine.run({"points": clouds(4), "tokens": tokens})
    assert {name: (a.dtype.name, a.shape) for name, a in out.items()} == {
        "scores": ("float32", (4, 1)),
        "labels": ("int64", (4, 1)),
    }
    np.testing.assert_array_equal(out["labels"][:, 0], 2 * tokens.mean(axis=1))
    with pytest.raises(EngineError, match=r"different batches: \[2, 4\]"):
        engine.run({"points": clouds(2), "tokens": tokens})


GOOD = clouds(1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "takes 'points' (1..4, 6, 3) float32; it was given none"),
        ({"cloud": GOOD}, "it was given 'cloud'"),
        ({"points": GOOD, "more": GOOD}, "it was given 'points', 'more'"),
        ({"points": GOOD[0]}, "(6, 3) float32, outside of the plan's profile, (1..4, 6, 3)"),
        ({"points": GOOD[:, :5]}, "(1, 5, 3) float32, outside of the plan's profile"),
        ({"points": GOOD[:0]}, "(0, 6, 3) float32, outside of the plan's profile"),
        ({"points": GOOD.astype(np.float64)}, "(1, 6, 3) float64, outside of"),
        ({"points": GOOD[..., None]}, "(1, 6, 3, 1) float32, outside of"),
        ({"points": [[1.0]]}, "should be a numpy array (1..4, 6, 3) float32, not list"),
    ],
)
def test_wrong_input(engine: TensorRTEngine, inputs: dict, message: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine.run(inputs)
    assert message in str(caught.value)


@given(st.integers(1, 300), st.integers(1, 70), st.integers(0, 70))
def test_batch_sizes(batch: int, minimum: int, more: int) -> None:
    maximum = minimum + more
    try:
        sizes = batch_sizes(batch, minimum, maximum)
    except EngineError:
        # Refused only where no number of pieces can hold the batch.
        assert not any(k * minimum <= batch <= k * maximum for k in range(1, batch + 1))
        return
    assert sum(sizes) == batch
    assert all(minimum <= size <= maximum for size in sizes)
    assert len(sizes) == -(-batch // maximum)


def test_a_batch_below_the_profile(fake: FakeTensorRT, info: PlanInfo) -> None:
    points = {**POINTS, "profile": [[3, 6, 3], [3, 6, 3], [4, 6, 3]]}
    engine = TensorRTEngine(plan({"points": points, "embedding": EMBEDDING}), info)
    check(engine, 7)
    for batch in (2, 5):
        with pytest.raises(EngineError, match="profile"):
            engine.run({"points": clouds(batch)})


@pytest.mark.parametrize("fault", ["TensorRT", "cuStreamEndCapture", "cuStreamBeginCapture_v2"])
def test_without_graphs_where_capturing_fails(
    engine: TensorRTEngine,
    fake: FakeTensorRT,
    driver: ctypes.CDLL,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if fault == "TensorRT":
        fake.failing.add("capture")
    else:
        driver.fake_fail(fault.encode(), 900)
    with caplog.at_level(logging.WARNING, "cg3d_runtime"):
        for seed in range(3):
            for batch in (2, 9, 1):
                check(engine, batch, seed)
    assert engine.name == "tensorrt 10.3.0 (Fake Orin, fp16, without CUDA graphs)"
    warnings = [record for record in caplog.records if "without CUDA graphs" in record.message]
    assert len(warnings) == 1


def test_runs_that_fail(engine: TensorRTEngine, fake: FakeTensorRT, driver: ctypes.CDLL) -> None:
    fake.failing.add("execute")
    with pytest.raises(EngineError, match="failed to run: enqueueV3: no kernel"):
        check(engine, 2)
    fake.failing.clear()
    fake.failing.add("set_input_shape")
    with pytest.raises(EngineError, match=r"does not take the shape \(2, 6, 3\).*out of range"):
        check(engine, 2)
    fake.failing.clear()
    driver.fake_fail(b"cuMemcpyHtoDAsync_v2", 700)
    with pytest.raises(EngineError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        check(engine, 2)
    driver.fake_fail(b"", 0)
    check(engine, 2)
    assert driver.fake_context() == 0


def test_a_plan_that_does_not_run_is_refused_when_opened(
    fake: FakeTensorRT, info: PlanInfo, driver: ctypes.CDLL
) -> None:
    fake.failing.add("execute")
    with pytest.raises(EngineError, match="failed to run: enqueueV3: no kernel"):
        TensorRTEngine(plan(), info)
    assert driver.fake_live() == 0


@pytest.mark.parametrize("closed", [True, False])
def test_everything_is_given_back(
    fake: FakeTensorRT, info: PlanInfo, driver: ctypes.CDLL, closed: bool
) -> None:
    engine = TensorRTEngine(plan(), info)
    for batch in (1, 2, 2, 5):
        check(engine, batch)
    assert driver.fake_live() > 5
    if closed:
        engine.close()
        engine.close()
        with pytest.raises(EngineError, match="was closed"):
            engine.run({"points": GOOD})
    del engine
    gc.collect()
    assert driver.fake_live() == 0
    assert fake.alive == []
    assert not [call for call in fake.calls if "without a context" in call]


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


def test_the_profile_in_the_sidecar_is_the_plans() -> None:
    """The specification above and the sidecars of `made_plans` describe one plan."""
    assert ENCODER["points"] == Profile(*(tuple(shape) for shape in POINTS["profile"]))


@pytest.fixture(scope="module")
def real_plan(tensorrt_host: Any) -> bytes:
    """A plan by the real API, for a device that is not here."""
    with tensorrt_host() as trt:
        builder = trt.Builder(messages_of(trt).logger)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, messages_of(trt).logger)
        assert parser.parse(onnx_network())
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        profile.set_shape("points", *POINTS["profile"])
        config.add_optimization_profile(profile)
        return bytes(builder.build_serialized_network(network, config))


def test_a_real_plan_is_told_by_its_header(real_plan: bytes) -> None:
    assert plan_header(real_plan).magic in ("vtrt", "ftrt")
    assert int.from_bytes(real_plan[16:24], "little") == len(real_plan)


@pytest.mark.parametrize("choice", ["auto", "tensorrt"])
def test_a_real_plan_without_a_driver_ends_no_process(
    real_plan: bytes, tmp_path: Path, tensorrt_installer: Any, choice: str
) -> None:
    """Even making a `tensorrt.Runtime` would: so this is another process, with the real package."""
    bundle = make_bundle(tmp_path / "b", {**content(), "encoder.onnx": onnx_network()})
    make_plan(bundle, plan=real_plan, tensorrt=plan_header(real_plan).version)
    code = (
        f"import sys; sys.path.insert(0, {str(tensorrt_installer.target())!r});"
        "from cg3d_runtime.engines import cuda; cuda.LIBRARY = 'libcuda-none.so';"
        "from cg3d_runtime.bundle import Bundle; from cg3d_runtime.engines.choose import *;"
        f"opened = open_part(Bundle.open({str(bundle.root)!r}), 'encoder', {choice!r}, 1);"
        "print(opened.engine.name, *opened.refusals)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = done.stdout if choice == "auto" else done.stderr
    assert "the bundle's plans need an NVIDIA driver" in said
    assert done.returncode == (0 if choice == "auto" else 1)


def test_the_api_that_is_called_exists(tensorrt_host: Any) -> None:
    """Against the real bindings; needs no GPU."""
    with tensorrt_host() as trt:
        for owner, names in {
            trt.Runtime: "deserialize_cuda_engine engine_host_code_allowed",
            trt.ICudaEngine: "num_io_tensors get_tensor_name get_tensor_mode get_tensor_dtype "
            "get_tensor_profile_shape create_execution_context device_memory_size_v2",
            trt.IExecutionContext: "set_input_shape get_tensor_shape set_tensor_address "
            "execute_async_v3 set_device_memory",
        }.items():
            assert [name for name in names.split() if not hasattr(owner, name)] == []
        assert hasattr(trt.ExecutionContextAllocationStrategy, "USER_MANAGED")
        assert hasattr(trt.TensorIOMode, "INPUT")
        assert trt.nptype(trt.float32) is np.float32
        with pytest.raises(TypeError):
            trt.nptype(trt.bfloat16)


def test_what_tensorrt_says_is_kept(tensorrt_host: Any) -> None:
    with tensorrt_host() as trt:
        messages = messages_of(trt)
        messages.clear()
        network = trt.Builder(messages.logger).create_network(0)
        assert not trt.OnnxParser(network, messages.logger).parse(b"no graph")
    assert "Failed to parse the ONNX model" in messages.summary()
    messages.clear()
    assert messages.summary() == "it gave no reason"
