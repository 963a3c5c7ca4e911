"""PointMLP and PointMLP-elite: residual MLPs over ever fewer and wider neighbourhoods.

Ma et al., "Rethinking Network Design and Local Geometry in Point Cloud", ICLR 2022. Parameter names
and arithmetic follow the official classes, so that a released `base_model` loads strictly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.grouping import (
    furthest_point_sample,
    gather_rows,
    nearest_neighbours,
)
from cg3d_training.encoders.registry import PointEncoder, register_encoder
from cg3d_training.encoders.rows import linear_rows

#: Keeps the division by a neighbourhood's spread finite.
_SMALL = 1e-5


@dataclass(frozen=True)
class PointMlpConfig:
    """The sizes of a PointMLP; tuples have one entry a stage.

    Attributes:
        points: fixes the anchors of the stages, whatever the size of the cloud that enters.
        width: channels before the first stage.
        expansion: how many times wider a stage leaves the channels.
        reduction: how many times fewer anchors a stage has.
        neighbours: points around each anchor, the anchor among them.
        blocks_before, blocks_after: residual blocks before and after the maximum over neighbours.
        bottleneck: width inside a residual block, as a share of its channels.
        embedding_dim: size of the embedding.
        head_classes: outputs of the official classifier; 0 leaves it out.
        head_only: fine-tuned layout: the classifier's logits are the output, without a projection.
    """

    points: int = 1024
    width: int = 64
    expansion: tuple[int, ...] = (2, 2, 2, 2)
    reduction: tuple[int, ...] = (2, 2, 2, 2)
    neighbours: tuple[int, ...] = (24, 24, 24, 24)
    blocks_before: tuple[int, ...] = (2, 2, 2, 2)
    blocks_after: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: float = 1.0
    embedding_dim: int = 512
    head_classes: int = 0
    head_only: bool = False


class ConvNormRelu(nn.Module):
    """A kernel-1 convolution, batch norm and ReLU, for rows."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(channels, out, 1, bias=False), nn.BatchNorm1d(out), nn.ReLU()
        )

    def forward(self, rows: Tensor) -> Tensor:
        """(M, channels) to (M, out)."""
        return functional.relu(_normed_rows(self.net, rows), inplace=True)


class ResidualBlock(nn.Module):
    """Two convolutions of rows, added to their input."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.net1 = nn.Sequential(
            nn.Conv1d(channels, hidden, 1, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()
        )
        self.net2 = nn.Sequential(
            nn.Conv1d(hidden, channels, 1, bias=False), nn.BatchNorm1d(channels)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """(M, channels) to (M, channels)."""
        hidden = functional.relu(_normed_rows(self.net1, rows), inplace=True)
        return functional.relu(_normed_rows(self.net2, hidden).add_(rows), inplace=True)


class LocalGrouper(nn.Module):
    """The learnt scale and shift of the differences to an anchor."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.affine_alpha = nn.Parameter(torch.ones(1, 1, 1, channels))
        self.affine_beta = nn.Parameter(torch.zeros(1, 1, 1, channels))


class PreExtraction(nn.Module):
    """Neighbourhoods to one feature an anchor."""

    def __init__(self, channels: int, out: int, blocks: int, hidden: int) -> None:
        super().__init__()
        self.transfer = ConvNormRelu(2 * channels, out)
        self.operation = nn.Sequential(*(ResidualBlock(out, hidden) for _ in range(blocks)))

    def forward(
        self, features: Tensor, anchors: Tensor, neighbours: Tensor, grouper: LocalGrouper
    ) -> Tensor:
        """Transfer the neighbours beside their anchors, refine them, take the maximum.

        Args:
            features: (B, N, channels) of all points.
            anchors: (B, S, channels), some of them.
            neighbours: (B, S, k) int64, which points are around each anchor.

        Returns:
            (B, S, out).
        """
        x = self._transfer(features, anchors, neighbours, grouper)
        rows: Tensor = self.operation(x.reshape(-1, x.shape[-1]))
        return rows.reshape(x.shape).amax(dim=2)

    def _transfer(
        self, features: Tensor, anchors: Tensor, neighbours: Tensor, grouper: LocalGrouper
    ) -> Tensor:
        """transfer([alpha * (neighbour - anchor) / spread + beta, anchor]), (B, S, k, out).

        The convolution is linear, so it is applied to the N points and the S anchors, and the
        results are gathered: the same sums in another order, many times fewer products than for
        the S * k pairs.
        """
        conv, norm, _ = self.transfer.net
        weight, bias = _folded(conv, norm)
        channels = features.shape[-1]
        of_difference, of_anchor = weight[:, :channels], weight[:, channels:]
        alpha, beta = grouper.affine_alpha.reshape(-1), grouper.affine_beta.reshape(-1)
        own = of_difference * alpha
        scale = 1.0 / (_spread(features, anchors, neighbours) + _SMALL)
        shift = of_difference @ beta if bias is None else of_difference @ beta + bias
        shared = functional.linear(anchors, of_anchor, shift)
        shared = shared - functional.linear((anchors * scale).to(own.dtype), own)
        moved = linear_rows((features * scale).to(own.dtype), own)
        x = gather_rows(moved, neighbours) + shared[:, :, None]
        rows = x.reshape(-1, x.shape[-1])
        if norm.training:
            rows = norm(rows)
        return functional.relu(rows, inplace=True).reshape(x.shape)


class PosExtraction(nn.Module):
    """Residual blocks on the anchors' features."""

    def __init__(self, channels: int, blocks: int, hidden: int) -> None:
        super().__init__()
        self.operation = nn.Sequential(*(ResidualBlock(channels, hidden) for _ in range(blocks)))

    def forward(self, features: Tensor) -> Tensor:
        """(B, S, channels) to (B, S, channels)."""
        rows: Tensor = self.operation(features.reshape(-1, features.shape[-1]))
        return rows.reshape(features.shape)


