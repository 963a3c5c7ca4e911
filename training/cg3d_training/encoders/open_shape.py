"""OpenShape's Point-BERT: patches of balls, a PointNet each, and a transformer over them.

Liu et al., "OpenShape: Scaling Up 3D Shape Representation Towards Open-World Understanding"
(NeurIPS 2023). A point comes with its colour and once more with its place, not relative to the
patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cg3d_training.encoders.grouping import (
    ball_neighbours,
    furthest_point_sample,
    gather_rows,
)
from cg3d_training.encoders.peer import PeerEncoder, with_colours
from cg3d_training.encoders.registry import register_encoder

#: Width of an attention head.
_HEAD = 64


@dataclass(frozen=True)
class OpenShapeConfig:
    """The sizes of an OpenShape Point-BERT.

    Attributes:
        points: of a cloud that it was trained on.
        groups, radius, group_size: point patches, their radius and the most points of one.
        patch_dim: width of a patch's feature; patch_hidden: before it.
        width, depth, heads, mlp_width: of the transformer.
        embedding_dim: of CLIP's space.
        projected: whether a last linear layer leads there.
        up: which axis was up in training: "y", or "swapped" where the code exchanged y and z,
            which makes z point up and mirrors the cloud.
    """

    points: int = 10000
    groups: int = 384
    radius: float = 0.2
    group_size: int = 64
    patch_hidden: tuple[int, int] = (64, 64)
    patch_dim: int = 256
    width: int = 512
    depth: int = 12
    heads: int = 8
    mlp_width: int = 1536
    embedding_dim: int = 1280
    projected: bool = True
    up: Literal["y", "swapped"] = "swapped"


class BallPatches(nn.Module):
    """The points of a ball, nine numbers each, to one feature: PointNet with batch norm."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        before = (9, *widths[:-1])
        self.mlp_convs = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(before, widths, strict=True)
        )
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(b) for b in widths)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, G, k, 9) to (B, dim, G)."""
        x = patches.permute(0, 3, 2, 1)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = functional.relu(norm(conv(x)))
        return x.amax(dim=2)


class Attention(nn.Module):
    """Multi-head self-attention with heads of 64."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * heads * _HEAD, bias=False)
        # The place of a dropout in the published names.
        self.to_out = nn.Sequential(nn.Linear(heads * _HEAD, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            part.reshape(batch, length, self.heads, _HEAD).transpose(1, 2)
            for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return out


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between; numbered as published."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class Normed(nn.Module):
    """A layer after a layer norm."""

    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fn(self.norm(x))
        return out


class Layers(nn.Module):
    """The stack of attention and MLP; no norm at the end."""

    def __init__(self, config: OpenShapeConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([
                Normed(config.width, Attention(config.width, config.heads)),
                Normed(config.width, Mlp(config.width, config.mlp_width)),
            ])
            for _ in range(config.depth)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            attention, mlp = layer
            x = x + attention(x)
            x = x + mlp(x)
        return x


class PatchTransformer(nn.Module):
    """Patches and their centres to the first token."""

    def __init__(self, config: OpenShapeConfig) -> None:
        super().__init__()
        self.sa = BallPatches((*config.patch_hidden, config.patch_dim))
        # The published layer norm is numbered 2, behind a change of axes.
        self.lift = nn.Sequential(
            nn.Conv1d(config.patch_dim + 3, config.width, 1),
            nn.Identity(),
            nn.LayerNorm(config.width),
        )
        self.cls_token = nn.Parameter(torch.randn(config.width))
        self.transformer = Layers(config)

    def forward(self, patches: Tensor, centres: Tensor) -> Tensor:
        """(B, G, k, 9) and (B, G, 3) to (B, width)."""
        conv, _, norm = self.lift
        tokens = conv(torch.cat([centres.transpose(1, 2), self.sa(patches)], dim=1))
        first = self.cls_token.expand(tokens.shape[0], 1, -1)
        out: Tensor = self.transformer(torch.cat([first, norm(tokens.transpose(1, 2))], dim=1))
        return out[:, 0]


class OpenShape(PeerEncoder):
    """Coloured points to an embedding in the space of OpenShape's CLIP."""

    config: OpenShapeConfig

    def __init__(self, config: OpenShapeConfig) -> None:
        super().__init__()
        self.config = config
        self.points, self.groups, self.colours = config.points, config.groups, True
        self.fewest_points = config.groups
        self.embedding_dim = config.embedding_dim
        self.ppat = PatchTransformer(config)
        if config.projected:
            self.proj = nn.Linear(config.width, config.embedding_dim)

    def _sample(self, xyz: Tensor) -> Tensor:
        # The published code begins at a random point; here at the first.
        return furthest_point_sample(xyz, self.groups, skip_origin=False)

    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        points = with_colours(points)
        if self.config.up == "swapped":
            points = points[..., [0, 2, 1, 3, 4, 5]]
        xyz = points[..., :3].contiguous()
        at = xyz.gather(1, centres[..., None].expand(-1, -1, 3))
        rows = ball_neighbours(xyz, at, self.config.radius, self.config.group_size)
        near = gather_rows(points, rows)
        patches = torch.cat([near[..., :3] - at[:, :, None], near], dim=-1)
        feature: Tensor = self.ppat(patches, at)
        return self.proj(feature) if self.config.projected else feature


register_encoder("open_shape", OpenShape, OpenShapeConfig)
