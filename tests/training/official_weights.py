"""Stand-ins for the released weights, in the exact official layouts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch


def official_weights(shared: Path, model: str) -> dict[str, torch.Tensor]:
    """The state dict of one of the networks in ../shared/parity/keys.json."""
    spec = importlib.util.spec_from_file_location("weights", shared / "parity" / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["weights"] = module
    spec.loader.exec_module(module)
    return {key: torch.from_numpy(value) for key, value in module.state_dict(model, 1).items()}
