"""The encoders as one would first write them in torch, with the weights of ours: the baseline.

Convolutions over (B, C, G, k), everything repeated and concatenated as the formulas say, sampling
inside the network with a fresh (B, N, 3) difference at every step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cg3d_training.encoders.point_mlp import PointMlp
from cg3d_training.encoders.point_transformer import PointTransformer


def plain_sample(points: Tensor, m: int) -> Tensor:
    """(B, N, 3) to (B, m) indices; ties as they come."""
    batch, n, _ = points.shape
    chosen = torch.zeros(batch, m, dtype=torch.long)
    nearest = torch.full((batch, n), 1e10)
    nearest[(points**2).sum(-1) <= 1e-3] = -1.0
    last = torch.zeros(batch, dtype=torch.long)
    rows = torch.arange(batch)
    for i in range(m):
        chosen[:, i] = last
        nearest = torch.minimum(nearest, ((points - points[rows, last][:, None]) ** 2).sum(-1))
        last = nearest.argmax(-1)
    return chosen


def take(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of (B, N, C) at (B, ...) indices."""
    rows = torch.arange(len(values)).reshape(-1, *[1] * (indices.ndim - 1))
    return values[rows, indices]


def neighbours(points: Tensor, centres: Tensor, k: int) -> Tensor:
    """(B, M, k) indices of the nearest points."""
    distance = -2 * centres @ points.transpose(1, 2)
    distance += (centres**2).sum(-1)[..., None] + (points**2).sum(-1)[:, None]
    return distance.topk(k, dim=-1, largest=False).indices


def plain_point_transformer(encoder: PointTransformer, points: Tensor) -> Tensor:
    """(B, N, 3) to (B, d)."""
    config = encoder.config
    centres = take(points, plain_sample(points, config.groups))
    patches = take(points, neighbours(points, centres, config.group_size)) - centres[:, :, None]
    batch, groups, k, _ = patches.shape
    x = patches.reshape(batch * groups, k, 3).transpose(1, 2)
    local = encoder.encoder.first_conv(x)
    whole = local.max(dim=2, keepdim=True).values.expand(-1, -1, k)
    x = encoder.encoder.second_conv(torch.cat([whole, local], dim=1)).max(dim=2).values
    tokens = encoder.reduce_dim(x.reshape(batch, groups, -1))
    x = torch.cat([encoder.cls_token.expand(batch, -1, -1), tokens], dim=1)
    place = torch.cat([encoder.cls_pos.expand(batch, -1, -1), encoder.pos_embed(centres)], dim=1)
    for block in encoder.blocks.blocks:
        x = x + place
        x = x + block._drop(_plain_attention(block.attn, block.norm1(x)))
        hidden = functional.linear(block.norm2(x), block.mlp.fc1.weight, block.mlp.fc1.bias)
        hidden = functional.gelu(hidden)
        x = x + block._drop(functional.linear(hidden, block.mlp.fc2.weight, block.mlp.fc2.bias))
    x = encoder.norm(x)
    out: Tensor = encoder.projection(torch.cat([x[:, 0], x[:, 1:].max(dim=1).values], dim=-1))
    return out


def _plain_attention(attention: nn.Module, x: Tensor) -> Tensor:
    batch, length, width = x.shape
    qkv = functional.linear(x, attention.qkv.weight)
    qkv = qkv.reshape(batch, length, 3, attention.heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]
    weights = ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(dim=-1)
    mixed = (weights @ v).transpose(1, 2).reshape(batch, length, width)
    return functional.linear(mixed, attention.proj.weight, attention.proj.bias)


def plain_point_mlp(encoder: PointMlp, points: Tensor) -> Tensor:
    """(B, N, 3) to (B, d)."""
    config = encoder.config
    features = encoder.embedding.net(points.transpose(1, 2)).transpose(1, 2)
    for stage, count in enumerate(encoder.anchors):
        grouper = encoder.local_grouper_list[stage]
        before, after = encoder.pre_blocks_list[stage], encoder.pos_blocks_list[stage]
        chosen = plain_sample(points, count)
        anchors, centres = take(features, chosen), take(points, chosen)
        around = take(features, neighbours(points, centres, config.neighbours[stage]))
        moved = around - anchors[:, :, None]
        moved = moved / (moved.reshape(len(moved), -1).std(dim=-1)[:, None, None, None] + 1e-5)
        moved = grouper.affine_alpha * moved + grouper.affine_beta
        pairs = torch.cat([moved, anchors[:, :, None].expand_as(moved)], dim=-1)
        batch, groups, k, channels = pairs.shape
        x = pairs.permute(0, 1, 3, 2).reshape(-1, channels, k)
        x = _plain_residuals(before.operation, before.transfer.net(x)).max(dim=-1).values
        x = x.reshape(batch, groups, -1).transpose(1, 2)
        features = _plain_residuals(after.operation, x).transpose(1, 2)
        points = centres
    whole = features.max(dim=1).values
    out: Tensor = encoder.projection(whole[..., None])[..., 0]
    return out


def _plain_residuals(blocks: nn.Module, x: Tensor) -> Tensor:
    for block in blocks:
        x = functional.relu(block.net2(block.net1(x)) + x)
    return x
