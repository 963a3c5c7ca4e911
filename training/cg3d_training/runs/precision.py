"""Half precision: what runs in it, and how far its gradients are scaled up."""

from __future__ import annotations

import torch

from cg3d_training.config import Precision

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: str) -> torch.autocast:
    """The context that a forward pass runs in.

    Args:
        precision: "fp32" changes nothing.
        device: kind of device, "cpu" or "cuda".
    """
    return torch.autocast(device, _DTYPES.get(precision), enabled=precision in _DTYPES)


def loss_scaler(precision: Precision, device: str) -> torch.amp.GradScaler:
    """What keeps float16's small gradients from vanishing; for the others it does nothing.

    A step whose gradients overflow is left out, and the scale halved.
    """
    return torch.amp.GradScaler(device, enabled=precision == "fp16")
