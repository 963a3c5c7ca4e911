"""Pictures as a teacher in training sees them: read once, then cut, mirrored and lit anew."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cg3d_training.data.samples import decode_view
from cg3d_training.data.shards import ShardFolder
from cg3d_training.data.triplet_set import fit
from cg3d_training.teaching.config import PictureConfig


class Pictures:
    """All pictures of a folder of shards, in memory (a byte a channel and pixel).

    Args:
        shards: the folder.
        size: (height, width) that the model takes.
    """

    def __init__(self, shards: ShardFolder, size: tuple[int, int]) -> None:
        stacks, first = [], [0]
        for sample in tqdm(shards, "pictures", total=len(shards), leave=False, unit="object"):
            for view in sample.views:
                stacks.append((fit(decode_view(view), size) * 255).round().to(torch.uint8))
            first.append(len(stacks))
        self._pixels = torch.stack(stacks)
        self._first = np.array(first[:-1])

    def draw(
        self, rows: NDArray[np.int64], views: NDArray[np.int64], config: PictureConfig,
        generator: torch.Generator,
    ) -> Tensor:  # fmt: skip
        """(B, 3, H, W) float32 in [0, 1]: a view of each object, changed at random.

        Args:
            rows, views: (B,) objects and which of their views.
            config: how much it is changed.
            generator: the only source of randomness.
        """
        chosen = torch.from_numpy(self._first[rows] + views)
        pixels = self._pixels[chosen].float() / 255

        def uniform(low: float, high: float) -> Tensor:
            return torch.rand(len(rows), generator=generator) * (high - low) + low

        side = uniform(*config.crop).sqrt()
        mirrored = torch.where(uniform(0, 1) < config.flip, -1.0, 1.0)
        place = torch.zeros(len(rows), 2, 3)
        place[:, 0, 0], place[:, 1, 1] = side * mirrored, side
        place[:, 0, 2] = uniform(-1, 1) * (1 - side)
        place[:, 1, 2] = uniform(-1, 1) * (1 - side)
        grid = functional.affine_grid(place, list(pixels.shape), align_corners=False)
        cut = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
        return (cut * uniform(*config.light).view(-1, 1, 1, 1)).clamp(0, 1)
