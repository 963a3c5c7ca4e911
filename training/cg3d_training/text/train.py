"""Training the small text encoder: CLIP's vectors for a closed vocabulary, learnt by heart.

It is a student of CLIP that is never asked anything else, so there is no validation set: what
counts is how exactly it reproduces the vectors it was shown (`evaluate_text_encoder`). How badly
it does for names that it was not shown is measured with `held_out`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.tokenizer import Tokenizer
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.losses import centred_rows, text_mean, unit_rows
from cg3d_training.text.model import TextTower, TextTowerConfig
from cg3d_training.text.phrases import Phrases, labels_and_aliases, phrase


@dataclass(frozen=True)
class TextTrainConfig:
    """How a text encoder is trained.

    Attributes:
        tower: its shape.
        epochs: passes over all labels and aliases, each in one random template a pass.
        batch_size: texts a step.
        lr: peak learning rate of AdamW; a cosine to zero follows the warm-up.
        warmup_steps: steps of linear warm-up.
        clip_norm: the gradient's largest norm.
        norm_weight: weight of the vectors' length in the loss.
        held_out: share of the labels, with their aliases, that are not shown; 0 for use.
        seed: of the weights, the order, the templates and the held out labels.
    """

    tower: TextTowerConfig = field(default_factory=TextTowerConfig)
    epochs: int = 300
    batch_size: int = 128
    lr: float = 4e-3
    warmup_steps: int = 100
    clip_norm: float = 1.0
    norm_weight: float = 1.0
    held_out: float = 0.0
    seed: int = 0


def train_text_encoder(
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    config: TextTrainConfig,
    log: Path | None = None,
) -> TextTower:
    """Train a text encoder on the CPU; the same seed gives the same weights.

    Args:
        vocabulary: names and CLIP's vectors for "a NAME"; every template of a name is taught the
            same vector, and so are its aliases.
        tokenizer: CLIP's.
        config: how.
        log: a JSONL file to write, a line an epoch.

    Returns:
        The encoder, in eval mode.

    Raises:
        TrainingError: a config without sense, or no names to train on.
        VocabularyError: a name does not fit the context length.
    """
    _check(config, vocabulary.vectors.shape[1])
    held_out = set(held_out_rows(vocabulary, config))
    shown = [row for row in range(len(vocabulary.labels)) if row not in held_out]
    names, rows = labels_and_aliases(vocabulary, shown)
    phrases = phrase(names, rows, tokenizer, config.tower.context_length)
    targets = torch.from_numpy(vocabulary.vectors)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        tower = TextTower(config.tower, np.unique(phrases.tokens.numpy()).tolist())
    # Vectors of CLIP are nearly parallel: start from what they share.
    with torch.no_grad():
        tower.output.bias.copy_(targets[shown].mean(dim=0))
    loss_of = _TextLoss(targets, config.norm_weight)
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") if log else nullcontext() as lines:
        _fit(tower, phrases, loss_of, config, lines)
    return tower.eval()


def held_out_rows(vocabulary: Vocabulary, config: TextTrainConfig) -> list[int]:
    """The rows of the labels that a config does not show, by its seed."""
    count = round(config.held_out * len(vocabulary.labels))
    generator = torch.Generator().manual_seed(config.seed)
    return sorted(torch.randperm(len(vocabulary.labels), generator=generator)[:count].tolist())


class _TextLoss:
    """One minus the cosine, raw and in the space of comparison, and the length.

    The mean that is taken off before comparison is nearly all of a raw vector, so errors too
    small for the raw cosine are large in the centred one; both have to be right.
    """

    def __init__(self, targets: Tensor, norm_weight: float) -> None:
        self.mean = text_mean(targets)
        self.units = unit_rows(targets)
        self.centred = centred_rows(targets, self.mean)
        self.norms = targets.norm(dim=1)
        self.norm_weight = norm_weight

    def __call__(self, vectors: Tensor, rows: Tensor) -> Tensor:
        raw = (unit_rows(vectors) * self.units[rows]).sum(dim=1)
        centred = (centred_rows(vectors, self.mean) * self.centred[rows]).sum(dim=1)
        length = vectors.norm(dim=1) / self.norms[rows] - 1
        return torch.mean(2 - raw - centred + self.norm_weight * length.square())


def _fit(
    tower: TextTower,
    phrases: Phrases,
    loss_of: _TextLoss,
    config: TextTrainConfig,
    lines: TextIO | None,
) -> None:
    generator = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.AdamW(
        tower.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0
    )
    steps = config.epochs * math.ceil(len(phrases.rows) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(step, steps, config.warmup_steps)
    )
    started = time.monotonic()
    tower.train()
    epochs = tqdm(range(config.epochs), desc="text encoder", unit="epoch")
    for epoch in epochs:
        losses = []
        for templates, names in _batches(phrases, config.batch_size, generator):
            longest = int(phrases.lengths[templates, names].max())
            vectors = tower(phrases.tokens[templates, names, :longest])
            loss = loss_of(vectors, phrases.rows[names])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(tower.parameters(), config.clip_norm)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        entry = {
            "epoch": epoch,
            "loss": sum(losses) / len(losses),
            "lr": schedule.get_last_lr()[0],
            "seconds": round(time.monotonic() - started, 1),
        }
        epochs.set_postfix(loss=f"{entry['loss']:.4f}")
        if lines:
            lines.write(json.dumps(entry) + "\n")
            lines.flush()


def _batches(
    phrases: Phrases, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every name once, in a random template; texts of like length together, to pad little."""
    count = len(phrases.rows)
    templates = torch.randint(len(phrases.tokens), (count,), generator=generator)
    order = torch.randperm(count, generator=generator)
    lengths = phrases.lengths[templates[order], order]
    batches = torch.split(order[lengths.argsort(stable=True)], size)
    for i in torch.randperm(len(batches), generator=generator).tolist():
        yield templates[batches[i]], batches[i]


def _rate(step: int, steps: int, warmup: int) -> float:
    return min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _check(config: TextTrainConfig, dim: int) -> None:
    if config.epochs < 1 or config.batch_size < 1 or not config.lr > 0:
        raise TrainingError(
            f"a text encoder needs epochs, batch_size and lr above zero, not {config.epochs}, "
            f"{config.batch_size}, {config.lr}"
        )
    if not 0 <= config.held_out < 1:
        raise TrainingError(f"held_out is a share from 0 to below 1, not {config.held_out}")
    if config.tower.embedding_dim != dim:
        raise TrainingError(
            f"the vocabulary's vectors have {dim} columns, the text tower "
            f"{config.tower.embedding_dim}; set embedding_dim"
        )
