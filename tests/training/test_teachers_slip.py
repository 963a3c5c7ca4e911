"""SLIP from a checkpoint in its official layout, against the official network's outputs."""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cg3d_runtime.errors import TrainingError
from cg3d_training.teachers import (
    ClipTeacher,
    DeepPrompts,
    load_prompts,
    load_slip,
    load_slip_state,
)
from cg3d_training.text.merges import clip_tokenizer

PROMPTS = "prompt_embeddings"


@pytest.fixture(scope="module")
def official(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "parity" / "official.npz") as archive:
        return {key: archive[key] for key in archive.files if key.startswith("slip_")}


@pytest.fixture(scope="module")
def state(shared: Path) -> dict[str, torch.Tensor]:
    """The weights of CG3D's copy of SLIP: 170 million, prompts and classifier among them."""
    spec = importlib.util.spec_from_file_location("weights", shared / "parity" / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {k: torch.as_tensor(v) for k, v in module.state_dict("slip_vitb16", 1).items()}


@pytest.fixture(scope="module")
def slip(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> ClipTeacher:
    """Loaded from a file as SLIP's authors write theirs; the file goes away at once (0.7 GB)."""
    path = tmp_path_factory.mktemp("slip") / "slip_base_100ep.pt"
    plain = {k: v for k, v in state.items() if PROMPTS not in k and "classification" not in k}
    torch.save(
        {
            "epoch": 100,
            "state_dict": {f"module.{key}": value for key, value in plain.items()},
            "optimizer": {"state": {}, "param_groups": [{"lr": 3e-3, "betas": (0.9, 0.98)}]},
            "scaler": {"scale": 65536.0},
            "best_acc1": 42.0,
            "args": argparse.Namespace(model="SLIP_VITB16", lr=3e-3, gpu=0, resume=None),
        },
        path,
    )
    try:
        return load_slip(path)
    finally:
        path.unlink()


@pytest.fixture(scope="module")
def prompts(state: dict[str, torch.Tensor]) -> DeepPrompts:
    """From a state dict as `visual_clip_model` of CG3D's checkpoints holds it."""
    return load_prompts(
        {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    )


@pytest.fixture(scope="module")
def images(official: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(official["slip_image"].astype(np.float32) / 127)


def _worst(found: torch.Tensor, expected: np.ndarray) -> float:
    """The largest difference, as a part of the largest output."""
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())


def test_images_with_prompts(
    slip: ClipTeacher,
    prompts: DeepPrompts,
    images: torch.Tensor,
    official: dict[str, np.ndarray],
) -> None:
    with torch.no_grad():
        found = slip.encode_image(images, prompts)
        plain = slip.encode_image(images)
    assert _worst(found, official["slip_image_embed_prompted"]) <= 1e-4
    # The prompts have a say: without them the outputs are others.
    assert _worst(plain, official["slip_image_embed_prompted"]) > 0.05


def test_texts(slip: ClipTeacher, official: dict[str, np.ndarray]) -> None:
    with torch.no_grad():
        found = slip.encode_text(torch.from_numpy(official["slip_tokens"]).long())
    assert _worst(found, official["slip_text_embed"]) <= 1e-4


def test_gradients_reach_every_prompt_alone(
    slip: ClipTeacher, prompts: DeepPrompts, images: torch.Tensor
) -> None:
    slip.encode_image(images[:1], prompts).square().sum().backward()
    for values in prompts.parameters():
        assert values.grad is not None
        assert values.grad.flatten(1).abs().amax(dim=1).min() > 0
    assert all(parameter.grad is None for parameter in slip.parameters())


def test_what_slip_is(slip: ClipTeacher, state: dict[str, torch.Tensor]) -> None:
    assert (slip.embedding_dim, slip.image_size) == (512, (224, 224))
    assert slip.image_mean == (0.485, 0.456, 0.406)
    assert slip.image_std == (0.229, 0.224, 0.225)
    assert slip.logit_scale == pytest.approx(float(state["logit_scale"].exp()))
    texts = ["a mug", "This is a coffee table."]
    np.testing.assert_array_equal(slip.tokenise(texts).numpy(), clip_tokenizer()(texts, 77))
    # Every tensor of the two towers is used exactly once.
    used = sum(parameter.numel() for parameter in slip.parameters())
    dropped = ("image_mlp.", "classification.")
    assert used == sum(
        v.numel() for k, v in state.items() if PROMPTS not in k and not k.startswith(dropped)
    )


def test_other_weights_are_listed(state: dict[str, torch.Tensor]) -> None:
    wrong = dict(state)
    del wrong["visual.norm.weight"], wrong["ln_final.bias"]
    wrong["visual.extra"] = torch.zeros(1)
    wrong["text_projection"] = torch.zeros(512, 256)
    with pytest.raises(TrainingError) as error:
        load_slip_state(wrong)
    for part in (
        "missing visual.norm.weight",
        "missing ln_final.bias",
        "unknown visual.extra",
        "text_projection has shape (512, 256), not (512, 512)",
    ):
        assert part in str(error.value)
    assert "image_mlp" not in str(error.value)


class _Hostile:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_but_arguments_is_rebuilt(tmp_path: Path) -> None:
    sign = tmp_path / "it ran"
    path = tmp_path / "slip.pt"
    torch.save({"state_dict": {}, "args": argparse.Namespace(inner=_Hostile(sign))}, path)
    with pytest.raises(TrainingError, match="mkdir"):
        load_slip(path)
    assert not sign.exists()
    torch.save({"args": argparse.Namespace(lr=1)}, path)
    with pytest.raises(TrainingError, match="state_dict"):
        load_slip(path)
    with pytest.raises(TrainingError, match="no such file"):
        load_slip(tmp_path / "nowhere.pt")
    # The permission ends with the reading.
    with pytest.raises(Exception, match=r"argparse\.Namespace"):
        torch.load(path, weights_only=True)
