"""Uni3D: an EVA image transformer over coloured point patches.

Zhou et al., "Uni3D: Exploring Unified 3D Representation at Scale" (ICLR 2024). The blocks are those
of timm's EVA and EVA-02 without rotary positions, which Uni3D does not hand them; positions are
added once. Only the first token is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cg3d_training.encoders.peer import PeerEncoder, nearest_patches, with_colours
from cg3d_training.encoders.point_transformer import PatchEncoder
from cg3d_training.encoders.registry import register_encoder

#: EVA's, of all its layer norms.
_EPSILON = 1e-6


@dataclass(frozen=True)
class Uni3dConfig:
    """The sizes of a Uni3D.

    Attributes:
        points: of a cloud that it was trained on.
        groups, group_size: point patches and their points.
        patch_dim, patch_hidden: of the mini-PointNet.
        blocks: "eva02" (separate q, k, v; gated MLP with a norm inside) or "eva" (one matrix for
            q, k and v; GELU).
        width, depth, heads, mlp_width: of the transformer.
        embedding_dim: of CLIP's space (EVA02-E-14-plus).
    """

    points: int = 10000
    groups: int = 512
    group_size: int = 64
    patch_dim: int = 512
    patch_hidden: tuple[int, int] = (128, 256)
    blocks: Literal["eva", "eva02"] = "eva02"
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 2048
    embedding_dim: int = 1024


class FusedAttention(nn.Module):
    """EVA: one matrix for q, k and v; q and v have a bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        q, k, v = functional.linear(x, self.qkv.weight, bias).chunk(3, dim=-1)
        out: Tensor = self.proj(_attend(q, k, v, self.heads))
        return out


class SplitAttention(nn.Module):
    """EVA-02: three matrices; k has no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        mixed = _attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads)
        out: Tensor = self.proj(mixed)
        return out


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(B, T, width) each, heads side by side, to the same."""
    batch, length, width = q.shape
    q, k, v = (x.reshape(batch, length, heads, -1).transpose(1, 2) for x in (q, k, v))
    mixed = functional.scaled_dot_product_attention(q, k, v)
    return mixed.transpose(1, 2).reshape(batch, length, width)


class Mlp(nn.Module):
    """EVA: two linear layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class GatedMlp(nn.Module):
    """EVA-02: one half gates the other through SiLU, then a norm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1_g, self.fc1_x = nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden, eps=_EPSILON)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.norm(functional.silu(self.fc1_g(x)) * self.fc1_x(x)))
        return out


class Block(nn.Module):
    """A pre-norm block of EVA or EVA-02."""

    def __init__(self, config: Uni3dConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.mlp_width
        split = config.blocks == "eva02"
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = (SplitAttention if split else FusedAttention)(width, config.heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = (GatedMlp if split else Mlp)(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Trunk(nn.Module):
    """What Uni3D uses of the image transformer."""

    def __init__(self, config: Uni3dConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.fc_norm = nn.LayerNorm(config.width, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to the first token (B, width)."""
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.fc_norm(x[:, 0])
        return out


class Uni3d(PeerEncoder):
    """Coloured points to an embedding in the space of EVA02-CLIP-E/14+."""

    config: Uni3dConfig

    def __init__(self, config: Uni3dConfig) -> None:
        super().__init__()
        self.config = config
        self.points, self.groups, self.colours = config.points, config.groups, True
        self.fewest_points = max(config.groups, config.group_size)
        self.embedding_dim = config.embedding_dim
        width = config.width
        self.encoder = PatchEncoder(config.patch_hidden, config.patch_dim, channels=6)
        self.encoder2trans = nn.Linear(config.patch_dim, width)
        self.trans2embed = nn.Linear(width, config.embedding_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
        self.visual = Trunk(config)

    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        patches, at = nearest_patches(with_colours(points), centres, self.config.group_size)
        tokens = self.encoder2trans(self.encoder(patches)) + self.pos_embed(at)
        first = (self.cls_token + self.cls_pos).expand(tokens.shape[0], -1, -1)
        out: Tensor = self.trans2embed(self.visual(torch.cat([first, tokens], dim=1)))
        return out


register_encoder("uni3d", Uni3d, Uni3dConfig)
