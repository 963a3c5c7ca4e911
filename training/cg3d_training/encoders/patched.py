"""What encoders that take a cloud in patches have in common: where the centres come from."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.grouping import furthest_point_sample, some_rows
from cg3d_training.encoders.registry import PointEncoder


class PatchedEncoder(PointEncoder):
    """Point patches around furthest point samples to one embedding, or to logits.

    Args:
        config: with `points`, `groups`, `group_size`, `embedding_dim`, `head_classes`, `head_only`
            and `drop_path`.

    Raises:
        TrainingError: these do not go together.
    """

    patch_drop = 0.0

    def __init__(self, config: Any) -> None:
        super().__init__()
        if config.head_only and not config.head_classes:
            raise TrainingError("head_only leaves nothing but the head: set head_classes too")
        if config.drop_path >= 1:
            raise TrainingError(f"drop_path is {config.drop_path}; it should be below 1")
        self.config = config
        self.points = config.points
        self.fewest_points = max(config.groups, config.group_size)
        self.embedding_dim = config.head_classes if config.head_only else config.embedding_dim

    def forward(self, points: Tensor) -> Tensor:
        """Sample the patch centres, then embed.

        Args:
            points: (B, N, 3) float32, y up, in the unit sphere; N >= group_size.

        Returns:
            (B, embedding_dim), not normalised; (B, head_classes) logits if `head_only`.
        """
        centres = furthest_point_sample(points, self.config.groups)
        return self._embed(points, points.gather(1, centres[..., None].expand(-1, -1, 3)))

    def embed_ordered(self, points: Tensor) -> Tensor:
        """`forward` for points in furthest point order: the centres are a prefix."""
        centres = points[:, : self.config.groups]
        if self.training and self.patch_drop:
            centres = some_rows(centres, 1 - self.patch_drop)
        return self._embed(points, centres)

    @abstractmethod
    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        """Points (B, N, 3) and the centres of patches (B, G, 3) to (B, embedding_dim)."""
