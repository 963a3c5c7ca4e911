"""The text encoder's checkpoint: one safetensors file with weights, sizes, names and record."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import cpu_state, read_tensors
from cg3d_training.config import from_dict
from cg3d_training.text.model import TextTower, TextTowerConfig

_FORMAT = "cg3d-text-encoder-1"


@dataclass(frozen=True)
class TextCheckpoint:
    """A trained text encoder and what it has learnt.

    Attributes:
        tower: the encoder, in eval mode.
        labels: (L) the names it was trained on.
        aliases: (L) further names of each, which it knows as well.
        record: provenance: config, seed, epochs, time, versions, evaluation.
    """

    tower: TextTower
    labels: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    record: dict[str, Any]


def save_text_encoder(path: Path, checkpoint: TextCheckpoint) -> None:
    """Write a checkpoint, atomically."""
    about = {
        "tower": dataclasses.asdict(checkpoint.tower.config),
        "labels": checkpoint.labels,
        "aliases": checkpoint.aliases,
        "record": checkpoint.record,
    }
    tensors = {name: value.contiguous() for name, value in cpu_state(checkpoint.tower).items()}
    metadata = {"format": _FORMAT, "about": json.dumps(about, sort_keys=True)}
    replace_file(path, to_bytes(tensors, metadata))


def load_text_encoder(path: Path) -> TextCheckpoint:
    """Read a checkpoint.

    Raises:
        TrainingError: no such file, not a safetensors file, not a text encoder of ours, or
            damaged.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != _FORMAT:
        raise TrainingError(
            f"{path} is not a text encoder of cg3d-train (format {metadata.get('format')!r}, "
            f"expected {_FORMAT!r})"
        )
    try:
        about = json.loads(metadata["about"])
        config = from_dict(TextTowerConfig, about["tower"], where=str(path))
        tower = TextTower(config, torch.nonzero(tensors["rows"]).flatten().tolist())
        tower.load_state_dict(tensors, strict=True)
        labels = tuple(about["labels"])
        aliases = tuple(tuple(names) for names in about["aliases"])
        record = dict(about["record"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise TrainingError(f"{path}: damaged text encoder: {error!r}") from error
    return TextCheckpoint(tower.eval(), labels, aliases, record)
