"""The PointTransformer of CG3D: a plain transformer over point patches (Point-BERT's).

The paper cites vector attention, but the official code uses this encoder. Parameter names and
arithmetic follow the official classes, so that a released `base_model` loads strictly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cg3d_training.encoders.grouping import gather_rows, nearest_neighbours
from cg3d_training.encoders.patched import PatchedEncoder
from cg3d_training.encoders.registry import register_encoder
from cg3d_training.encoders.rows import RowsLinear, linear_rows


@dataclass(frozen=True)
class PointTransformerConfig:
    """The sizes of a PointTransformer.

    Attributes:
        points: points of the cloud that enter (those beyond the groups are never read).
        groups: point patches; their centres are furthest point samples.
        group_size: neighbours in a patch, the centre among them.
        patch_dim: width of a patch's feature out of the mini-PointNet.
        patch_hidden: widths inside the mini-PointNet: first and second half.
        width, depth, heads, mlp_ratio: of the transformer.
        drop_path: stochastic depth at the last block; it grows linearly from 0 at the first.
        embedding_dim: size of the embedding.
        head_classes: outputs of the official classification head; 0 leaves the head out.
        head_only: fine-tuned layout: the head's logits are the output, without a projection.
    """

    points: int = 1024
    groups: int = 64
    group_size: int = 32
    patch_dim: int = 256
    patch_hidden: tuple[int, int] = (128, 256)
    width: int = 384
    depth: int = 12
    heads: int = 6
    mlp_ratio: float = 4.0
    drop_path: float = 0.1
    embedding_dim: int = 512
    head_classes: int = 0
    head_only: bool = False


class PatchEncoder(nn.Module):
    """Mini-PointNet: the points of a patch, relative to its centre, to one feature.

    Args:
        hidden: widths of the first and the second half.
        out: width of the feature.
        channels: of a point; beyond 3 with its colour.
    """

    def __init__(self, hidden: tuple[int, int], out: int, channels: int = 3) -> None:
        super().__init__()
        first, second = hidden
        self.first_conv = nn.Sequential(
            nn.Conv1d(channels, first, 1),
            nn.BatchNorm1d(first),
            nn.ReLU(),
            nn.Conv1d(first, second, 1),
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(2 * second, 2 * second, 1),
            nn.BatchNorm1d(2 * second),
            nn.ReLU(),
            nn.Conv1d(2 * second, out, 1),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """(B, G, k, channels) to (B, G, out)."""
        batch, groups, k, channels = patches.shape
        first, norm1, _, second = self.first_conv
        widen, norm2, _, narrow = self.second_conv
        # Kernel-1 convolutions written as products of rows: the same numbers, twice the speed.
        points = patches.reshape(-1, channels)
        local = _rows(second, functional.relu(norm1(_rows(first, points))))
        whole = local.reshape(batch * groups, k, -1).amax(dim=1)
        # conv([whole, local]) = conv_a(whole) + conv_b(local): the whole is convolved once per
        # patch and not once per point.
        assert isinstance(widen, nn.Conv1d)
        weight, half = widen.weight.squeeze(-1), whole.shape[1]
        shared = functional.linear(whole, weight[:, :half], widen.bias)
        own = linear_rows(local, weight[:, half:])
        mixed = own.reshape(batch * groups, k, -1) + shared[:, None]
        out = _rows(narrow, functional.relu(norm2(mixed.reshape(points.shape[0], -1))))
        return out.reshape(batch, groups, k, -1).amax(dim=2)


def _rows(conv: nn.Module, rows: Tensor) -> Tensor:
    """A kernel-1 convolution applied to (M, C) rows."""
    assert isinstance(conv, nn.Conv1d)
    return linear_rows(rows, conv.weight.squeeze(-1), conv.bias)


class Attention(nn.Module):
    """Multi-head self-attention, q, k and v in one matrix without bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = RowsLinear(width, 3 * width, bias=False)
        self.proj = RowsLinear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = RowsLinear(width, hidden)
        self.fc2 = RowsLinear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """A pre-norm transformer block with stochastic depth."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop(self.attn(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        mask = torch.rand(len(branch), 1, 1, device=branch.device, dtype=branch.dtype) < keep
        return branch * mask / keep


class Blocks(nn.Module):
    """The stack of blocks; positions are added again before every block, as officially."""

    def __init__(self, config: PointTransformerConfig) -> None:
        super().__init__()
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, rate) for rate in rates
        )

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x + positions)
        return x


class PointTransformer(PatchedEncoder):
    """Points to one embedding (or, in the fine-tuned layout, to logits)."""

    config: PointTransformerConfig

    def __init__(self, config: PointTransformerConfig) -> None:
        super().__init__(config)
        width = config.width
        self.encoder = PatchEncoder(config.patch_hidden, config.patch_dim)
        self.reduce_dim = RowsLinear(config.patch_dim, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
        self.blocks = Blocks(config)
        self.norm = nn.LayerNorm(width)
        if not config.head_only:
            self.projection = nn.Linear(2 * width, config.embedding_dim)
        if config.head_classes:
            self.cls_head_finetune = nn.Sequential(
                nn.Linear(2 * width, 256), nn.ReLU(), nn.Dropout(0.5),
                nn.Linear(256, config.head_classes),
            )  # fmt: skip
        self._initialise()

    def patches(self, points: Tensor, centres: Tensor) -> Tensor:
        """(B, G, k, 3): each centre's neighbours, relative to it."""
        neighbours = nearest_neighbours(points, centres, self.config.group_size)
        return gather_rows(points, neighbours) - centres[:, :, None]

    def embed_patches(self, patches: Tensor, centres: Tensor) -> Tensor:
        """Everything right of the geometry; this half may run in half precision."""
        tokens = self.reduce_dim(self.encoder(patches))
        batch = tokens.shape[0]  # len() would fix the batch of an exported graph
        x = torch.cat([self.cls_token.expand(batch, -1, -1), tokens], dim=1)
        positions = torch.cat([self.cls_pos.expand(batch, -1, -1), self.pos_embed(centres)], dim=1)
        x = self.norm(self.blocks(x, positions))
        feature = torch.cat([x[:, 0], x[:, 1:].amax(dim=1)], dim=-1)
        head = self.cls_head_finetune if self.config.head_only else self.projection
        out: Tensor = head(feature)
        return out

    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        return self.embed_patches(self.patches(points, centres), centres)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


register_encoder("point_transformer", PointTransformer, PointTransformerConfig)
