"""The TensorRT engine on a stand-in for TensorRT and the driver: what a run asks of both."""

from __future__ import annotations

import ctypes
import gc
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_tensorrt import FakeTensorRT
from hypothesis import given
from hypothesis import strategies as st
from made_plans import ENCODER
from plans_to_run import EMBEDDING, POINTS, check, clouds, plan

from cg3d_runtime.engines.sidecar import PlanInfo, Profile
from cg3d_runtime.engines.tensorrt import TensorRTEngine, batch_sizes
from cg3d_runtime.errors import EngineError


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


def test_the_profile_in_the_sidecar_is_the_plans() -> None:
    """The specification above and the sidecars of `made_plans` describe one plan."""
    assert ENCODER["points"] == Profile(*(tuple(shape) for shape in POINTS["profile"]))
