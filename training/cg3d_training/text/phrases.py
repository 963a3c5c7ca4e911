"""A vocabulary's names in every phrasing, as token ids: what the text encoder learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import TEMPLATES, fill
from cg3d_runtime.text.tokenizer import Tokenizer


class Names(Protocol):
    """Anything with labels and aliases, such as a `Vocabulary`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """(L) names."""

    @property
    def aliases(self) -> tuple[tuple[str, ...], ...]:
        """(L) further names of each."""


@dataclass(frozen=True)
class Phrases:
    """P names in T templates.

    Attributes:
        tokens: (T, P, L) int64 CLIP ids, 0-padded.
        lengths: (T, P) int64, tokens of each text, start and end included.
        rows: (P) int64, the row of the vocabulary that a name stands for.
    """

    tokens: Tensor
    lengths: Tensor
    rows: Tensor


def phrase(
    names: Sequence[str],
    rows: Iterable[int],
    tokenizer: Tokenizer,
    context_length: int,
    templates: Sequence[str] = TEMPLATES,
) -> Phrases:
    """Write names into templates and tokenize them.

    Raises:
        TrainingError: no names.
        VocabularyError: a text is longer than the context.
    """
    if not names:
        raise TrainingError("there are no names to train or evaluate a text encoder with")
    texts = [[fill(template, name) for name in names] for template in templates]
    tokens = torch.stack([torch.from_numpy(tokenizer(row, context_length)) for row in texts])
    lengths = (tokens == tokenizer.end_id).int().argmax(dim=2) + 1
    return Phrases(tokens, lengths, torch.tensor(list(rows)))


def labels_and_aliases(names: Names, rows: Iterable[int]) -> tuple[list[str], list[int]]:
    """The labels of some rows with their aliases, and the row each stands for."""
    pairs = [(n, row) for row in rows for n in (names.labels[row], *names.aliases[row])]
    return [name for name, _ in pairs], [row for _, row in pairs]
