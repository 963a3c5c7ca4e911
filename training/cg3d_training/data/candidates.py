"""Clouds for fine-tuning: another random part of a cloud's furthest points at every visit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import furthest_point_order, unit_sphere


class Candidates:
    """The first furthest points of every cloud, more of them than the encoder takes.

    The official code samples 1200 points on the GPU at every visit and takes 1024 of them. They
    are the same 1200 every time, so here they are sampled once.

    Args:
        clouds: (n, N, 3) float32, y up.
        points: what the encoder takes.
        candidates: what it is drawn from, at least as many.
        what: for the progress bar.

    Raises:
        TrainingError: too few candidates, or a cloud without extent or with a NaN.
    """

    def __init__(
        self, clouds: NDArray[np.float32], points: int, candidates: int, what: str
    ) -> None:
        if candidates < points:
            raise TrainingError(
                f"data.candidates is {candidates}, but the encoder takes {points} points"
            )
        self.points = points
        self._xyz = np.empty((len(clouds), candidates, 3), np.float32)
        for i, cloud in enumerate(tqdm(clouds, what, unit="cloud", leave=False)):
            if not (np.isfinite(cloud).all() and np.ptp(cloud, axis=0).any()):
                raise TrainingError(f"{what}: cloud {i} is one point, or has a NaN")
            sphere = unit_sphere(cloud).xyz
            self._xyz[i] = sphere[furthest_point_order(sphere, candidates)]

    def __len__(self) -> int:
        return len(self._xyz)

    def first(self, rows: NDArray[np.int64]) -> Tensor:
        """(B, points, 3) float32 in furthest point order, the same at every call."""
        return torch.from_numpy(self._xyz[rows, : self.points])

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """(B, points, 3) float32 in random order, drawn without replacement."""
        keys = rng.random((len(rows), self._xyz.shape[1]))
        chosen = keys.argsort(axis=1)[:, : self.points]
        return torch.from_numpy(self._xyz[rows[:, None], chosen])
