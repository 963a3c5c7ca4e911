"""Logits of test clouds: of each cloud as it is, or the mean over several views of it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_training.data.augment import augment
from cg3d_training.data.candidates import Candidates
from cg3d_training.encoders import PointEncoder
from cg3d_training.finetuning.config import VotingConfig

_BATCH = 64


@torch.no_grad()
def plain_logits(network: PointEncoder, clouds: Candidates) -> NDArray[np.float32]:
    """(n, C) float32, from the furthest points of every cloud, without chance."""
    device = next(network.parameters()).device
    parts = [network.embed_ordered(clouds.first(rows).to(device)) for rows in _batches(clouds)]
    return torch.cat(parts).float().cpu().numpy()


@torch.no_grad()
def voted_logits(
    network: PointEncoder, clouds: Candidates, voting: VotingConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(n, C) float32, the mean over views: points drawn anew and augmented, as officially."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    views = []
    for _ in tqdm(range(voting.views), "votes", unit="view", leave=False):
        parts = []
        for rows in _batches(clouds):
            points = augment(clouds.draw(rows, rng), voting.augmentation, generator)
            parts.append(network(points.to(device)).float().cpu())
        views.append(torch.cat(parts))
    return torch.stack(views).mean(dim=0).numpy()


def _batches(clouds: Candidates) -> list[NDArray[np.int64]]:
    return [np.arange(i, min(i + _BATCH, len(clouds))) for i in range(0, len(clouds), _BATCH)]
