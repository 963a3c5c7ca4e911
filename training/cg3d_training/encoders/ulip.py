"""ULIP's and ULIP-2's Point-BERT: CG3D's PointTransformer with more patches, and with colours.

Xue et al., "ULIP" (CVPR 2023) and "ULIP-2" (CVPR 2024). After the transformer the first token and
the largest of the others are multiplied by `pc_projection`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cg3d_training.encoders.peer import PeerEncoder, nearest_patches, with_colours
from cg3d_training.encoders.point_transformer import (
    Blocks,
    PatchEncoder,
    PointTransformerConfig,
)
from cg3d_training.encoders.registry import register_encoder


@dataclass(frozen=True)
class UlipConfig:
    """The sizes of ULIP's Point-BERT.

    Attributes:
        points: of a cloud that it was trained on.
        groups, group_size: point patches and their points.
        colours: whether a point has one.
        patch_dim, patch_hidden: of the mini-PointNet.
        width, depth, heads: of the transformer.
        embedding_dim: of CLIP's space.
    """

    points: int = 8192
    groups: int = 512
    group_size: int = 32
    colours: bool = False
    patch_dim: int = 256
    patch_hidden: tuple[int, int] = (128, 256)
    width: int = 384
    depth: int = 12
    heads: int = 6
    embedding_dim: int = 512


class Ulip(PeerEncoder):
    """Points, perhaps with colours, to an embedding in the space of ULIP's CLIP."""

    config: UlipConfig

    def __init__(self, config: UlipConfig) -> None:
        super().__init__()
        self.config = config
        self.points, self.groups = config.points, config.groups
        self.fewest_points = max(config.groups, config.group_size)
        self.embedding_dim, self.colours = config.embedding_dim, config.colours
        width = config.width
        channels = 6 if config.colours else 3
        self.encoder = PatchEncoder(config.patch_hidden, config.patch_dim, channels)
        self.reduce_dim = nn.Linear(config.patch_dim, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
        self.blocks = Blocks(
            PointTransformerConfig(width=width, depth=config.depth, heads=config.heads)
        )
        self.norm = nn.LayerNorm(width)
        self.pc_projection = nn.Parameter(torch.empty(2 * width, config.embedding_dim))
        nn.init.normal_(self.pc_projection, std=config.embedding_dim**-0.5)

    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        points = with_colours(points) if self.colours else points[..., :3]
        patches, at = nearest_patches(points, centres, self.config.group_size)
        tokens = self.reduce_dim(self.encoder(patches))
        batch = tokens.shape[0]
        x = torch.cat([self.cls_token.expand(batch, -1, -1), tokens], dim=1)
        positions = torch.cat([self.cls_pos.expand(batch, -1, -1), self.pos_embed(at)], dim=1)
        x = self.norm(self.blocks(x, positions))
        return torch.cat([x[:, 0], x[:, 1:].amax(dim=1)], dim=-1) @ self.pc_projection


register_encoder("ulip", Ulip, UlipConfig)
