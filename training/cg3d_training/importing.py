"""Checkpoint files of the official repository (.pth) to our checkpoints."""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_sdk.version import __version__
from cg3d_training.checkpoint import Checkpoint, cpu_state
from cg3d_training.encoders.official import load_official_spec
from cg3d_training.torch_file import is_plain, read_torch_file


def import_official(path: Path, logit_scale: float) -> Checkpoint:
    """An official checkpoint, pre-trained or fine-tuned, as one of ours.

    Args:
        path: the .pth file; its `base_model` is read.
        logit_scale: factor of the cosines in scores. The file does not hold that of SLIP, which
            it was trained with; CLIP's is usually 100.

    Returns:
        The checkpoint. Its text mean is zero: official encoders were trained against text vectors
        as they are. Its record says which file it came from.

    Raises:
        TrainingError: the file cannot be read safely, or it holds no official encoder.
    """
    if not (math.isfinite(logit_scale) and logit_scale > 0):
        raise TrainingError(f"logit_scale must be a number above zero, not {logit_scale}")
    content = read_torch_file(path, allow=[argparse.Namespace])
    if not isinstance(content, dict):
        raise TrainingError(f"{path}: holds a {type(content).__name__}, not a checkpoint's dict")
    try:
        spec, encoder = load_official_spec(_base_model(content))
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from error
    head_only = bool(spec.sizes["head_only"])
    source = {
        "file": path.name,
        "sha256": _sha256(path),
        "layout": "fine-tuned" if head_only else "pre-trained",
        "epoch": _number(content.get("epoch")),
        "metrics": _numbers(content.get("metrics")),
    }
    return Checkpoint(
        spec=spec,
        state_dict=cpu_state(encoder),
        text_mean=torch.zeros(encoder.embedding_dim),
        logit_scale=logit_scale,
        recipe={},
        record={"imported": source, "cg3d_sdk": __version__, "torch": str(torch.__version__)},
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _base_model(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The 3D encoder's weights out of a checkpoint."""
    state = content.get("base_model")
    if not isinstance(state, dict):
        raise TrainingError(
            "there is no 'base_model', where official checkpoints keep the 3D encoder; there are: "
            f"{', '.join(sorted(map(str, content))[:10]) or 'no keys'}"
        )
    for key, value in state.items():
        if not isinstance(key, str) or not is_plain(value):
            raise TrainingError(f"'base_model' holds {key!r:.80}, which is not a plain tensor")
    return state


def _numbers(values: object) -> dict[str, float]:
    """The numbers in a dict of metrics."""
    found = {str(k): _number(v) for k, v in values.items()} if isinstance(values, dict) else {}
    return {key: value for key, value in found.items() if value is not None}


def _number(value: object) -> float | None:
    """A number that JSON has, also one in a tensor."""
    if is_plain(value) and value.numel() == 1:
        value = value.item()
    if isinstance(value, (int, float)) and abs(value) < 1e300:
        return value
    return None
