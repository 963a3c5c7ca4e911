"""Engines are held against ONNX Runtime before they lie where a robot would load them.

No device here: ONNX Runtime plays TensorRT's engine, spoiled or not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bundles_with_encoders import running_bundle
from small_checkpoints import write_clouds

from cg3d_export.tensorrt import bundle as pipeline
from cg3d_export.tensorrt import proof
from cg3d_export.tensorrt.build import BuiltPlan
from cg3d_export.tensorrt.bundle import EngineJob, build_engines, built_record, engine_job
from cg3d_export.tensorrt.machine import Machine
from cg3d_export.tensorrt.options import BatchRange, BuildOptions
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.engines.cuda import CudaDevice
from cg3d_runtime.engines.plan import PlanInfo, plan_folders, read_plan
from cg3d_runtime.errors import EngineError

SHIPPED = Path(__file__).resolve().parents[2] / "cg3d_sdk" / "bundles" / "household-small"
TAG = "sm87-trt10.3.0-fp32"

#: A plan of TensorRT 10.3.0.30, as far as its header goes.
PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 30]) + bytes(36)


class StandIn:
    """Runs the graph that a plan was built from, in batches that a plan would take."""

    name = "tensorrt 10.3.0 (Orin)"
    spoiled = ""
    job: EngineJob
    ran: list[tuple[str, int]]

    def __init__(self, plan: bytes, info: PlanInfo) -> None:
        assert plan == PLAN
        self.part = next(part for part in self.job.parts if part.part == info.part)
        assert self.part.onnx_sha256 == info.onnx_sha256
        self.engine = open_engine(self.part.model, "cpu", threads=1)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        (given,) = inputs.values()
        self.ran.append((self.part.part, len(given)))
        outputs = self.engine.run(inputs)
        if self.part.part == self.spoiled:
            name = "scores" if self.spoiled == "bank" else "embedding"
            outputs[name] = -outputs[name]
        return outputs


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineJob:
    monkeypatch.setattr(proof, "TensorRTEngine", StandIn)
    monkeypatch.setattr(
        pipeline, "build_plan", lambda *given: BuiltPlan(PLAN, "10.3.0.30", {}, {}, {}, {}, 1.0)
    )
    job = engine_job(
        running_bundle(tmp_path / "bundle"),
        BuildOptions(BatchRange(1, 2, 4)),
        Machine("10.3.0", CudaDevice("Orin", "8.7", 8 << 30, "12.6")),
        fuse=True,
        clouds=write_clouds(tmp_path / "clouds.npz"),
    )
    monkeypatch.setattr(StandIn, "job", job, raising=False)
    monkeypatch.setattr(StandIn, "ran", [], raising=False)
    return job


def test_a_report_beside_the_engines(job: EngineJob) -> None:
    built = build_engines(job)
    folder = job.bundle.root / "engines" / TAG
    report = json.loads((folder / "report.json").read_text())
    engine = report["engines"][1]
    assert (engine["engine"], engine["passed"]) == (StandIn.name, True)
    assert engine["parity"]["mean_cosine"] >= 0.9999
    assert report["reference"].startswith("onnxruntime")
    assert "tensorrt 10.3.0" in (folder / "report.html").read_text()
    assert built_record(job, built)["parity"]["clouds"] == 12
    assert {part for part, _ in StandIn.ran} == {"encoder", "bank", "recognizer"}
    assert 1 < max(size for _, size in StandIn.ran) <= 4
    for part in ("encoder", "bank", "recognizer"):
        assert read_plan(job.bundle, TAG, part)[1] == PLAN
    Bundle.open(job.bundle.root).verify()


@pytest.mark.parametrize("part", ["encoder", "recognizer"])
def test_below_the_bar_nothing_is_written(
    part: str, job: EngineJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "spoiled", part)
    with pytest.raises(EngineError) as raised:
        build_engines(job)
    message = str(raised.value)
    assert f"the engine of the {part} (fp32) does not say what ONNX Runtime says" in message
    assert "over 12 clouds the mean cosine is -1.0" in message
    assert "(at least 0.9999)" in message
    assert_nothing_was_written(job)


def test_a_bank_that_scores_otherwise(job: EngineJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "spoiled", "bank")
    with pytest.raises(EngineError, match="the engine of the bank does not score as numpy does"):
        build_engines(job)
    assert_nothing_was_written(job)


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="needs the bundle that ships")
@pytest.mark.parametrize("spoiled", ["", "text_encoder"])
def test_the_text_encoder_is_held_too(spoiled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(SHIPPED)
    options = BuildOptions(BatchRange(1, 8, 16))
    job = engine_job(bundle, options, Machine(None, None))
    for name, value in (("job", job), ("ran", []), ("spoiled", spoiled)):
        monkeypatch.setattr(StandIn, name, value, raising=False)
    monkeypatch.setattr(proof, "TensorRTEngine", StandIn)
    (part,) = (part for part in job.parts if part.part == "text_encoder")
    one = (part, PLAN, SimpleNamespace(part=part.part, onnx_sha256=part.onnx_sha256))
    if spoiled:
        with pytest.raises(EngineError, match="over 200 texts the mean cosine is -1"):
            proof._check_text(bundle, one, 16)
    else:
        proof._check_text(bundle, one, 16)
    assert sum(size for _, size in StandIn.ran) == 200


def assert_nothing_was_written(job: EngineJob) -> None:
    assert plan_folders(job.bundle) == ()
    assert not (job.bundle.root / "engines").exists()
