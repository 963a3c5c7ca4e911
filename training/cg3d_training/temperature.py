"""The temperature of the contrastive losses: fixed, or learnt as CLIP learns it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError

#: Cosines are multiplied by at most this.
LARGEST_SCALE = 100.0


def check_temperature(temperature: float, learnt: bool) -> None:
    """Refuse a temperature that divides by zero, or that cannot be learnt from there.

    Raises:
        TrainingError: it is out of bounds.
    """
    if temperature <= 0:
        raise TrainingError(f"loss.temperature is {temperature}; it should be above 0")
    if learnt and not 1.0 / LARGEST_SCALE <= temperature <= 1.0:
        raise TrainingError(
            f"loss.temperature is {temperature}, and a learnt one stays from {1 / LARGEST_SCALE} "
            "to 1: begin within, or set loss.learn_temperature to false"
        )


class Temperature(nn.Module):
    """tau, a plain number where it is fixed, and a parameter where it is learnt.

    What is learnt is the logarithm of 1 / tau, kept from 0 to ln 100 (Radford et al. 2021,
    "Learning Transferable Visual Models From Natural Language Supervision", section 2.5; the lower
    bound is open_clip's).

    Args:
        start: tau, or where it begins; a learnt one begins within its bounds.
        learnt: whether it takes gradients.
    """

    def __init__(self, start: float, learnt: bool = False) -> None:
        super().__init__()
        self._start = start
        self.log_scale = nn.Parameter(torch.tensor(-math.log(start))) if learnt else None
        self.clamp()

    def forward(self) -> Tensor | float:
        """tau, to divide cosines by: a () tensor with its gradient, or a number."""
        return self._start if self.log_scale is None else torch.exp(-self.log_scale)

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring it back within its bounds; to be called after every update."""
        if self.log_scale is not None:
            self.log_scale.clamp_(0.0, math.log(LARGEST_SCALE))

    def value(self) -> float:
        """tau as a number."""
        return self._start if self.log_scale is None else math.exp(-self.log_scale.item())
