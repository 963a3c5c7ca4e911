"""From a bundle to the plans beside it, and the job that says so beforehand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from bundles_with_encoders import POINTS, plain_encoder, running_bundle

from cg3d_export.bank import bank_graph
from cg3d_export.tensorrt.bundle import build_engines, engine_job
from cg3d_export.tensorrt.dry_run import job_record, job_text
from cg3d_export.tensorrt.machine import Machine, find_machine, require_machine
from cg3d_export.tensorrt.options import BatchRange, BuildOptions
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.cuda import CudaDevice
from cg3d_runtime.engines.plan import check_machine, plan_folders, plan_header, read_plan
from cg3d_runtime.errors import EngineError, InputError

ORIN = CudaDevice("Orin", "8.7", 8 << 30, "12.6")
HERE = Machine("11.4.0.106", ORIN)
NOWHERE = Machine(None, None, "TensorRT does not import")
SMALL = BuildOptions(BatchRange(1, 2, 4))
TAG = "sm87-trt11.4.0-fp32"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return running_bundle(tmp_path / "bundle")


@pytest.mark.usefixtures("tensorrt")
def test_plans_and_sidecars_that_the_runtime_reads(bundle: Bundle, tmp_path: Path) -> None:
    job = engine_job(bundle, SMALL, HERE, fuse=True)
    said: list[str] = []
    built = build_engines(job, said.append)
    assert said[:3] == [
        f"building the engine of the {p}" for p in ("encoder", "bank", "recognizer")
    ]
    assert built.report is None  # only TensorRT's own engines can be run
    assert plan_folders(bundle) == (TAG,)
    assert (tmp_path / "cache/cg3d-sdk/timing/sm87-trt11.4.0-timing.cache").is_file()
    # The bundle's own files are as they were.
    Bundle.open(bundle.root).verify()
    for one in built.parts:
        info, plan = read_plan(bundle, TAG, one.part.part)
        assert plan == one.built.plan == one.path.read_bytes()
        assert info.precision == "fp32"
        assert (info.device, info.compute_capability, info.driver) == ("Orin", "8.7", "12.6")
        assert info.tensorrt == plan_header(plan).version
    info, plan = read_plan(bundle, TAG, "bank")
    graph = bank_graph(bundle).SerializeToString(deterministic=True)
    assert info.onnx_sha256 == hashlib.sha256(graph).hexdigest()
    assert info.profiles["embedding"].maximum == (4, 24)
    assert set(info.sources) >= {"text/labels.json", "text/vectors.npy", "text/mean.npy"}
    # Built by TensorRT-RTX, so TensorRT is told not to load it.
    with pytest.raises(EngineError, match="TensorRT-RTX"):
        check_machine(info, plan_header(plan), "11.4.0.106", ORIN)


@pytest.mark.usefixtures("tensorrt")
def test_a_plan_is_stale_once_the_bundle_changes(bundle: Bundle) -> None:
    build_engines(engine_job(bundle, SMALL, HERE))
    other = running_bundle(bundle.root.parent / "other", logit_scale=3.0)
    (bundle.root / "engines").rename(other.root / "engines")
    read_plan(other, TAG, "encoder")  # which did not change
    with pytest.raises(EngineError, match="the graph differs"):
        read_plan(other, TAG, "bank")


def test_precisions_that_a_bundle_can_give(bundle: Bundle) -> None:
    """Its encoder of one product reads coordinates, which stay in FP32: so it is as it was."""
    job = engine_job(bundle, SMALL, HERE, precision="fp16")
    assert job.folder.name == "sm87-trt11.4.0-fp16"
    assert {part.part: part.precision for part in job.parts} == {"encoder": "fp16", "bank": "fp32"}
    with pytest.raises(InputError, match="an engine in int8 cannot be made of that"):
        engine_job(bundle, SMALL, HERE, precision="int8")


def test_fp16_reaches_the_encoder_and_spares_the_bank(
    tmp_path: Path, encoder_model: onnx.ModelProto
) -> None:
    vectors = np.random.default_rng(0).standard_normal((12, 32))
    bundle = running_bundle(tmp_path / "b", vectors, encoder=encoder_model)
    exact = engine_job(bundle, SMALL, HERE, fuse=True)
    half = engine_job(bundle, SMALL, HERE, precision="fp16", fuse=True)
    assert set(exact.parts[0].products) == {"FP32"}
    by_part = {part.part: part.products for part in half.parts}
    assert by_part["encoder"]["FP16"] == by_part["recognizer"]["FP16"] > 0
    assert by_part["bank"] == {"FP32": 1}
    assert by_part["recognizer"]["FP32"] == by_part["encoder"]["FP32"] + 1


def test_the_job_for_people_and_programs(bundle: Bundle) -> None:
    job = engine_job(bundle, BuildOptions(), HERE)
    record, text = job_record(job), job_text(job)
    assert record["workspace"] == 2 << 30
    assert record["machine"] == {
        "tensorrt": "11.4.0.106", "device": "Orin", "compute_capability": "8.7", "can_build": True,
    }  # fmt: skip
    encoder = record["parts"][0]
    assert encoder["plan"] == str(bundle.root / "engines" / TAG / "encoder.plan")
    assert encoder["profiles"]["points"] == {
        "minimum": (1, POINTS, 3), "optimum": (8, POINTS, 3), "maximum": (64, POINTS, 3),
    }  # fmt: skip
    for line in (
        "device        Orin, compute capability 8.7, 8 GiB",
        "workspace     2 GiB",
        f"  input     points: (1, {POINTS}, 3) to (64, {POINTS}, 3), best at (8, {POINTS}, 3)",
        "  outputs   scores, top_scores, top_labels",
        "Nothing was built. Without --dry-run this machine builds it.",
    ):
        assert line in text.splitlines()


def test_the_job_says_which_tensorrts_take_the_graphs(tmp_path: Path) -> None:
    bundle = running_bundle(tmp_path / "b", encoder=ending_in("Bernoulli", ["batch", 24]))
    job = engine_job(bundle, BuildOptions(), NOWHERE)
    assert "Bernoulli" in job_record(job)["parts"][0]["refused"]["10.3"][0]
    lines = job_text(job).splitlines()
    assert any(line.strip().startswith("TensorRT 10.3 refuses Bernoulli") for line in lines)
    assert "  operators taken by TensorRT 10.3, 10.13, 10.16, 11.4" in lines  # of the bank


def test_a_graph_whose_shapes_contradict_each_other(tmp_path: Path) -> None:
    bundle = running_bundle(tmp_path / "b", encoder=ending_in("Bernoulli", ["batch", 24, 1]))
    with pytest.raises(EngineError, match="encoder: its graph contradicts itself"):
        engine_job(bundle, BuildOptions(), NOWHERE)


def ending_in(operator: str, shape: list[str | int]) -> onnx.ModelProto:
    """The plain encoder with one more operator, and an output that claims this shape."""
    model = plain_encoder(24)
    model.graph.node[-1].output[0] = "row"
    model.graph.node.add(op_type=operator, input=["row"], output=["embedding"], name="last")
    output = onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, shape)
    model.graph.output[0].CopyFrom(output)
    return model


def test_the_job_without_a_machine(bundle: Bundle) -> None:
    job = engine_job(bundle, BuildOptions(), NOWHERE)
    record, text = job_record(job), job_text(job)
    assert (record["workspace"], record["timing_cache"]) == (None, None)
    assert record["machine"]["can_build"] is False
    assert "workspace     a quarter of the device's memory, at most 4 GiB" in text
    assert "engines/sm??-trt??-fp32" in text
    assert "run the same command on the robot" in text


@pytest.mark.parametrize(
    ("machine", "lacks", "installs"),
    [
        (NOWHERE, "does not import; there is no CUDA device", False),
        (Machine("10.3.0", None), "there is no CUDA device", False),
        (Machine(None, ORIN, "no tensorrt"), "no tensorrt.", True),
    ],
)
def test_the_ways_forward(machine: Machine, lacks: str, installs: bool) -> None:
    with pytest.raises(EngineError) as raised:
        require_machine(machine, "my_bundle")
    message = str(raised.value)
    assert lacks in message
    assert "run there: cg3d-export my_bundle --trt" in message
    assert "ONNX Runtime runs it" in message
    assert ("--system-site-packages" in message) == installs
    require_machine(HERE, "my_bundle")


def test_the_machine_that_is_found(tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cg3d_export.tensorrt.machine.cuda_device", lambda: ORIN)
    assert find_machine() == Machine(tensorrt.__version__, ORIN)
    assert find_machine().tag("fp16") == "sm87-trt11.4.0-fp16"
