"""The optimiser and the learning rate that a recipe asks for."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import Parameter

from cg3d_training.config import OptimiserConfig


def make_optimiser(
    config: OptimiserConfig, decay: list[Parameter], rest: list[Parameter]
) -> torch.optim.Optimizer:
    """AdamW or SGD; only those in `decay` take weight decay."""
    groups: list[dict[str, Any]] = [
        {"params": decay, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    if config.kind == "sgd":
        # Nesterov's step is not defined without momentum.
        nesterov = config.momentum > 0
        return torch.optim.SGD(groups, config.lr, config.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, config.lr)


def learning_rate(config: OptimiserConfig, epoch: float) -> float:
    """Linear warm-up, then a cosine down to `min_lr`; `epoch` counts in fractions."""
    if epoch < config.warmup_epochs and config.warmup_lr is not None:
        return config.warmup_lr + (config.lr - config.warmup_lr) * epoch / config.warmup_epochs
    if epoch < config.warmup_epochs:
        return config.lr * (epoch + 0.1) / (config.warmup_epochs + 0.1)
    span = max(config.epochs - config.warmup_epochs, 1e-9)
    progress = min(1.0, (epoch - config.warmup_epochs) / span)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))
