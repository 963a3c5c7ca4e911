"""`cg3d info`: what stands in the manifest, after every file was checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_runtime.bundle import Bundle, EncoderInfo, TextEncoderInfo, TextInfo
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.labels import LabelRow, encode_labels
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.bundle.writer import write_bundle
from cg3d_runtime.engines.plan import PlanInfo, Profile, plan_sources, write_plan
from cg3d_runtime.points import PreprocessSpec
from cg3d_sdk.cli.main import main

CARD = """# A card

## Data
None.

## How good it is
As measured:

| task | top-1 |
|---|---|
| names | 61 %\x1b[31m |
| names of things that nobody ever saw, from one side | 5 % |

## Limits
Many.
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    labels = [LabelRow("chair", ("seat", "side chair")), LabelRow("mug", ())]
    files = {
        "encoder.onnx": b"no network",
        "text/encoder.onnx": b"none either",
        "text/merges.txt": b"t h\n",
        "text/labels.json": encode_labels(labels),
        "text/vectors.npy": encode_array(np.eye(2, 4, dtype=np.float32)),
        "text/mean.npy": encode_array(np.full(4, 0.1, np.float32)),
        "MODEL_CARD.md": CARD.encode(),
    }
    members = [{"epochs": 7, "sources": {"a": 1}}, {"epochs": 8}]
    licences = {"CC0": 12, "CC-BY": 7}
    record = {"objects": 3877, "seed": 1, "licences": licences, "members": members}
    write_bundle(
        tmp_path / "made",
        files,
        name="made up",
        created="2024-05-06",
        encoder=EncoderInfo("point_transformer_small", 2_345_678, "fp16", 4, 18),
        preprocess=PreprocessSpec(points=1024, candidates=4096),
        text=TextInfo(20.0, TextEncoderInfo(context_length=24, open_vocabulary=False)),
        parity={"clouds": 200, "mean_cosine": 0.99998, "text_encoder": {"mean_cosine": 0.9997}},
        training={"recipe": {"epochs": 90}, "record": record},
        licence="Apache-2.0",
    )
    return tmp_path / "made"


def test_info_for_people(bundle: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(bundle)], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "made up, exported 2024-05-06, bundle format 1"
    shown = {line[2:26].strip(): line[26:] for line in lines[1:] if line.startswith("  ")}
    assert shown["encoder"] == (
        "point_transformer_small, 2.35 M parameters, fp16, 4 numbers out, opset 18"
    )
    assert shown["looks at"] == "1024 points, chosen from 4096"
    assert shown["labels"] == "2 and 2 further names of them"
    assert shown["text encoder"].startswith("up to 24 tokens; knows its labels")
    assert shown["files"].startswith("7, ")
    assert shown["licence"] == "Apache-2.0"
    assert shown["parity"] == "clouds 200, mean cosine 0.99998"
    assert shown["training"] == "objects 3877, seed 1"
    assert shown["training, licences"] == "CC0 12, CC-BY 7"
    assert (shown["training, members 1"], shown["training, members 2"]) == ("epochs 7", "epochs 8")
    assert shown["parity, text encoder"] == "mean cosine 0.9997"
    table = result.output.split(":\n\n")[1].splitlines()
    assert [line.split("  ")[-1].strip() for line in table[:2]] == [
        "top-1",
        "61 %\N{REPLACEMENT CHARACTER}[31m",
    ]
    assert table[2:] == [
        "  names of things that nobody ever saw,",
        "  from one side" + 27 * " " + "5 %",
    ]
    assert "Many." not in result.output
    assert "As measured" not in result.output
    assert "\x1b" not in result.output


def test_long_lines_are_wrapped(bundle: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(bundle)], env={"COLUMNS": "64"})
    listing = [line for line in result.output.splitlines() if line.startswith("  ")]
    assert max(len(line) for line in listing if "/" not in line) <= 64
    assert any(line.startswith(" " * 26) for line in listing)


