"""`cg3d doctor`: true of this machine, and of machines that tests make up."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from click.testing import CliRunner

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.engines.cuda import CudaDevice
from cg3d_runtime.engines.plan import PlanInfo, Profile, plan_sources, write_plan
from cg3d_sdk.cli.main import main
from cg3d_sdk.doctor import bundle as doctor_bundle
from cg3d_sdk.doctor import engines, machine, probe
from cg3d_sdk.doctor.bundle import bundle_findings
from cg3d_sdk.doctor.finding import Finding
from cg3d_sdk.doctor.tiny_graph import tiny_graph
from cg3d_sdk.shipped import default_bundle

ORIN = CudaDevice("Orin", "8.7", 8 << 30, "12.6")


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_this_machine() -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    found = {finding["name"]: finding for finding in json.loads(result.output)}
    version = importlib.metadata.version("onnxruntime")
    assert found["onnxruntime"]["found"] == f"onnxruntime {version}"
    assert found["onnxruntime CPU"]["found"] == f"works: onnxruntime {version} (CPU)"
    assert found["runs"]["ok"]
    assert " ms for one cloud" in found["runs"]["found"]
    assert "fp16" in found["bundle"]["found"]
    assert f"{len(os.sched_getaffinity(0))} cores" in found["cpu"]["found"]


def test_the_tiny_graph_is_onnx() -> None:
    model = onnx.load_from_string(tiny_graph())
    onnx.checker.check_model(model, full_check=True)
    x = np.array([[1, 2], [3, 4]], np.float32)
    (y,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_array_equal(y, x @ x + x)


def test_a_library_that_ends_the_process_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    monkeypatch.setattr(probe.sys, "executable", str(fake))
    assert "could not be tried" in probe.probe("cuda").said
    for body, said in (
        ("kill -11 $$", "signal 11"),
        ("echo libcudart is missing >&2; exit 3", "status 3: libcudart is missing"),
        ("echo noise; exit 0", "status 0"),
    ):
        fake.write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
        fake.chmod(0o755)
        tried = probe.probe("cuda")
        assert not tried.works
        assert said in tried.said


def test_what_is_missing_comes_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "probe", lambda what: probe.Probe(False, f"no {what}"))
    monkeypatch.setattr(engines, "cuda_device", lambda: ORIN)
    monkeypatch.setattr(engines, "_version", {"onnxruntime": "1.2", "onnxruntime-gpu": "1.2"}.get)
    found = by_name(list(engines.engine_findings()))
    assert "Orin, compute capability 8.7, 8.0 GiB, driver for CUDA 12.6" in found["gpu"].found
    assert found["onnxruntime"].fix.startswith("pip uninstall -y onnxruntime onnxruntime-gpu")
    assert found["onnxruntime CPU"].fix == "pip install 'cg3d-sdk[cpu]'"
    assert found["onnxruntime CPU"].required
    assert found["tensorrt"].fix == "pip install 'cg3d-sdk[trt]'"
    monkeypatch.setattr(engines, "jetson_linux", lambda: "R36.4.3")
    assert "nvidia-jetpack" in by_name(list(engines.engine_findings()))["tensorrt"].fix
    monkeypatch.setattr(engines, "cuda_device", lambda: None)
    monkeypatch.setattr(engines, "nvidia_hardware", lambda: True)
    assert "--runtime nvidia" in by_name(list(engines.engine_findings()))["gpu"].fix
    result = CliRunner().invoke(main, ["doctor", str(tmp_path)])
    assert result.exit_code == 1
    assert "MISSING bundle" in result.output


def test_no_engine_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runs = by_name(list(bundle_findings(default_bundle())))["runs"]
    assert not runs.ok
    assert "pip install 'cg3d-sdk[cpu]'" in runs.found


def test_a_board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, release = tmp_path / "model", tmp_path / "nv_tegra_release"
    model.write_bytes(b"NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0")
    release.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")
    nvpmodel = tmp_path / "nvpmodel"
    nvpmodel.write_text("#!/bin/sh\nprintf 'NV Power Mode: MAXN_SUPER\\n2\\n'\n")
    nvpmodel.chmod(0o755)
    monkeypatch.setattr(machine, "DEVICE_TREE", model)
    monkeypatch.setattr(machine, "TEGRA_RELEASE", release)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (machine.board() or "").endswith("Developer Kit Super")
    assert machine.jetson_linux() == "R36.4.3"
    assert machine.power_mode() == "nvpmodel MAXN_SUPER"
    assert machine.nvidia_hardware()
    nvpmodel.unlink()
    monkeypatch.setattr(machine, "GOVERNOR", tmp_path / "governor")
    assert machine.power_mode() is None
    (tmp_path / "governor").write_text("powersave\n")
    assert machine.power_mode() == "CPU governor powersave"


@pytest.fixture
def planned(tmp_path: Path) -> Bundle:
    """The shipped bundle with a plan for an Orin."""
    shutil.copytree(default_bundle(), tmp_path / "bundle")
    bundle = Bundle.open(tmp_path / "bundle")
    plan = b"ftrt" + bytes(20) + bytes([10, 3, 0, 30]) + bytes(99)
    shape = (1, bundle.manifest.preprocess.points, 3)
    info = PlanInfo(
        "encoder", "fp16", file_info(plan), "ab" * 32, plan_sources(bundle, "encoder"),
        "10.3.0.30", "8.7", "Orin", "12.6", {"points": Profile(shape, shape, shape)}, {},
        False, "none", "2024-05-06",
    )  # fmt: skip
    write_plan(bundle.root / "engines" / "sm87-trt10.3.0-fp16", "encoder", plan, info)
    return bundle


@pytest.mark.parametrize(
    ("device", "tensorrt", "said", "fits"),
    [
        (ORIN, "10.3.0", "fits this machine", True),
        (ORIN, "10.13.3", "the TensorRT version differs", False),
        (CudaDevice("Thor", "11.0", 1 << 37, "13.0"), "10.3.0", "the device differs", False),
        (ORIN, None, "no TensorRT here", False),
        (None, None, "no CUDA device here", False),
    ],
)
def test_plans_are_held_against_the_machine(
    planned: Bundle, monkeypatch: pytest.MonkeyPatch, device: Any, tensorrt: Any, said: str,
    fits: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(doctor_bundle, "cuda_device", lambda: device)
    found = by_name(list(bundle_findings(planned.root, "cpu", tensorrt)))
    plan = found["plan sm87-trt10.3.0-fp16/encoder"]
    assert said in plan.found
    assert plan.ok == fits
    if "differs" in said:
        assert "--trt" in plan.fix
