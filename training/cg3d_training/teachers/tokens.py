"""Where an image tower keeps its sequence of tokens, if it has one."""

from __future__ import annotations

from dataclasses import dataclass

import timm.models.vision_transformer as timm_vit
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn

from cg3d_runtime.errors import TrainingError


@dataclass(frozen=True)
class TokenTower:
    """The transformer of an image tower, as prompts need to know it.

    Attributes:
        blocks: its blocks in the order that they run; each takes and gives (B, tokens, width).
        width: the size of a token.
        prefix: how many tokens (class, registers) stand before the patch tokens.
        patch: (height, width) of a patch in pixels.
    """

    blocks: tuple[nn.Module, ...]
    width: int
    prefix: int
    patch: tuple[int, int]


def find_token_tower(visual: nn.Module) -> TokenTower:
    """The token tower of an open_clip image tower: its own ViT, or a ViT of timm.

    Raises:
        TrainingError: the tower is no such transformer; the message says why prompts cannot work.
    """
    if isinstance(visual, VisionTransformer):
        blocks, prefix, grid = visual.transformer.resblocks, 1, visual.grid_size
        width = visual.class_embedding.numel()
    elif isinstance(visual, TimmModel) and isinstance(visual.trunk, timm_vit.VisionTransformer):
        trunk = visual.trunk
        blocks, prefix, grid = trunk.blocks, trunk.num_prefix_tokens, trunk.patch_embed.grid_size
        width = trunk.embed_dim
    else:
        raise TrainingError(_no_tokens(visual))
    height, wide = (int(size) // int(n) for size, n in zip(visual.image_size, grid, strict=True))
    return TokenTower(tuple(blocks), int(width), int(prefix), (height, wide))


def _no_tokens(visual: nn.Module) -> str:
    network = visual.trunk if isinstance(visual, TimmModel) else visual
    kind = type(network).__name__
    if kind == "Eva":
        why = "turns its tokens by their place on the image (rotary positions); prompts have none"
    else:
        why = "has no sequence of tokens with one width through all its blocks"
    return (
        f"deep visual prompts need a vision transformer, and this teacher's image tower is a "
        f"{kind}, which {why}. Train without prompts, or take a ViT: ViT-B-16, ViT-B-32, "
        "MobileCLIP-B or SLIP."
    )
