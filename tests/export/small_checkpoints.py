"""Checkpoints of small networks with random weights, quick to export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cg3d_training.checkpoint import Checkpoint, save_checkpoint
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder
from cg3d_training.losses import text_mean
from cg3d_training.text.checkpoint import TextCheckpoint, save_text_encoder
from cg3d_training.text.evaluate import bank_vectors
from cg3d_training.text.merges import clip_tokenizer
from cg3d_training.text.model import TextTower, TextTowerConfig
from cg3d_training.text.phrases import phrase

SPEC = EncoderSpec(
    "point_transformer",
    {
        "points": 64, "groups": 16, "group_size": 8, "patch_hidden": [16, 32], "patch_dim": 48,
        "width": 64, "depth": 2, "heads": 2, "embedding_dim": 32,
    },
)  # fmt: skip
DIM = 32
LABELS = ("chair", "pan (metal container)", "table lamp")
ALIASES = (("seat",), ("pan",), ())


def small_encoder() -> PointEncoder:
    torch.manual_seed(0)
    encoder = build_encoder(SPEC).eval()
    for parameter in encoder.parameters():  # as uneven as trained weights are
        parameter.data += 0.1 * torch.randn_like(parameter)
    return encoder


def small_tower() -> TextTower:
    torch.manual_seed(1)
    config = TextTowerConfig(
        context_length=24, width=32, layers=1, heads=2, head_width=64, embedding_dim=DIM
    )
    tokens = phrase(LABELS, range(len(LABELS)), clip_tokenizer(), 24).tokens
    # More tokens than the names have, for a table that is worth storing in FP16.
    return TextTower(config, [*np.unique(tokens.numpy()).tolist(), *range(100)]).eval()


def write_text_checkpoint(path: Path) -> Path:
    save_text_encoder(path, TextCheckpoint(small_tower(), LABELS, ALIASES, {"epochs": 0}))
    return path


def write_checkpoint(
    path: Path, encoder: PointEncoder | None = None, mean: torch.Tensor | None = None
) -> Path:
    """A checkpoint of the small encoder, or of another one of its sizes."""
    if mean is None:
        names = TextCheckpoint(small_tower(), LABELS, ALIASES, {})
        mean = text_mean(torch.from_numpy(bank_vectors(names.tower, clip_tokenizer(), names)))
    state = (encoder or small_encoder()).state_dict()
    save_checkpoint(path, Checkpoint(SPEC, state, mean, 14.25, {"seed": 1}, {"objects": 7}))
    return path


def write_clouds(path: Path, count: int = 12) -> Path:
    """Boxes, rods and plates."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0.05, 1.0, (count, 1, 3))
    np.savez(path, points=(rng.uniform(-1, 1, (count, 200, 3)) * sizes).astype(np.float32))
    return path
