"""Checkpoints: one safetensors file with the encoder, the text mean and how both came to be.

Nothing in a checkpoint is pickled. The metadata holds the encoder's architecture and sizes, the
recipe and the training record as JSON, so a checkpoint explains itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder

_FORMAT = "cg3d-checkpoint-1"
_WEIGHTS = "encoder."
_MEAN = "text_mean"


@dataclass(frozen=True)
class Checkpoint:
    """What an encoder is and was trained for.

    Attributes:
        spec: architecture and sizes.
        state_dict: the encoder's weights.
        text_mean: (d,) float32, taken off unit text vectors before comparison.
        logit_scale: 1 / temperature of the loss.
        recipe: the config of the run.
        record: provenance: data, licences, epochs, seed, time and versions.
    """

    spec: EncoderSpec
    state_dict: dict[str, Tensor]
    text_mean: Tensor
    logit_scale: float
    recipe: dict[str, Any]
    record: dict[str, Any]

    def build(self) -> PointEncoder:
        """The encoder with its weights, in eval mode.

        Raises:
            TrainingError: the weights do not fit the architecture.
        """
        encoder = build_encoder(self.spec)
        try:
            encoder.load_state_dict(self.state_dict, strict=True)
        except RuntimeError as error:
            raise TrainingError(
                f"the checkpoint's weights do not fit {self.spec}: {error}"
            ) from error
        return encoder.eval()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, atomically."""
    tensors = {_WEIGHTS + k: v.contiguous() for k, v in checkpoint.state_dict.items()}
    tensors[_MEAN] = checkpoint.text_mean.contiguous()
    about = {
        "architecture": checkpoint.spec.architecture,
        "sizes": checkpoint.spec.sizes,
        "logit_scale": checkpoint.logit_scale,
        "recipe": checkpoint.recipe,
        "record": checkpoint.record,
    }
    metadata = {"format": _FORMAT, "about": json.dumps(about, sort_keys=True)}
    replace_file(path, to_bytes(tensors, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        TrainingError: no such file, not a safetensors file, or not one of ours.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != _FORMAT:
        raise TrainingError(
            f"{path} is not a checkpoint of cg3d-train (format {metadata.get('format')!r}, "
            f"expected {_FORMAT!r})"
        )
    try:
        about = json.loads(metadata["about"])
        return Checkpoint(
            spec=EncoderSpec(about["architecture"], about["sizes"]),
            state_dict={
                k.removeprefix(_WEIGHTS): v for k, v in tensors.items() if k.startswith(_WEIGHTS)
            },
            text_mean=tensors[_MEAN],
            logit_scale=float(about["logit_scale"]),
            recipe=about["recipe"],
            record=about["record"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{path}: damaged checkpoint metadata: {error!r}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        TrainingError: no such file, or not a safetensors file.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such file")
    try:
        with safe_open(str(path), framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise TrainingError(
            f"{path} is not a safetensors file ({error}). Checkpoints are safetensors; "
            "`cg3d-train import` converts official .pth files."
        ) from error


def cpu_state(module: torch.nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict's tensors, detached and on the CPU."""
    state = module.state_dict() if isinstance(module, torch.nn.Module) else module
    return {key: value.detach().cpu().clone() for key, value in state.items()}
