"""Which engine is taken, and what is said about the others."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_tensorrt import FakeTensorRT
from made_bundles import content, make_bundle
from made_plans import TAG, make_plan, plan_bytes
from plans_to_run import EMBEDDING, POINTS
from test_engine_onnx_runtime import network

from cg3d_runtime.bundle import Bundle, TextInfo
from cg3d_runtime.engines import cuda
from cg3d_runtime.engines.choose import Opened, Refusal, open_engine, open_part
from cg3d_runtime.errors import BundleError, DependencyError, EngineError

PLAN = plan_bytes(body=json.dumps({"tensors": {"points": POINTS, "embedding": EMBEDDING}}).encode())
FP32 = "sm87-trt10.3.0-fp32"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", {**content(), "encoder.onnx": network()})


@pytest.fixture
def _no_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cuda, "LIBRARY", "libcuda-none.so.1")
    cuda.cuda_device_count.cache_clear()
    cuda.cuda_device.cache_clear()
    yield
    cuda.cuda_device_count.cache_clear()
    cuda.cuda_device.cache_clear()


def answers(opened: Opened) -> None:
    points = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)
    out = opened.engine.run({"points": points})["embedding"]
    np.testing.assert_allclose(out, 2 * points.mean(axis=1), rtol=1e-5, atol=1e-6)


def said(opened: Opened) -> dict[str, str]:
    return {refusal.engine: refusal.reason for refusal in opened.refusals}


@pytest.mark.usefixtures("_no_driver")
def test_a_plain_machine_takes_the_cpu(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    opened = open_part(bundle, "encoder", "auto", 1)
    answers(opened)
    assert "(CPU)" in opened.engine.name
    assert list(said(opened)) == ["tensorrt", "cuda"]
    assert said(opened)["tensorrt"] == (
        "the bundle has no plan of its part 'encoder'. To make one for this machine: "
        f"cg3d-export {bundle.root} --trt"
    )
    assert "needs an NVIDIA driver" in said(opened)["cuda"]
    assert caplog.text == "", "what is not there is no reason for a warning"


@pytest.mark.usefixtures("_no_driver")
def test_plans_without_a_driver(bundle: Bundle) -> None:
    make_plan(bundle, plan=PLAN)
    opened = open_part(bundle, "encoder")
    assert "plans need an NVIDIA driver" in said(opened)["tensorrt"]
    with pytest.raises(EngineError, match="plans need an NVIDIA driver"):
        open_part(bundle, "encoder", "tensorrt")


def test_a_plan_that_fits_is_taken(bundle: Bundle, fake: FakeTensorRT) -> None:
    make_plan(bundle, plan=PLAN, device="Fake Orin")
    for choice in ("auto", "tensorrt"):
        opened = open_part(bundle, "encoder", choice)  # type: ignore[arg-type]
        answers(opened)
        assert opened.engine.name == "tensorrt 10.3.0 (Fake Orin, fp16)"
        assert opened.refusals == ()


def test_half_precision_is_preferred(bundle: Bundle, fake: FakeTensorRT) -> None:
    make_plan(bundle, plan=PLAN, precision="fp32")
    make_plan(bundle, plan=PLAN, precision="int8")
    assert "int8" in open_part(bundle, "encoder").engine.name
    make_plan(bundle, plan=PLAN)
    assert "fp16" in open_part(bundle, "encoder").engine.name


def test_a_damaged_plan_gives_way_and_is_reported(
    bundle: Bundle, fake: FakeTensorRT, caplog: pytest.LogCaptureFixture
) -> None:
    make_plan(bundle, plan=PLAN).write_bytes(PLAN[:-1] + b" ")
    make_plan(bundle, plan=PLAN, precision="fp32")
    opened = open_part(bundle, "encoder", "tensorrt")
    assert "fp32" in opened.engine.name
    assert "was changed after it was built" in said(opened)[f"tensorrt {TAG}"]
    assert f"instead of tensorrt {TAG}: " in caplog.text


def test_no_plan_fits(bundle: Bundle, fake: FakeTensorRT, caplog: pytest.LogCaptureFixture) -> None:
    make_plan(bundle, plan=PLAN, compute_capability="9.0", device="NVIDIA H200")
    opened = open_part(bundle, "encoder")
    answers(opened)
    assert "(CPU)" in opened.engine.name
    assert list(said(opened)) == ["tensorrt sm90-trt10.3.0-fp16", "cuda"]
    reason = said(opened)["tensorrt sm90-trt10.3.0-fp16"]
    assert "the device differs (the plan is for NVIDIA H200" in reason
    assert f"cg3d-export {bundle.root} --trt" in reason
    assert "has no CUDAExecutionProvider" in said(opened)["cuda"]
    assert "the device differs" in caplog.text
    assert "CUDAExecutionProvider" not in caplog.text, "that is how it was installed"
    with pytest.raises(EngineError, match="the device differs"):
        open_part(bundle, "encoder", "tensorrt")


def test_every_fault_is_in_the_error(bundle: Bundle, fake: FakeTensorRT) -> None:
    make_plan(bundle, plan=PLAN).unlink()
    make_plan(bundle, plan=PLAN, precision="fp32").write_bytes(b"")
    with pytest.raises(BundleError, match=rf"cut short.*Tried before: tensorrt {TAG}: .*missing"):
        open_part(bundle, "encoder", "tensorrt")


def test_plans_where_tensorrt_is_not_installed(
    bundle: Bundle, driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    make_plan(bundle, plan=PLAN)
    opened = open_part(bundle, "encoder")
    assert "pip install 'cg3d-sdk[trt]'" in said(opened)[f"tensorrt {TAG}"]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError) as caught:
        open_part(bundle, "encoder")
    assert "cg3d-sdk[cpu]" in str(caught.value)
    assert "cg3d-sdk[trt]" in str(caught.value)


def test_a_plan_runs_where_onnxruntime_is_not_installed(
    bundle: Bundle, fake: FakeTensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    make_plan(bundle, plan=PLAN)
    answers(open_part(bundle, "encoder"))


def test_each_part_has_its_own_plan(bundle: Bundle, fake: FakeTensorRT) -> None:
    make_plan(bundle, plan=PLAN)
    with pytest.raises(EngineError, match="no plan of its part 'text_encoder'"):
        open_part(bundle, "text_encoder", "tensorrt")


def test_the_onnx_file_is_checked(bundle: Bundle) -> None:
    (bundle.root / "encoder.onnx").write_bytes(network() + b"x")
    for choice in ("auto", "cpu"):
        with pytest.raises(BundleError, match="changed or cut short"):
            open_part(bundle, "encoder", choice)  # type: ignore[arg-type]


def test_parts_that_have_no_onnx_file(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no ONNX file of the part 'bank'"):
        open_part(bundle, "bank", "cpu")
    closed = make_bundle(tmp_path / "closed", text=TextInfo(14.0, None))
    with pytest.raises(BundleError, match="no ONNX file of the part 'text_encoder'"):
        open_part(closed, "text_encoder", "cpu")


def test_choices(bundle: Bundle) -> None:
    for wrong in ("gpu", "AUTO", "", "tensorrt-rtx"):
        with pytest.raises(EngineError, match="should be one of auto, cpu, cuda, tensorrt, ort-"):
            open_part(bundle, "encoder", wrong)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="runs the plans of a bundle"):
        open_engine(network(), "tensorrt")


def test_a_refusal_reads_as_a_line() -> None:
    assert str(Refusal("cuda", "no driver")) == "cuda: no driver"


@pytest.mark.parametrize("plans", [True, False])
def test_a_machine_without_a_device_loads_nothing_for_one(bundle: Bundle, plans: bool) -> None:
    if plans:
        make_plan(bundle, plan=PLAN)
    code = (
        "import sys; from cg3d_runtime.engines import cuda; cuda.LIBRARY = 'libcuda-none.so';"
        "from cg3d_runtime.bundle import Bundle; from cg3d_runtime.engines.choose import *;"
        f"open_part(Bundle.open({str(bundle.root)!r}), 'encoder', 'auto', 1);"
        "print([m for m in sys.modules if 'tensorrt' in m or m.endswith('cuda_memory')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
