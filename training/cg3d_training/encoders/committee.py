"""A committee: several encoders that look at the same cloud; its embedding is their mean.

Runs of one recipe with other data, sizes or seeds err in different places ("deep ensembles",
Lakshminarayanan et al. 2017). Made of finished checkpoints by `cg3d-train join`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.grouping import furthest_point_sample
from cg3d_training.encoders.registry import (
    EncoderSpec,
    PointEncoder,
    build_encoder,
    register_encoder,
)


@dataclass(frozen=True)
class CommitteeConfig:
    """Who sits in it.

    Attributes:
        members: of each its "architecture" and "sizes".
    """

    members: tuple[Mapping[str, Any], ...] = ()


class Committee(PointEncoder):
    """Points to the mean of its members' unit embeddings.

    Raises:
        TrainingError: there are fewer than two members, one is a committee itself, one takes
            points in any order, or they embed in different dimensions.
    """

    config: CommitteeConfig

    def __init__(self, config: CommitteeConfig) -> None:
        super().__init__()
        self.config = config
        members = [_member(raw) for raw in config.members]
        if len(members) < 2:
            raise TrainingError(f"a committee needs two members or more, not {len(members)}")
        dimensions = {member.embedding_dim for member in members}
        if len(dimensions) > 1:
            raise TrainingError(f"members embed in different dimensions: {sorted(dimensions)}")
        self.members = nn.ModuleList(members)
        self.points = max(member.points for member in members)
        self.fewest_points = max(member.fewest_points for member in members)
        self.embedding_dim = members[0].embedding_dim

    def forward(self, points: Tensor) -> Tensor:
        """Order the points, then embed.

        Args:
            points: (B, N, 3) float32, y up, in the unit sphere.

        Returns:
            (B, embedding_dim), not normalised.
        """
        order = furthest_point_sample(points, self.points)
        return self.embed_ordered(points.gather(1, order[..., None].expand(-1, -1, 3)))

    def embed_ordered(self, points: Tensor) -> Tensor:
        """`forward` for points in furthest point order: each member takes a prefix."""
        total: Tensor | None = None
        for member in self.members:
            assert isinstance(member, PointEncoder)
            own = functional.normalize(member.embed_ordered(points[:, : member.points]), dim=-1)
            total = own if total is None else total + own
        assert total is not None
        return total / len(self.members)


def _member(raw: Mapping[str, Any]) -> PointEncoder:
    try:
        spec = EncoderSpec(str(raw["architecture"]), dict(raw["sizes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"a member of a committee has architecture and sizes, not {raw}") from (
            error
        )
    if spec.architecture == "committee":
        raise TrainingError("a committee cannot be a member of a committee: name its members")
    encoder = build_encoder(spec)
    if encoder.any_order:
        raise TrainingError(
            f"{spec.architecture} takes points in any order, a committee gives them in furthest "
            "point order"
        )
    return encoder


register_encoder("committee", Committee, CommitteeConfig)