class PointMlp(PointEncoder):
    """Points to one embedding (or, in the fine-tuned layout, to logits)."""

    config: PointMlpConfig

    def __init__(self, config: PointMlpConfig) -> None:
        super().__init__()
        self.config = config
        self.points = config.points
        self.embedding_dim = config.head_classes if config.head_only else config.embedding_dim
        self.anchors = _anchors(config)
        self.fewest_points = max(self.anchors[0], config.neighbours[0])
        channels = config.width
        self.embedding = ConvNormRelu(3, channels)
        self.local_grouper_list = nn.ModuleList()
        self.pre_blocks_list = nn.ModuleList()
        self.pos_blocks_list = nn.ModuleList()
        for expansion, before, after in zip(
            config.expansion, config.blocks_before, config.blocks_after, strict=True
        ):
            out = channels * expansion
            hidden = int(out * config.bottleneck)
            self.local_grouper_list.append(LocalGrouper(channels))
            self.pre_blocks_list.append(PreExtraction(channels, out, before, hidden))
            self.pos_blocks_list.append(PosExtraction(out, after, hidden))
            channels = out
        if not config.head_only:
            self.projection = nn.Conv1d(channels, config.embedding_dim, 1)
        if config.head_classes:
            self.classifier = nn.Sequential(
                nn.Linear(channels, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.5),
                nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5),
                nn.Linear(256, config.head_classes),
            )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """Sample the anchors of every stage by the official rules, and embed.

        Args:
            points: (B, N, 3) float32, y up, in the unit sphere; N is at least the neighbours of
                a stage.

        Returns:
            (B, embedding_dim), not normalised; (B, head_classes) logits if `head_only`.
        """
        return self._embed(points, ordered=False)

    def embed_ordered(self, points: Tensor) -> Tensor:
        """`forward` for points in furthest point order: the anchors of every stage are a prefix.

        N is at least the anchors of the first stage, `points // reduction[0]`.
        """
        return self._embed(points, ordered=True)

    def _embed(self, points: Tensor, ordered: bool) -> Tensor:
        x = self.embedding(points.reshape(-1, 3)).reshape(*points.shape[:2], -1)
        stages = zip(
            self.anchors, self.config.neighbours, self.local_grouper_list, self.pre_blocks_list,
            self.pos_blocks_list, strict=True,
        )  # fmt: skip
        for count, k, grouper, before, after in stages:
            chosen = None if ordered else furthest_point_sample(points, count)
            centres, anchors = _take(points, chosen, count), _take(x, chosen, count)
            neighbours = nearest_neighbours(points, centres, k)
            x = after(before(x, anchors, neighbours, grouper))
            points = centres
        feature = x.amax(dim=1)
        if self.config.head_only:
            logits: Tensor = self.classifier(feature)
            return logits
        return functional.linear(feature, self.projection.weight.squeeze(-1), self.projection.bias)


def _anchors(config: PointMlpConfig) -> tuple[int, ...]:
    """The number of anchors of every stage.

    Raises:
        TrainingError: the sizes do not fit each other.
    """
    per_stage = {
        name: getattr(config, name)
        for name in ("expansion", "reduction", "neighbours", "blocks_before", "blocks_after")
    }
    if len({len(sizes) for sizes in per_stage.values()}) != 1:
        lengths = ", ".join(f"{name} {len(sizes)}" for name, sizes in per_stage.items())
        raise TrainingError(f"point_mlp: every stage needs one entry of each size; got {lengths}")
    counts = [config.points]
    for stage, (reduction, k) in enumerate(zip(config.reduction, config.neighbours, strict=True)):
        if k > counts[-1]:
            raise TrainingError(
                f"point_mlp: stage {stage + 1} has {counts[-1]} points, too few for {k} "
                "neighbours; raise points or lower neighbours"
            )
        counts.append(counts[-1] // reduction)
    return tuple(counts[1:])


def _take(values: Tensor, chosen: Tensor | None, count: int) -> Tensor:
    """Rows of (B, N, C) at (B, count) indices, or the first ones, as (B, count, C)."""
    if chosen is None:
        return values[:, :count]
    return gather_rows(values, chosen[..., None]).squeeze(2)


def _spread(features: Tensor, anchors: Tensor, neighbours: Tensor) -> Tensor:
    """(B, 1, 1): standard deviation of all differences to the anchors, one number a cloud."""
    flat = (gather_rows(features, neighbours) - anchors[:, :, None]).flatten(1)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))  # half precision overflows
    count = flat.shape[1]
    # Two sums in place of torch.std, which is slow; differences have a mean near zero, so that
    # nothing cancels.
    squares = flat.square().sum(dim=1)
    variance = (squares - flat.sum(dim=1).square() / count) / (count - 1)
    return variance.clamp_min(_SMALL**4).sqrt()[:, None, None]


def _folded(conv: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a convolution of rows, batch norm included unless it is training."""
    assert isinstance(conv, nn.Conv1d)
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)  # SyncBatchNorm is one as well
    weight = conv.weight.squeeze(-1)
    if norm.training:
        return weight, None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return weight * scale[:, None], norm.bias - norm.running_mean * scale


def _normed_rows(net: nn.Module, rows: Tensor) -> Tensor:
    """Convolution and batch norm, the first two modules of a net, of (M, C) rows."""
    assert isinstance(net, nn.Sequential)
    conv, norm = net[0], net[1]
    out = linear_rows(rows, *_folded(conv, norm))
    return norm(out) if norm.training else out


register_encoder("point_mlp", PointMlp, PointMlpConfig)
