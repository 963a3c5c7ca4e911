"""Image towers with their prompts as ONNX, and a bundle that is asked with pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cg3d_export.export import ExportOptions, export_bundle
from cg3d_export.image_part import ImageSource, image_part, load_image_source
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import InputError, TrainingError
from cg3d_sdk import Recognizer, ShapeIndex
from cg3d_training.teachers import DeepPrompts, load_open_clip

sys.path.append(str(Path(__file__).parents[1] / "training"))
from small_clip import images_for, small_teacher

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
transform = pytest.importorskip("open_clip.transform", reason="needs open_clip_torch")


@pytest.mark.parametrize("vision", ["class token", "attention pool", "timm"])
def test_towers_with_prompts(vision: str) -> None:
    teacher = small_teacher(vision)
    torch.manual_seed(2)
    prompts = DeepPrompts.for_tower(teacher.token_tower(), 4)
    part = image_part(ImageSource(teacher, prompts, {"open_clip": "small"}))
    assert (part.info.size, part.info.prompts) == (teacher.image_size[0], 4)
    images = images_for(teacher, 5)
    found = open_engine(part.model, "cpu").run({"images": images.numpy()})["embedding"]
    with torch.no_grad():
        expected = torch.nn.functional.normalize(teacher.encode_image(images, prompts), dim=-1)
        without = torch.nn.functional.normalize(teacher.encode_image(images), dim=-1)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)
    assert np.abs(found - without.numpy()).max() > 1e-2, "prompts do change this tower"


def test_what_does_not_fit(tiny_clip: tuple[str, Path], tmp_path: Path) -> None:
    name, weights = tiny_clip
    source, prompts = f"open_clip:{name}:{weights}", tmp_path / "prompts.safetensors"
    dim = load_open_clip(name, weights).embedding_dim
    with pytest.raises(TrainingError, match=f"gives 513 numbers and the teacher {dim}"):
        load_image_source(source, None, 513)
    save_file(DeepPrompts(7, 32, 4).state_dict(), prompts)
    with pytest.raises(TrainingError, match="for 7 layers"):
        load_image_source(source, prompts, dim)
    prompts.write_bytes(b"none")
    with pytest.raises(TrainingError, match="cannot be read as prompts"):
        load_image_source(source, prompts, dim)
    with pytest.raises(TrainingError, match="should be open_clip"):
        load_image_source("ViT-B-32", None, dim)


@pytest.mark.parametrize("wrong", ["image_encoder", "clouds"])
def test_what_cannot_be_read_is_said_before_the_work(
    inputs: Path, tmp_path: Path, wrong: str
) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"none")
    given = {
        "clouds": inputs / "clouds.npz",
        wrong: f"slip:{junk}" if wrong == "image_encoder" else junk,
    }
    options = ExportOptions("fp32", str(inputs / "text.safetensors"), **given)  # type: ignore[arg-type]
    steps: list[str] = []
    with pytest.raises((TrainingError, InputError), match="junk"):
        export_bundle(inputs / "checkpoint.safetensors", tmp_path / "bundle", options, steps.append)
    assert steps == ["reading the checkpoints"]
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_is_asked_with_pictures(
    inputs: Path, tiny_clip: tuple[str, Path], tmp_path: Path
) -> None:
    """Recognizer, preparation and all: the very vectors of open_clip with these prompts."""
    name, weights = tiny_clip
    teacher = load_open_clip(name, weights)
    torch.manual_seed(4)
    prompts = DeepPrompts.for_tower(teacher.token_tower(), 3)
    save_file(prompts.state_dict(), tmp_path / "prompts.safetensors")
    options = ExportOptions(
        "fp32",
        str(inputs / "text.safetensors"),
        clouds=inputs / "clouds.npz",
        image_encoder=f"open_clip:{name}:{weights}",
        prompts=tmp_path / "prompts.safetensors",
    )
    bundle = export_bundle(inputs / "checkpoint.safetensors", tmp_path / "bundle", options)
    assert bundle.manifest.image is not None
    assert bundle.manifest.image.record["weights"] == "weights.pt"
    recognizer = Recognizer(tmp_path / "bundle", engine="cpu", threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    prepare = transform.image_transform(
        32, is_train=False, mean=teacher.image_mean, std=teacher.image_std
    )
    with torch.no_grad():
        row = teacher.encode_image(prepare(Image.fromarray(pixels))[None], prompts)
    expected = torch.nn.functional.normalize(row, dim=-1).numpy()
    found = recognizer.embed_image(pixels)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(recognizer.embed_image([pixels, pixels])[1:], found, atol=1e-6)
    shapes = ShapeIndex(recognizer)
    shapes.add_embeddings(["same", "opposite"], np.concatenate([expected, -expected]))
    assert [hit.id for hit in shapes.search_image(pixels)] == ["same", "opposite"]


def test_prompts_alone_are_refused(inputs: Path, tmp_path: Path) -> None:
    options = ExportOptions("fp32", str(inputs / "text.safetensors"), prompts=tmp_path / "p")
    with pytest.raises(InputError, match="none is given"):
        export_bundle(inputs / "checkpoint.safetensors", tmp_path / "bundle", options)
