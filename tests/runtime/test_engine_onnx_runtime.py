"""ONNX Runtime as an engine: right numbers, clear refusals, threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from cg3d_runtime.engines import choose
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.engines.onnx_runtime import OnnxRuntimeEngine
from cg3d_runtime.errors import DependencyError, EngineError

POINTS = 6


def network(kind: int = TensorProto.FLOAT) -> bytes:
    """The mean of a cloud times two, as a graph with one input of any batch."""
    node = helper.make_node("ReduceMean", ["points"], ["mean"], axes=[1], keepdims=0)
    twice = helper.make_node("Add", ["mean", "mean"], ["embedding"])
    graph = helper.make_graph(
        [node, twice],
        "test",
        [helper.make_tensor_value_info("points", kind, ["batch", POINTS, 3])],
        [helper.make_tensor_value_info("embedding", kind, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="module")
def engine() -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(network(), "cpu", threads=1)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_runs_any_batch(engine: OnnxRuntimeEngine, batch: int) -> None:
    points = np.random.default_rng(0).standard_normal((batch, POINTS, 3)).astype(np.float32)
    out = engine.run({"points": points})
    assert set(out) == {"embedding"}
    assert out["embedding"].dtype == np.float32
    np.testing.assert_allclose(out["embedding"], 2 * points.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_any_memory_order(engine: OnnxRuntimeEngine) -> None:
    points = np.random.default_rng(0).standard_normal((3, POINTS, 2)).astype(np.float32)
    points = np.asfortranarray(np.repeat(points, 2, axis=2)[:, ::-1, :3])
    out = engine.run({"points": points})["embedding"]
    np.testing.assert_allclose(out, 2 * points.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_many_threads_get_their_own_answers(engine: OnnxRuntimeEngine) -> None:
    def answer(value: int) -> float:
        points = np.full((1, POINTS, 3), value, np.float32)
        return float(engine.run({"points": points})["embedding"][0, 0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, range(200))) == [2.0 * value for value in range(200)]


def test_says_what_it_is(engine: OnnxRuntimeEngine) -> None:
    assert engine.name == f"onnxruntime {onnxruntime.__version__} (CPU)"


GOOD = np.zeros((1, POINTS, 3), np.float32)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "takes 'points' (batch, 6, 3) float32; it was given none"),
        ({"cloud": GOOD}, "takes 'points' (batch, 6, 3) float32; it was given 'cloud'"),
        ({"points": GOOD, "more": GOOD}, "it was given 'points', 'more'"),
        ({"points": GOOD[0]}, "should be (batch, 6, 3) float32, not (6, 3) float32"),
        ({"points": GOOD[:, :5]}, "should be (batch, 6, 3) float32, not (1, 5, 3) float32"),
        ({"points": GOOD[:0]}, "should be (batch, 6, 3) float32, not (0, 6, 3) float32"),
        ({"points": GOOD.astype(np.float64)}, "not (1, 6, 3) float64"),
        ({"points": GOOD.astype(np.int64)}, "not (1, 6, 3) int64"),
        ({"points": [[1.0]]}, "should be a numpy array (batch, 6, 3) float32, not list"),
    ],
)
def test_wrong_input(engine: OnnxRuntimeEngine, inputs: dict, message: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine.run(inputs)
    assert message in str(caught.value)


@pytest.mark.parametrize("model", [b"", b"not onnx", network()[:60]])
def test_broken_network(model: bytes) -> None:
    with pytest.raises(EngineError, match="could not load the network"):
        open_engine(model, "cpu")


def test_network_with_inputs_of_another_kind() -> None:
    with pytest.raises(EngineError, match=r"type tensor\(double\)"):
        open_engine(network(TensorProto.DOUBLE), "cpu")


def test_network_that_fails_to_run() -> None:
    node = helper.make_node("Reshape", ["points", "shape"], ["embedding"])
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", POINTS, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [7])],
        [helper.make_tensor("shape", TensorProto.INT64, [1], [7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(EngineError, match="failed to run"):
        open_engine(model.SerializeToString(), "cpu").run({"points": GOOD})


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_checked(threads: int) -> None:
    with pytest.raises(EngineError, match=f"threads={threads}"):
        open_engine(network(), "cpu", threads)


def test_unknown_engine() -> None:
    with pytest.raises(EngineError, match="engine='gpu' should be one of auto, cpu, cuda"):
        open_engine(network(), "gpu")  # type: ignore[arg-type]


def test_cuda_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "cuda_device_count", lambda: 0)
    with pytest.raises(
        EngineError, match="needs an NVIDIA driver and a CUDA device; this machine has none"
    ):
        open_engine(network(), "cuda")


def test_cuda_with_the_cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "cuda_device_count", lambda: 1)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EngineError, match=r"pip install 'cg3d-sdk\[gpu\]'"):
        open_engine(network(), "cuda")
    assert "(CPU)" in open_engine(network(), "auto").name


@pytest.fixture
def pretended_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lists CUDA and cannot use it, as onnxruntime-gpu does without its libraries:
    the session comes up on the CPU and says so only when asked."""
    real = onnxruntime.InferenceSession

    def session(model: bytes, options: object, providers: list[object], **more: object) -> object:
        return real(model, options, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(choose, "cuda_device_count", lambda: 1)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )


@pytest.mark.usefixtures("pretended_cuda")
def test_cuda_that_fell_back_is_an_error() -> None:
    with pytest.raises(EngineError, match="fell back to CPUExecutionProvider"):
        open_engine(network(), "cuda")


@pytest.mark.usefixtures("pretended_cuda")
def test_auto_says_that_it_takes_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    assert "(CPU)" in open_engine(network(), "auto").name
    assert "(CPU) runs the network instead of cuda: CUDAExecutionProvider was" in caplog.text


def test_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for engine in ("auto", "cpu"):
        with pytest.raises(DependencyError) as caught:
            open_engine(network(), engine)  # type: ignore[arg-type]
        assert "pip install 'cg3d-sdk[cpu]'" in str(caught.value)
        assert "pip install 'cg3d-sdk[gpu]'" in str(caught.value)
