"""The SLIP teacher of CG3D: ViT-B/16 from its official checkpoint (`slip_base_100ep.pt`)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import open_clip
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.teachers.open_clip import ClipTeacher
from cg3d_training.torch_file import read_state_dict

_DIM = 512
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_VISION = {
    "timm_model_name": "vit_base_patch16_224",
    "timm_model_pretrained": False,
    "timm_pool": "token",
    "timm_proj": "linear",
    "timm_proj_bias": False,
    "image_size": 224,
}
_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
_PROJECTION = "visual.head.proj.weight"

#: Parts of SLIP and CG3D that no teacher needs: the SimCLR head of SLIP's own training, the
#: classifier that CG3D added and never trained, and CG3D's prompts, which `load_prompts` reads.
_LEFT_OUT = (
    "image_mlp.",
    "classification.",
    "visual.prompt_embeddings",
    "visual.deep_prompt_embeddings",
)


def load_slip(path: Path) -> ClipTeacher:
    """SLIP ViT-B/16 from its official file, or from a file with its state dict alone.

    Nothing in the file is run: besides tensors and plain values, only the argparse.Namespace of
    SLIP's arguments is rebuilt, and thrown away.

    Raises:
        TrainingError: no such file, an unsafe or damaged one, or not SLIP ViT-B/16.
    """
    return load_slip_state(read_state_dict(path, allow=[argparse.Namespace]))


def load_slip_state(state: Mapping[str, Tensor]) -> ClipTeacher:
    """SLIP ViT-B/16 from its official state dict, with or without `module.` in front of keys.

    Raises:
        TrainingError: keys are missing or unknown, or shapes differ; they are listed.
    """
    given = {
        key.removeprefix("module."): value
        for key, value in state.items()
        if not key.removeprefix("module.").startswith(_LEFT_OUT)
    }
    # The same network as SLIP's: timm's ViT with exact GELU, CLIP's text tower with quick GELU.
    model = open_clip.CustomTextCLIP(_DIM, dict(_VISION), dict(_TEXT), quick_gelu=True)
    own = model.state_dict()
    names = {key: _official_name(key) for key in own}
    wrong = [f"missing {name}" for name in names.values() if name not in given]
    wrong += [f"unknown {name}" for name in given if name not in set(names.values())]
    ours = {key: given[name] for key, name in names.items() if name in given}
    if _PROJECTION in ours:
        ours[_PROJECTION] = ours[_PROJECTION].T
    wrong += [
        f"{names[key]} has shape {tuple(value.shape)}, not {tuple(own[key].shape)}"
        for key, value in ours.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise TrainingError(f"these weights are not SLIP ViT-B/16: {'; '.join(wrong)}")
    model.load_state_dict(ours)
    return ClipTeacher(
        model,
        open_clip.get_tokenizer("ViT-B-16"),
        embedding_dim=_DIM,
        image_mean=_IMAGENET_MEAN,
        image_std=_IMAGENET_STD,
    )


def _official_name(key: str) -> str:
    """SLIP's name for a tensor of open_clip's model."""
    if key == _PROJECTION:
        return "image_projection"
    return key.replace("visual.trunk.", "visual.").removeprefix("text.")
