"""What the encoders of other projects have in common: any points, and perhaps colours.

They are here to be compared with, on the same clouds and questions. Parameter names and arithmetic
follow the public definitions, so that published weights load strictly. How the published weights
score here could not be checked: they are not at hand. Each is tested against the same forward pass
put together from other people's layers.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from cg3d_training.encoders.grouping import (
    furthest_point_sample,
    gather_rows,
    nearest_neighbours,
)
from cg3d_training.encoders.registry import PointEncoder

#: The colour of points without one, red, green and blue in [0, 1], as the peers were trained.
GREY = 0.4


class PeerEncoder(PointEncoder):
    """An encoder of another project; reads (B, N, 3) points or (B, N, 6) with colours in [0, 1].

    Attributes:
        groups: point patches.
        colours: whether it reads colours.
    """

    any_order = True
    groups: int
    colours: bool

    def forward(self, points: Tensor) -> Tensor:
        """Sample the patch centres, then embed.

        Args:
            points: (B, N, 3) or (B, N, 6) float32, y up, in the unit sphere, N at least
                `fewest_points`. Points without colours are grey.

        Returns:
            (B, embedding_dim), not normalised.
        """
        return self._embed(points, self._sample(points[..., :3]))

    def embed_ordered(self, points: Tensor) -> Tensor:
        """`forward` for points in furthest point order: the centres are a prefix."""
        batch = points.shape[0]
        first = torch.arange(self.groups, device=points.device).expand(batch, -1)
        return self._embed(points, first)

    def _sample(self, xyz: Tensor) -> Tensor:
        """(B, groups) int64 rows of the centres."""
        return furthest_point_sample(xyz, self.groups)

    @abstractmethod
    def _embed(self, points: Tensor, centres: Tensor) -> Tensor:
        """Points (B, N, 3 or 6) and the rows of their centres (B, G) to (B, embedding_dim)."""


def with_colours(points: Tensor) -> Tensor:
    """(B, N, 6): points (B, N, 3) are made grey, those with colours stay."""
    if points.shape[-1] > 3:
        return points[..., :6]
    return torch.cat([points, torch.full_like(points, GREY)], dim=-1)


def nearest_patches(points: Tensor, centres: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Each centre's nearest points, relative to it, with their colours as they are.

    Args:
        points: (B, N, 3) or (B, N, 6).
        centres: (B, G) int64 rows.

    Returns:
        (B, G, k, 3 or 6) and the centres (B, G, 3).
    """
    xyz = points[..., :3].contiguous()
    at = xyz.gather(1, centres[..., None].expand(-1, -1, 3))
    patches = gather_rows(points.contiguous(), nearest_neighbours(xyz, at, k))
    relative = patches[..., :3] - at[:, :, None]
    return torch.cat([relative, patches[..., 3:]], dim=-1), at
