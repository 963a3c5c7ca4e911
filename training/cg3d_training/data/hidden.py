"""Names kept out of training, with all that is nearly the same, to be tested on afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from cg3d_runtime.errors import TrainingError, VocabularyError
from cg3d_training.data.clip_text import Vocabulary, derived_aliases


@dataclass(frozen=True)
class HiddenNames:
    """What a run is not to see.

    Attributes:
        names: labels to be tested on.
        near: for each of them the labels that are kept out with it.
        rows: all of these in the vocabulary.
    """

    names: tuple[str, ...] = ()
    near: tuple[tuple[str, ...], ...] = ()
    rows: frozenset[int] = frozenset()

    def covers(self, rows: Iterable[int]) -> bool:
        """Whether one of an object's vocabulary rows is among them."""
        return not self.rows.isdisjoint(rows)

    def record(self) -> dict[str, Any]:
        """For the record of a run, from which `cg3d-train evaluate` takes the names."""
        return {"names": list(self.names), "near": dict(zip(self.names, self.near, strict=True))}


@cache
def published_splits() -> dict[str, tuple[str, ...]]:
    """The splits that ship with cg3d-sdk, "split-1" to "split-3", ten names each."""
    text = (resources.files("cg3d_training.data") / "hidden.yaml").read_text(encoding="utf-8")
    return {split: tuple(names) for split, names in yaml.safe_load(text).items()}


def hidden_names(vocabulary: Vocabulary, hide: Sequence[str], near: float) -> HiddenNames:
    """Names with their near-synonyms: labels with a wording in common, or with near vectors.

    Args:
        hide: labels, aliases, or the name of a published split.
        near: the least cosine, of centred text vectors, of what is kept out with a name.

    Raises:
        TrainingError: a name that is not in the vocabulary.
    """
    splits = published_splits()
    wanted = [name for entry in hide for name in splits.get(entry, (entry,))]
    try:
        rows = list(dict.fromkeys(vocabulary.index(name) for name in wanted))
    except VocabularyError as error:
        raise TrainingError(f"data.hide: {error}; splits are {', '.join(splits)}") from error
    if not rows:
        return HiddenNames()
    unit = vocabulary.vectors / np.linalg.norm(vocabulary.vectors, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    words = [_wordings(vocabulary, row) for row in range(len(vocabulary.labels))]
    companions = [
        [
            other
            for other, cosine in enumerate(centred @ centred[row])
            if other != row and (cosine >= near or words[other] & words[row])
        ]
        for row in rows
    ]
    return HiddenNames(
        tuple(vocabulary.labels[row] for row in rows),
        tuple(tuple(vocabulary.labels[row] for row in group) for group in companions),
        frozenset(rows).union(*companions),
    )


def _wordings(vocabulary: Vocabulary, row: int) -> set[str]:
    """Everything that a row may be called, "pan" for "pan (for cooking)" too."""
    names = {vocabulary.labels[row], *vocabulary.aliases[row]}
    return names.union(*(derived_aliases(name) for name in names))
