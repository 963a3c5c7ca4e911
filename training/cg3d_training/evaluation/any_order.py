"""Clouds for encoders that were trained on points drawn at random: the peers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cg3d_runtime.points import Up, as_points, unit_sphere, upright
from cg3d_training.encoders import PointEncoder
from cg3d_training.losses import unit_rows

#: Clouds at once; patches of the largest peers take 100 MB for each.
_BATCH = 4


def random_points(
    cloud: NDArray[np.floating], encoder: PointEncoder, up: Up
) -> NDArray[np.float32]:
    """As many points as there are, at most what the encoder was trained on; seed 0.

    Repeats fill clouds of fewer points than it has patches.

    Args:
        cloud: (n, 3), or (n, 6) with colours in [0, 1].

    Returns:
        (m, 3) or (m, 6) float32, y up, in the unit sphere.

    Raises:
        InputError: no usable cloud.
    """
    checked = as_points(cloud)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(checked.xyz))[: encoder.points]
    if len(chosen) < encoder.fewest_points:
        chosen = np.resize(chosen, encoder.fewest_points)
    xyz = unit_sphere(upright(checked.xyz[chosen], up)).xyz
    if cloud.shape[1] < 6 or checked.dropped:
        return xyz
    return np.concatenate([xyz, cloud[chosen, 3:6].astype(np.float32)], axis=1)


@torch.inference_mode()
def embed_any_order(
    encoder: PointEncoder, clouds: Sequence[NDArray[np.floating]], up: Up, device: str = "cpu"
) -> NDArray[np.float32]:
    """(n, d) float32 unit rows of clouds (m, 3) or (m, 6), each with its own number of points."""
    ready = [random_points(cloud, encoder, up) for cloud in clouds]
    rows = np.empty((len(ready), encoder.embedding_dim), np.float32)
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, cloud in enumerate(ready):
        shapes.setdefault(cloud.shape, []).append(i)
    for same in shapes.values():
        for start in range(0, len(same), _BATCH):
            batch = same[start : start + _BATCH]
            points = torch.from_numpy(np.stack([ready[i] for i in batch])).to(device)
            rows[batch] = unit_rows(encoder(points)).cpu().numpy()
    return rows
