"""Zero-shot accuracy while training: held-out objects against the vectors of names."""

from __future__ import annotations

import torch
from torch import Tensor

from cg3d_training.encoders import PointEncoder
from cg3d_training.losses import unit_rows

_AT_ONCE = 64


@torch.no_grad()
def zero_shot(
    encoder: PointEncoder, points: Tensor, anchors: Tensor, own: Tensor
) -> dict[str, float]:
    """How often the best name, and one of the best five, is an object's own.

    Nothing is drawn at random, so a run trains the same with and without it.

    Args:
        encoder: in eval mode, on any device.
        points: (n, N, 3) float32 on the CPU, in furthest point order.
        anchors: (L, d) unit rows, the names.
        own: (n, L), not 0 where a name is the object's.

    Returns:
        "validation" and "validation_top5", shares of the objects.
    """
    device = next(encoder.parameters()).device
    anchors, hits = anchors.to(device), []
    parts = zip(torch.split(points, _AT_ONCE), torch.split(own, _AT_ONCE), strict=True)
    for cloud, right in parts:
        scores = unit_rows(encoder.embed_ordered(cloud.to(device)).float()) @ anchors.T
        best = scores.topk(min(5, len(anchors)), dim=1).indices
        hits.append(right.to(device).bool().gather(1, best))
    found = torch.cat(hits).cpu()
    return {
        "validation": float(found[:, 0].float().mean()),
        "validation_top5": float(found.any(dim=1).float().mean()),
    }
