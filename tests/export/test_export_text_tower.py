"""A teacher's text tower in a bundle, against open_clip's own encode_text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from cg3d_export.precision import precision_share
from cg3d_export.text_part import TextPart, export_text_encoder, load_text_part
from cg3d_runtime.bundle.parts import Precision
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.tokenizer import Tokenizer
from cg3d_training.teachers.local import find_local
from cg3d_training.text.merges import read_clip_merges

MINI = "cg3d-mini-64"
SENTENCES = [
    "a chair",
    "This is an umbrella stand.",
    "the red thing with two wheels, left of the door",
    "Ein Stuhl? 椅子 🪑",
    "?",
]


def network() -> Any:
    """The miniature's CLIP with uneven weights, by open_clip alone."""
    local = find_local(MINI)
    assert local is not None
    torch.manual_seed(6)
    model = open_clip.create_model(local.name)
    for parameter in model.parameters():
        parameter.data += 0.5 * parameter.std(correction=0) * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mini") / "weights.safetensors"
    save_file(network().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def labels(weights: Path) -> Path:
    path = weights.with_name("labels.txt")
    path.write_text("cup\ncoffee table\nlamp\n")
    return path


@pytest.fixture(scope="module")
def part(weights: Path, labels: Path) -> TextPart:
    return load_text_part(f"open_clip:{MINI}:{weights}", labels)


def their_tokens(texts: list[str]) -> torch.Tensor:
    return open_clip.tokenizer.SimpleTokenizer(context_length=24)(texts)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3)], ids=["fp32", "fp16"]
)
def test_any_text_gives_the_vector_of_open_clip(
    part: TextPart, precision: Precision, tolerance: float
) -> None:
    space = TextSpace(np.zeros(128, np.float32))
    model, record = export_text_encoder(part, precision, space)
    assert record["mean_cosine"] >= 0.9999
    assert record["texts"] > len(part.labels)
    engine = open_engine(model, "cpu", 1)
    tokens = Tokenizer(read_clip_merges())(SENTENCES, 24)
    expected = network().encode_text(their_tokens(SENTENCES)).numpy()
    size = np.abs(expected).max()
    for rows in (slice(0, 1), slice(0, 5)):
        found = engine.run({"tokens": tokens[rows]})["embedding"]
        np.testing.assert_allclose(found, expected[rows], atol=tolerance * size)
    # The text tower alone: the picture's is larger.
    tower = sum(p.numel() for n, p in network().named_parameters() if not n.startswith("visual."))
    size_of = {"fp32": 4, "fp16": 2}[precision]
    assert 0.95 * size_of * tower < len(model) < 1.1 * size_of * tower + 60_000
    share = precision_share(onnx.load_from_string(model))
    assert (share.fp16 > 0) == (precision == "fp16")


def test_ensembles_are_those_of_clips_notebook(weights: Path, labels: Path) -> None:
    """`build_zero_shot_classifier` of open_clip is the notebook's code."""
    found = load_text_part(f"open_clip:{MINI}:{weights}", labels, ("clip",), labels_only=True)
    assert found.phrasing.average == "unit"
    expected = open_clip.build_zero_shot_classifier(
        network(),
        open_clip.tokenizer.SimpleTokenizer(context_length=24),
        ["cup", "coffee table", "lamp"],
        open_clip.OPENAI_IMAGENET_TEMPLATES,
    )
    np.testing.assert_allclose(found.vectors, expected.T.numpy(), atol=2e-6)


def test_a_folder_of_a_teacher_brings_its_weights(
    weights: Path, labels: Path, part: TextPart, tmp_path: Path
) -> None:
    local = find_local(MINI)
    assert local is not None
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": local.config}))
    (folder / "open_clip_model.safetensors").write_bytes(weights.read_bytes())
    found = load_text_part(f"open_clip:{folder}", labels, labels_only=True)
    np.testing.assert_array_equal(found.vectors, part.vectors)
    assert found.record["open_clip"] == "teacher"
    assert found.record["weights_sha256"] == part.record["weights_sha256"]


def test_another_tokenizer_than_clips(
    part: TextPart, labels: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some models of open_clip cut texts otherwise; a robot would give them the wrong tokens."""

    def other(name: str) -> Any:
        return open_clip.tokenizer.SimpleTokenizer(context_length=24, clean="canonicalize")

    monkeypatch.setattr(open_clip, "get_tokenizer", other)
    with pytest.raises(TrainingError, match=r"tokenizer is not CLIP's.*--labels-only"):
        load_text_part(f"open_clip:{MINI}:{weights}", labels)
    assert load_text_part(f"open_clip:{MINI}:{weights}", labels, labels_only=True).tower is None
