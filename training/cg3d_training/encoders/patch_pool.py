"""PatchPool: point patches that hear of each other through their maximum and mean, not attention.

Our own, for boards where every kernel counts: all it runs are products, ReLUs and reductions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cg3d_training.encoders.grouping import gather_rows, nearest_neighbours
from cg3d_training.encoders.patched import PatchedEncoder
from cg3d_training.encoders.registry import register_encoder
from cg3d_training.encoders.rows import RowsLinear


@dataclass(frozen=True)
class PatchPoolConfig:
    """The sizes of a PatchPool.

    Attributes:
        points: points of the cloud that enter (those beyond the groups are never read).
        groups: point patches; their centres are furthest point samples.
        group_size: neighbours in a patch, the centre among them.
        patch_hidden: width inside the network over a patch's points.
        width: of a patch's feature.
        depth: rounds in which the patches hear of each other.
        drop_path: stochastic depth at the last round; it grows linearly from 0 at the first.
        embedding_dim: size of the embedding.
        head_classes: outputs of a classification head; 0 leaves the head out.
        head_only: fine-tuned layout: the head's logits are the output, without a projection.
    """

    points: int = 256
    groups: int = 32
    group_size: int = 16
    patch_hidden: int = 64
    width: int = 192
    depth: int = 3
    drop_path: float = 0.1
    embedding_dim: int = 512
    head_classes: int = 0
    head_only: bool = False


class Round(nn.Module):
    """Each patch's feature grows by a function of itself and of what all of them have in common."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm = nn.LayerNorm(width)
        self.own = RowsLinear(width, 2 * width)
        self.common = nn.Linear(2 * width, 2 * width, bias=False)
        self.out = RowsLinear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, G, width) to the same."""
        y = self.norm(x)
        common = self.common(torch.cat([y.amax(dim=1), y.mean(dim=1)], dim=-1))
        grown: Tensor = self.out(torch.relu(self.own(y) + common[:, None]))
        if self.training and self.drop_path:
            keep = 1.0 - self.drop_path
            grown = grown * (torch.rand(len(x), 1, 1, device=x.device) < keep) / keep
        return x + grown


class PatchPool(PatchedEncoder):
    """Points to one embedding (or, in the fine-tuned layout, to logits)."""

    config: PatchPoolConfig

    def __init__(self, config: PatchPoolConfig) -> None:
        super().__init__(config)
        hidden, width = config.patch_hidden, config.width
        # A point enters relative to its centre, and with where it is in the whole.
        self.first = RowsLinear(6, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.second = RowsLinear(hidden, width)
        rates = torch.linspace(0, config.drop_path, config.depth).tolist()
        self.rounds = nn.Sequential(*(Round(width, rate) for rate in rates))
        self.last = nn.LayerNorm(2 * width)
        if not config.head_only:
            self.projection = nn.Linear(2 * width, config.embedding_dim)
        if config.head_classes:
            self.head = nn.Sequential(
                nn.Linear(2 * width, 256), nn.ReLU(), nn.Dropout(0.5),
                nn.Linear(256, config.head_classes),
            )  # fmt: skip

    def patches(self, points: Tensor, centres: Tensor) -> Tensor:
        """(B, G, k, 6): each centre's neighbours, relative to it, and where they are."""
        near = gather_rows(points, nearest_neighbours(points, centres, self.config.group_size))
        return torch.cat([near - centres[:, :, None], near], dim=-1)

    def embed_patches(self, patches: Tensor) -> Tensor:
        """Everything right of the geometry; this half may run in half precision."""
        batch, groups, k, channels = patches.shape
        points = self.first(patches.reshape(-1, channels))
        features = self.second(torch.relu(self.norm(points)))
        x = self.rounds(features.reshape(batch, groups, k, -1).amax(dim=2))
        whole = self.last(torch.cat([x.amax(dim=1), x.mean(dim=1)], dim=-1))
        out: Tensor = self.head(whole) if self.config.head_only else self.projection(whole)
        return out

    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        return self.embed_patches(self.patches(points, centres))


register_encoder("patch_pool", PatchPool, PatchPoolConfig)
