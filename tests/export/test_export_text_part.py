"""Words for a bundle: from our text encoder, or from a CLIP of open_clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from small_checkpoints import ALIASES, LABELS, small_tower

from cg3d_export.text_part import load_text_part, merges, read_labels, read_phrasing
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.phrasing import Phrasing
from cg3d_runtime.text.templates import TEMPLATES
from cg3d_training.text.merges import clip_tokenizer
from cg3d_training.text.phrases import phrase


def test_from_our_checkpoint(inputs: Path) -> None:
    part = load_text_part(str(inputs / "text.safetensors"), None)
    assert (part.labels, part.aliases) == (LABELS, ALIASES)
    assert part.info is not None
    assert (part.info.context_length, part.info.open_vocabulary) == (24, False)
    texts = phrase(LABELS, range(len(LABELS)), clip_tokenizer(), 24).tokens
    with torch.no_grad():
        expected = torch.stack([small_tower()(tokens) for tokens in texts]).mean(dim=0)
    np.testing.assert_allclose(part.vectors, expected.numpy(), rtol=1e-4, atol=1e-6)
    assert part.phrasing == Phrasing(TEMPLATES, "raw")
    assert merges().count(b"\n") == 48894


def test_our_checkpoint_brings_its_labels(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("chair\n")
    with pytest.raises(TrainingError, match="--labels-only go with"):
        load_text_part(str(inputs / "text.safetensors"), tmp_path / "labels.txt")


def test_not_a_text_checkpoint(inputs: Path) -> None:
    with pytest.raises(TrainingError, match="not a text encoder"):
        load_text_part(str(inputs / "checkpoint.safetensors"), None)
    with pytest.raises(TrainingError, match="no such file"):
        load_text_part(str(inputs / "nothing.safetensors"), None)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("armchair\n\n  coffee   mug \r\nunicycle")
    return path


def test_from_open_clip(tiny_clip: tuple[str, Path], labels: Path) -> None:
    """The very vectors of open_clip, with its weights and its tokenizer."""
    name, weights = tiny_clip
    part = load_text_part(f"open_clip:{name}:{weights}", labels)
    assert part.labels == ("armchair", "coffee mug", "unicycle")
    assert part.aliases == ((), (), ())
    assert part.phrasing == Phrasing(("a {}",))
    assert load_text_part(f"open_clip:{name}:{weights}", labels, labels_only=True).tower is None
    model = open_clip.create_model(name, pretrained=str(weights)).eval()
    texts = ["an armchair", "a coffee mug", "a unicycle"]
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(name)(texts)).numpy()
    np.testing.assert_allclose(part.vectors, expected, rtol=1e-4, atol=1e-6)
    assert part.vectors.dtype == np.float32
    assert part.record["open_clip"] == name
    assert part.record["weights"] == "weights.pt"  # not where it lies on this machine
    assert len(part.record["weights_sha256"]) == 64


def test_the_papers_phrasing(tiny_clip: tuple[str, Path], labels: Path) -> None:
    name, weights = tiny_clip
    part = load_text_part(f"open_clip:{name}:{weights}", labels, ("paper",))
    model = open_clip.create_model(name, pretrained=str(weights)).eval()
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(name)(["This is a coffee mug"]))
    np.testing.assert_allclose(part.vectors[1:2], expected.numpy(), rtol=1e-4, atol=1e-6)
    assert part.phrasing == Phrasing(("This is a {}",))


@pytest.mark.parametrize("given", ["no place for it", "{} and {}"])
def test_phrasings_that_are_none(given: str) -> None:
    with pytest.raises(TrainingError, match=r"none of paper, .* does not hold \{\} once"):
        read_phrasing([given])


def test_sets_of_phrasings_are_those_of_clip_and_of_the_captions() -> None:
    found = read_phrasing(("clip",))
    wanted = [template("cup") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert list(found.texts("cup")) == wanted
    assert (len(wanted), found.average) == (80, "unit")
    assert len(read_phrasing(("ensemble", "paper")).templates) == 64


def test_teachers_need_labels() -> None:
    for source in ("open_clip:ViT-B-32", "slip:slip_base_100ep.pt"):
        with pytest.raises(TrainingError, match="needs --labels"):
            load_text_part(source, None)


def test_a_slip_file_that_is_not_there(labels: Path) -> None:
    with pytest.raises(TrainingError, match="no such file"):
        load_text_part("slip:nothing.pt", labels)


def test_unknown_model(labels: Path) -> None:
    with pytest.raises(TrainingError, match="'ViT-Z-99' is no model of open_clip"):
        load_text_part("open_clip:ViT-Z-99", labels)


@pytest.mark.parametrize("weights", ["nothing.pt", "labels"])
def test_unusable_weights(tiny_clip: tuple[str, Path], labels: Path, weights: str) -> None:
    path = labels if weights == "labels" else labels.with_name(weights)
    with pytest.raises(TrainingError, match=r"neither a file nor a tag|weights are \.safetensors"):
        load_text_part(f"open_clip:{tiny_clip[0]}:{path}", labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "holds no labels"), ("\n \n", "holds no labels"), ("cup\nmug\n Cup", "'Cup' is there")],
)
def test_bad_labels(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_labels(tmp_path / "labels.txt")


def test_labels_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_labels(tmp_path / "nothing.txt")
