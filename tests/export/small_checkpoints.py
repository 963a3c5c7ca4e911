"""Checkpoints of small networks with random weights, quick to export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cg3d_runtime.points.prepare import PreprocessSpec, prepare
from cg3d_training.checkpoint import Checkpoint, save_checkpoint
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, encoder_spec
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


def small_mlp(name: str) -> PointEncoder:
    """A PointMLP with its real stages and blocks, few channels, and embeddings that differ.

    Noise on the weights alone makes every cloud's embedding the same, and any graph right. So the
    batch norms take their statistics from clouds, as they would in training.
    """
    torch.manual_seed(0)
    spec = encoder_spec(name)
    reduced = {"points": 128, "width": 8, "neighbours": [8, 8, 8, 8], "embedding_dim": 32}
    encoder = build_encoder(EncoderSpec(spec.architecture, spec.sizes | reduced))
    for parameter in encoder.parameters():
        spread = parameter.std() if parameter.ndim > 1 else 0.3
        parameter.data += 0.3 * spread * torch.randn_like(parameter)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = None  # the mean of what was seen
    with torch.no_grad():
        encoder.train().embed_ordered(torch.from_numpy(ordered_boxes(24, 128, seed=1)))
    return encoder.eval()


def ordered_boxes(count: int, points: int, seed: int) -> np.ndarray:
    """(count, points, 3) float32: boxes, rods and plates, as the encoder sees them on a robot."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.05, 1.0, (count, 1, 3))
    clouds = rng.uniform(-1, 1, (count, 2 * points, 3)) * sizes
    spec = PreprocessSpec(points, 4 * points)
    return np.stack([prepare(cloud, spec, "y").cloud for cloud in clouds])


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
