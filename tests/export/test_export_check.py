"""`cg3d-export BUNDLE --check`: what every TensorRT says of a bundle, without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bundles_with_encoders import plain_encoder, running_bundle
from click.testing import CliRunner, Result
from onnx import helper

from cg3d_export.cli.main import main
from cg3d_export.operators import TENSORRT
from cg3d_sdk.shipped import default_bundle


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_shipped_bundle() -> None:
    result = run(default_bundle(), "--check")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[:4] == [
        f"TensorRT {version} ({where}): takes every operator" for version, where in TENSORRT.items()
    ]
    for part in ("encoder", "bank", "text_encoder"):
        assert f"{part}: operators" in lines
        assert f"{part}: what runs in which type" in lines
    assert any(line.split()[1:3] == ["FP16", "Gemm"] for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_a_graph_that_none_takes(tmp_path: Path) -> None:
    encoder = plain_encoder(24)
    unique = helper.make_node("Unique", ["pooled"], ["alone"], name="patches.0/Unique")
    encoder.graph.node.insert(2, unique)
    bundle = running_bundle(tmp_path / "bundle", encoder=encoder)
    result = run(bundle.root, "--check")
    assert result.exit_code == 0
    for version, where in TENSORRT.items():
        assert f"TensorRT {version} ({where}): does not take encoder" in result.output
    assert "Unique: not supported (patches.0/Unique)" in result.output

    record = json.loads(run(bundle.root, "--check", "--json").output)
    assert record["tensorrt"] == dict.fromkeys(TENSORRT, False)
    encoder_part, bank_part = record["parts"]
    assert (encoder_part["part"], bank_part["part"]) == ("encoder", "bank")
    (found,) = [row for row in encoder_part["operators"] if row["problems"]]
    assert (found["operator"], found["count"]) == ("Unique", 1)
    assert {row["operator"] for row in bank_part["types"]} >= {"MatMul", "Softmax", "TopK"}


@pytest.mark.parametrize("target", [["--trt"], ["--triton", "x"], ["--onnx-only", "-o", "x"]])
def test_it_goes_alone(target: list[str]) -> None:
    result = run(default_bundle(), "--check", *target)
    assert result.exit_code == 2
    assert "--check goes without" in result.output


def test_it_is_about_bundles(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"x")
    result = run(tmp_path / "c.safetensors", "--check", "-o", tmp_path / "b", "--text", "x")
    assert result.exit_code == 2
    assert "export the checkpoint first" in result.output


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from cg3d_export.cli.main import main\n"
        f"main([{str(default_bundle())!r}, '--check'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "takes every operator" in done.stdout
