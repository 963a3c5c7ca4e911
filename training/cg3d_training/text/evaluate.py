"""How near the small text encoder comes to CLIP, and the bank of vectors it ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import TEMPLATES
from cg3d_runtime.text.tokenizer import Tokenizer
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.losses import centred_rows, text_mean, unit_rows
from cg3d_training.text.model import TextTower
from cg3d_training.text.phrases import Names, phrase

# Some names of the word lists are misspelled twins ("mushroon") with the vector of the right one.
_SAME_VECTOR = 0.9999


@dataclass(frozen=True)
class TextScores:
    """Vectors of the encoder against CLIP's.

    Attributes:
        texts: how many were compared.
        cosine: mean cosine of the raw vectors.
        worst_cosine: the lowest.
        centred_cosine: mean cosine in the space of comparison (unit, minus CLIP's mean, unit).
        worst_centred_cosine: the lowest.
        top1: share of texts whose nearest CLIP vector, of the whole vocabulary and in the space
            of comparison, is that of their own name (or of another name with the same vector).
    """

    texts: int
    cosine: float
    worst_cosine: float
    centred_cosine: float
    worst_centred_cosine: float
    top1: float


@dataclass(frozen=True)
class TextReport:
    """What `evaluate_text_encoder` found.

    Attributes:
        overall: every label in every template.
        templates: the labels, template by template.
        aliases: every alias in every template; None where there are none.
        bank: the vectors of `bank_vectors`, a label each.
    """

    overall: TextScores
    templates: dict[str, TextScores]
    aliases: TextScores | None
    bank: TextScores


def evaluate_text_encoder(
    tower: TextTower,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    rows: Sequence[int] | None = None,
) -> TextReport:
    """Compare the encoder's vectors with CLIP's.

    Args:
        tower: the encoder.
        tokenizer: CLIP's.
        vocabulary: names and CLIP's vectors for them.
        rows: the labels to ask for, all of them by default; they are ranked among all.
    """
    asked = list(range(len(vocabulary.labels))) if rows is None else list(rows)
    anchors = torch.from_numpy(vocabulary.vectors)
    labels = [vocabulary.labels[row] for row in asked]
    vectors = _in_templates(tower, tokenizer, labels)
    targets = torch.tensor(asked)
    aliases = [(alias, row) for row in asked for alias in vocabulary.aliases[row]]
    alias_scores = None
    if aliases:
        named = _in_templates(tower, tokenizer, [alias for alias, _ in aliases])
        alias_rows = torch.tensor([row for _, row in aliases]).repeat(len(TEMPLATES))
        alias_scores = _scores(named.flatten(0, 1), alias_rows, anchors)
    return TextReport(
        overall=_scores(vectors.flatten(0, 1), targets.repeat(len(TEMPLATES)), anchors),
        templates={
            template: _scores(vectors[i], targets, anchors) for i, template in enumerate(TEMPLATES)
        },
        aliases=alias_scores,
        bank=_scores(vectors.mean(dim=0), targets, anchors),
    )


def bank_vectors(tower: TextTower, tokenizer: Tokenizer, names: Names) -> NDArray[np.float32]:
    """The raw vectors that a bundle ships for the labels of a vocabulary or a checkpoint.

    The mean over the templates: it is nearer to CLIP's than any single phrasing.

    Returns:
        (L, d) float32, not normalised, in the order of the labels.

    Raises:
        TrainingError: a label holds a token that the encoder has not learnt.
    """
    known = set(tower.known_tokens)
    for label in names.labels:
        if not known.issuperset(tokenizer.encode(label)):
            raise TrainingError(
                f"the text encoder has not learnt all tokens of {label!r}; train one for this "
                "vocabulary with: cg3d-train text"
            )
    vectors: NDArray[Any] = _in_templates(tower, tokenizer, names.labels).mean(dim=0).numpy()
    return vectors


@torch.no_grad()
def _in_templates(tower: TextTower, tokenizer: Tokenizer, names: Sequence[str]) -> Tensor:
    """(T, P, d): every name in every template."""
    phrases = phrase(names, range(len(names)), tokenizer, tower.config.context_length)
    tower.eval()
    texts = phrases.tokens[:, :, : int(phrases.lengths.max())].flatten(0, 1)
    vectors = torch.cat([tower(part) for part in torch.split(texts, 512)])
    return torch.reshape(vectors, (len(TEMPLATES), len(names), -1))


def _scores(vectors: Tensor, rows: Tensor, anchors: Tensor) -> TextScores:
    mean = text_mean(anchors)
    centred_anchors = centred_rows(anchors, mean)
    centred = centred_rows(vectors, mean)
    cosine = (unit_rows(vectors) * unit_rows(anchors)[rows]).sum(dim=1)
    centred_cosine = (centred * centred_anchors[rows]).sum(dim=1)
    best = (centred @ centred_anchors.T).argmax(dim=1)
    same = (centred_anchors[best] * centred_anchors[rows]).sum(dim=1) > _SAME_VECTOR
    return TextScores(
        texts=len(vectors),
        cosine=cosine.mean().item(),
        worst_cosine=cosine.min().item(),
        centred_cosine=centred_cosine.mean().item(),
        worst_centred_cosine=centred_cosine.min().item(),
        top1=((best == rows) | same).float().mean().item(),
    )
