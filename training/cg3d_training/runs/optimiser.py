"""The optimiser and the learning rate that a recipe asks for."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import Parameter

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import OptimiserConfig

#: A matrix with fewer rows or columns is a handful of vectors, which AdamW moves.
_NARROWEST = 16


def make_optimiser(
    config: OptimiserConfig, decay: list[Parameter], rest: list[Parameter]
) -> torch.optim.Optimizer:
    """What the recipe names; only those in `decay` take weight decay.

    A group's `lr` is that of the recipe times its `factor`.

    Raises:
        TrainingError: Muon is asked for, and there is no matrix to move.
    """
    if config.kind == "muon":
        return _Muon(config, decay, rest)
    groups: list[dict[str, Any]] = [
        {"params": decay, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    if config.kind == "sgd":
        # Nesterov's step is not defined without momentum.
        nesterov = config.momentum > 0
        return torch.optim.SGD(groups, config.lr, config.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, config.lr)


class _Muon(torch.optim.Optimizer):
    """Muon for the matrices, AdamW for everything else, as one optimiser.

    Both shrink their weights alike in a step. A convolution's kernels count as no matrix.
    """

    def __init__(
        self, config: OptimiserConfig, decay: list[Parameter], rest: list[Parameter]
    ) -> None:
        if config.lr <= 0:
            raise TrainingError(
                f"optimiser.lr is {config.lr}; optimiser.kind=muon needs one above 0"
            )
        factor = config.matrix_lr / config.lr
        matrices = [p for p in decay if p.ndim == 2 and min(p.shape) >= _NARROWEST]
        others = [p for p in decay if p.ndim != 2 or min(p.shape) < _NARROWEST]
        if not matrices:
            raise TrainingError(
                "optimiser.kind=muon moves matrices, and this network has none: its weights are "
                f"kernels of convolutions, or narrower than {_NARROWEST}. Set optimiser.kind=adamw"
            )
        muon = torch.optim.Muon(
            matrices, config.matrix_lr, config.weight_decay / factor, adjust_lr_fn="original"
        )
        groups: list[dict[str, Any]] = [
            {"params": others, "weight_decay": config.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        adamw = torch.optim.AdamW(groups, config.lr)
        muon.param_groups[0]["factor"] = factor
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        # The very groups and states of the two, so that rates and a resumed state reach them.
        self._parts = muon, adamw
        for part, own in ((muon, self.param_groups[:1]), (adamw, self.param_groups[1:])):
            part.param_groups, part.state = own, self.state

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of each."""
        for part in self._parts:
            part.step()  # type: ignore[no-untyped-call]


def learning_rate(config: OptimiserConfig, epoch: float) -> float:
    """Linear warm-up, then a cosine down to `min_lr`; `epoch` counts in fractions."""
    if epoch < config.warmup_epochs and config.warmup_lr is not None:
        return config.warmup_lr + (config.lr - config.warmup_lr) * epoch / config.warmup_epochs
    if epoch < config.warmup_epochs:
        return config.lr * (epoch + 0.1) / (config.warmup_epochs + 0.1)
    span = max(config.epochs - config.warmup_epochs, 1e-9)
    progress = min(1.0, (epoch - config.warmup_epochs) / span)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))
