"""The randomness of an epoch, from the seed and its number, and where it stands within it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cg3d_training.runs.distributed import World, gather_states


class EpochDraws:
    """All randomness of one epoch.

    Attributes:
        numpy: draws the order of the objects and their samples.
        torch: draws the augmentation.

    Both are the same in every process. Stochastic depth draws from torch's own generator, which
    each process seeds for itself; a GPU has another one.
    """

    def __init__(self, seed: int, epoch: int, world: World, device: torch.device) -> None:
        self.numpy = np.random.default_rng([seed, epoch])
        self.torch = torch.Generator().manual_seed(int(self.numpy.integers(2**62)))
        torch.manual_seed(int(self.numpy.integers(2**62)) + world.rank)
        self._world, self._device = world, device

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What it takes to go on from here: plain values and tensors. All processes call it."""
        tensors = {
            "torch": self.torch.get_state(),
            "own": gather_states(torch.get_rng_state(), self._world),
        }
        if self._device.type == "cuda":
            tensors["gpu"] = gather_states(torch.cuda.get_rng_state(self._device), self._world)
        return dict(self.numpy.bit_generator.state), tensors

    def restore(self, plain: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from a state."""
        self.numpy.bit_generator.state = plain
        self.torch.set_state(tensors["torch"])
        # Cloned, for torch reads a generator's state from where its storage begins: a row of a
        # matrix is that of another process to it.
        torch.set_rng_state(tensors["own"][self._world.rank].clone())
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(tensors["gpu"][self._world.rank].clone(), self._device)