def test_info_as_json(bundle: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(bundle), "--json"])
    facts = json.loads(result.output)
    assert (facts["name"], facts["labels"], facts["verified"]) == ("made up", 2, True)
    assert facts["encoder"]["parameters"] == 2_345_678
    assert facts["parity"]["text_encoder"] == {"mean_cosine": 0.9997}
    assert facts["bytes"] == sum(info["bytes"] for info in facts["files"].values())


@pytest.mark.parametrize("name", ["encoder.onnx", "MODEL_CARD.md", "manifest.json"])
def test_a_changed_byte_anywhere_is_an_error(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    result = CliRunner().invoke(main, ["info", str(bundle)])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert name in result.stderr
    assert result.stdout == ""


def test_info_tells_which_engine_and_why_not_the_others(bundle: Path) -> None:
    """The networks here are none, so nothing works; the shipped bundle's do."""
    facts = json.loads(CliRunner().invoke(main, ["info", str(bundle), "--json"]).output)
    assert facts["engine"] is None
    assert "could not load the network" in facts["engine_error"]
    result = CliRunner().invoke(main, ["info", str(bundle)], env={"COLUMNS": "400"})
    assert "  engine                  none works here: onnxruntime" in result.output

    facts = json.loads(CliRunner().invoke(main, ["info", "--json"]).output)
    assert facts["engine"].startswith("onnxruntime")
    assert facts["engine_error"] is None
    assert facts["plans"] == []
    assert "has no plan of its part 'encoder'" in facts["refused"][0]["reason"]
    lines = CliRunner().invoke(main, ["info"], env={"COLUMNS": "400"}).output
    assert "  not taken               tensorrt: the bundle has no plan" in lines


@pytest.fixture
def plan(bundle: Path) -> Path:
    opened = Bundle.open(bundle)
    data = b"ftrt" + bytes(20) + bytes((10, 3, 0, 30)) + bytes(40)
    shape = Profile((1, 1024, 3), (8, 1024, 3), (64, 1024, 3))
    info = PlanInfo(
        "encoder", "fp16", file_info(data), "ab" * 32, plan_sources(opened, "encoder"),
        "10.3.0.30", "8.7", "Orin", "12.6", {"points": shape}, {}, False, "none", "2024-05-07",
    )  # fmt: skip
    folder = opened.root / "engines" / "sm87-trt10.3.0-fp16"
    write_plan(folder, "encoder", data, info)
    return folder / "encoder.plan"


def test_info_shows_plans(bundle: Path, plan: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(bundle)], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    assert (
        "sm87-trt10.3.0-fp16/encoder: fp16, TensorRT 10.3.0.30, Orin (compute capability 8.7), "
        "0.0 MB, built 2024-05-07, every hash right"
    ) in result.output


@pytest.mark.parametrize("name", ["encoder.plan", "encoder.plan.json"])
def test_a_changed_byte_of_a_plan_is_an_error(bundle: Path, plan: Path, name: str) -> None:
    data = bytearray(plan.with_name(name).read_bytes())
    data[len(data) // 2] ^= 1
    plan.with_name(name).write_bytes(data)
    result = CliRunner().invoke(main, ["info", str(bundle)])
    assert result.exit_code == 1
    assert name in result.stderr
    assert "--trt" in result.stderr
    assert result.stdout == ""


def test_a_plan_of_another_export_is_said_to_be(bundle: Path, plan: Path) -> None:
    opened = Bundle.open(bundle)
    fields = {name: getattr(opened.manifest, name) for name in (
        "name", "created", "encoder", "preprocess", "text", "parity", "training", "licence"
    )}  # fmt: skip
    files = {name: opened.bytes(name) for name in opened.manifest.files}
    other = bundle.parent / "other"
    write_bundle(other, {**files, "encoder.onnx": b"exported again"}, **fields)
    (bundle / "engines").rename(other / "engines")
    result = CliRunner().invoke(main, ["info", str(other)], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    assert "the graph differs: the plan was built from another 'encoder.onnx'" in result.output
