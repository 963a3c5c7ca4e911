"""Checkpoint files of the official repository and of other projects to our checkpoints."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cg3d_runtime.bundle.disk import sha256_of
from cg3d_runtime.errors import TrainingError
from cg3d_sdk.version import __version__
from cg3d_training.checkpoint import Checkpoint, cpu_state, read_tensors
from cg3d_training.encoders import EncoderSpec, PointEncoder
from cg3d_training.encoders.official import load_official_spec
from cg3d_training.encoders.peers import load_peer
from cg3d_training.torch_file import is_plain, read_torch_file

#: Factor of the cosines in scores where a file does not say: CLIP's usual value.
USUAL_SCALE = 100.0

#: Where checkpoints keep the weights: OpenShape and ULIP, DeepSpeed (Uni3D).
_HOLDERS = ("state_dict", "module")


def import_checkpoint(path: Path, logit_scale: float | None = None) -> Checkpoint:
    """A checkpoint of the official CG3D, of ULIP, OpenShape or Uni3D as one of ours.

    Args:
        path: a .pth or .pt file, or .safetensors with the published names.
        logit_scale: factor of the cosines in scores; by default what the file says, else 100.
            Official CG3D files do not hold that of SLIP, which they were trained with.

    Returns:
        The checkpoint. Its text mean is zero: these encoders were trained against text vectors
        as they are. Its record says which file it came from.

    Raises:
        TrainingError: the file cannot be read safely, or it holds no encoder that is known here.
    """
    if logit_scale is not None and not (math.isfinite(logit_scale) and logit_scale > 0):
        raise TrainingError(f"logit_scale must be a number above zero, not {logit_scale}")
    if path.suffix == ".safetensors":
        content: object = read_tensors(path)[0]
    else:
        content = read_torch_file(path, allow=[argparse.Namespace])
    if not isinstance(content, dict):
        raise TrainingError(f"{path}: holds a {type(content).__name__}, not a checkpoint's dict")
    try:
        if "base_model" in content:
            return _official(path, content, logit_scale)
        return _peer(path, content, logit_scale)
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from error


def _official(path: Path, content: Mapping[str, Any], logit_scale: float | None) -> Checkpoint:
    spec, encoder = load_official_spec(_base_model(content))
    source = {
        "file": path.name,
        "sha256": sha256_of(path),
        "layout": "fine-tuned" if spec.sizes["head_only"] else "pre-trained",
        "epoch": _number(content.get("epoch")),
        "metrics": _numbers(content.get("metrics")),
    }
    return _checkpoint(spec, encoder, logit_scale or USUAL_SCALE, source)


def _peer(path: Path, content: Mapping[str, Any], logit_scale: float | None) -> Checkpoint:
    held = next((content[key] for key in _HOLDERS if isinstance(content.get(key), dict)), content)
    state = {key: value for key, value in held.items() if isinstance(key, str) and is_plain(value)}
    if not state:
        raise TrainingError(
            "there is neither a 'base_model', where official checkpoints keep the 3D encoder, nor "
            "a dict of tensors by name; there are: "
            f"{', '.join(sorted(map(str, content))[:10]) or 'no keys'}"
        )
    peer = load_peer(state)
    source = {
        "file": path.name,
        "sha256": sha256_of(path),
        "layout": peer.name,
        "config": peer.config,
        "epoch": _number(content.get("epoch")),
    }
    scale = logit_scale or peer.logit_scale or USUAL_SCALE
    return _checkpoint(peer.spec, peer.encoder, scale, source)


def _checkpoint(
    spec: EncoderSpec, encoder: PointEncoder, logit_scale: float, source: dict[str, Any]
) -> Checkpoint:
    return Checkpoint(
        spec=spec,
        state_dict=cpu_state(encoder),
        text_mean=torch.zeros(encoder.embedding_dim),
        logit_scale=logit_scale,
        recipe={},
        record={"imported": source, "cg3d_sdk": __version__, "torch": str(torch.__version__)},
    )


def _base_model(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The 3D encoder's weights out of a checkpoint."""
    state = content["base_model"]
    if not isinstance(state, dict):
        raise TrainingError(f"'base_model' is a {type(state).__name__}, not a dict of tensors")
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
