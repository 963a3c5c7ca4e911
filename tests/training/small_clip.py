"""CLIPs of a few thousand weights, in each of the forms that open_clip has."""

from __future__ import annotations

import open_clip
import torch

from cg3d_training.teachers import ClipTeacher

DIM = 12
LAYERS = 3
WIDTH = 32
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VIT = {"layers": LAYERS, "width": WIDTH, "head_width": 16, "patch_size": 8, "image_size": 16}
VISION = {
    "class token": VIT,
    "mean of patches": VIT | {"pool_type": "avg"},
    "no norm before": VIT | {"no_ln_pre": True},
    "attention pool": VIT | {"attentional_pool": True, "attn_pooler_heads": 2},
    "timm": {
        "timm_model_name": "test_vit",
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": 160,
    },
}


def small_teacher(vision: str = "class token") -> ClipTeacher:
    torch.manual_seed(0)
    kind = open_clip.CustomTextCLIP if vision == "timm" else open_clip.CLIP
    return ClipTeacher(
        kind(DIM, dict(VISION[vision]), dict(TEXT)),
        open_clip.get_tokenizer("ViT-B-32"),
        embedding_dim=DIM,
        image_mean=(0.5, 0.5, 0.5),
        image_std=(0.5, 0.5, 0.5),
    )


def images_for(teacher: ClipTeacher, count: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(count, 3, *teacher.image_size)
