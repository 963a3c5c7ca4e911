"""`cg3d info`: what stands in the manifest, after every file was checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_runtime.bundle import EncoderInfo, TextEncoderInfo, TextInfo
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.labels import LabelRow, encode_labels
from cg3d_runtime.bundle.writer import write_bundle
from cg3d_runtime.points import PreprocessSpec
from cg3d_sdk.cli.main import main

CARD = """# A card

## Data
None.

## How good it is
As measured:

| task | top-1 |
|---|---|
| names | 61 % |\x1b[31m

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
    record = {"objects": 3877, "seed": 1, "licences": {"CC0": 12, "CC-BY": 7}}
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
    assert shown["parity, text encoder"] == "mean cosine 0.9997"
    assert "| names | 61 % |" in result.output
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
