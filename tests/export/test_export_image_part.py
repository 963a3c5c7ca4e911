"""Image towers with their prompts as ONNX, and a bundle that is asked with pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cg3d_export.export import ExportOptions, export_bundle
from cg3d_export.image_part import image_part, load_image_part
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import InputError, TrainingError
from cg3d_sdk import Recognizer, ShapeIndex
from cg3d_training.teachers import DeepPrompts, load_open_clip

sys.path.append(str(Path(__file__).parents[1] / "training"))
from small_clip import DIM, images_for, small_teacher

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
transform = pytest.importorskip("open_clip.transform", reason="needs open_clip_torch")


@pytest.mark.parametrize("vision", ["class token", "attention pool", "timm"])
def test_towers_with_prompts(vision: str) -> None:
    teacher = small_teacher(vision)
    torch.manual_seed(2)
    prompts = DeepPrompts.for_tower(teacher.token_tower(), 4)
    part = image_part(teacher, prompts, DIM, {"open_clip": "small"})
    assert (part.info.size, part.info.prompts) == (teacher.image_size[0], 4)
    images = images_for(teacher, 5)
    found = open_engine(part.model, "cpu").run({"images": images.numpy()})["embedding"]
    with torch.no_grad():
        expected = torch.nn.functional.normalize(teacher.encode_image(images, prompts), dim=-1)
        without = torch.nn.functional.normalize(teacher.encode_image(images), dim=-1)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)
    assert np.abs(found - without.numpy()).max() > 1e-2, "prompts do change this tower"


def test_what_does_not_fit() -> None:
    teacher = small_teacher()
    with pytest.raises(TrainingError, match="gives 512 numbers and the teacher 12"):
        image_part(teacher, None, 512, {})
    with pytest.raises(TrainingError, match="for 2 layers"):
        image_part(teacher, DeepPrompts(2, 32, 4), DIM, {})
    with pytest.raises(TrainingError, match="should be open_clip"):
        load_image_part("ViT-B-32", None, DIM)


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
