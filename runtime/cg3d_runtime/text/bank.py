"""The names a bundle knows, their vectors, and how an embedding is scored against them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.arguments import items
from cg3d_runtime.errors import InputError, VocabularyError
from cg3d_runtime.text.space import unit_rows
from cg3d_runtime.text.templates import normal_name


@dataclass(frozen=True, eq=False)
class TextBank:
    """Labels, their other names, and one unit vector each in the space of comparison.

    Attributes:
        labels: (L) names, as they are shown.
        aliases: (L) further names of each label.
        vectors: (L, d) float32 unit rows, after the text transform (`TextSpace.apply`).
        logit_scale: what a cosine is multiplied by before the softmax; positive.

    Raises:
        VocabularyError: no labels, a label or alias that is empty or no string, or a name that
            stands for two rows (names are compared without case, underscores as blanks).
        InputError: vectors of another shape, not finite, or not unit rows; a bad logit scale.
    """

    labels: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    vectors: NDArray[np.float32]
    logit_scale: float
    _rows: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        labels = tuple(self.labels)
        aliases = tuple(tuple(names) for names in self.aliases)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "aliases", aliases)
        if len(aliases) != len(labels):
            raise VocabularyError(f"{len(labels)} labels, but aliases for {len(aliases)}")
        object.__setattr__(self, "_rows", _rows_by_name(labels, aliases))
        vectors = np.array(self.vectors, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(labels):
            raise InputError(
                f"a text bank of {len(labels)} labels needs vectors of shape ({len(labels)}, d), "
                f"not {vectors.shape}"
            )
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
            raise InputError(
                "the vectors of a text bank must be unit rows; pass raw ones through "
                "TextSpace.apply first"
            )
        if not (np.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise InputError(f"logit_scale must be a positive number, not {self.logit_scale}")
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and normal_name(name) in self._rows

    def index(self, name: str) -> int:
        """The row of a label or alias, whatever its case.

        Raises:
            VocabularyError: the bank does not have it; the nearest names it has are suggested.
        """
        row = self._rows.get(normal_name(_checked_name(name, "a label")))
        if row is None:
            raise VocabularyError(
                f"{name!r} is not among the {len(self)} names of this text bank; "
                f"{self.suggestion(name)}"
            )
        return row

    def nearest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Up to `count` known labels or aliases spelled most like a name, the nearest first."""
        wanted = normal_name(name)
        near = difflib.get_close_matches(wanted, self._rows, n=count, cutoff=0.6)
        # Spelling alone misses "mug" for "mug with a blue handle".
        words = {word for word in wanted.split() if len(word) > 2}
        shared = {known: len(words & set(known.split())) for known in self._rows}
        near += [n for n in sorted(shared, key=shared.__getitem__, reverse=True) if shared[n]]
        return tuple(dict.fromkeys(near))[:count]

    def suggestion(self, name: str) -> str:
        """`nearest` as words for a message."""
        nearest = self.nearest(name)
        return f"nearest: {', '.join(map(repr, nearest))}" if nearest else "nothing in it is near"

    def select(self, names: Iterable[str]) -> TextBank:
        """A bank of these names alone, in this order, spelled as they are given.

        Raises:
            VocabularyError: no names, an unknown one (the nearest are suggested), or two that
                are the same or stand for the same row, which could never be told apart.
        """
        chosen = items("labels", names, "names", VocabularyError)
        if not chosen:
            raise VocabularyError("at least one label is needed; none was given")
        missing = [n for n in chosen if _checked_name(n, "a label") and n not in self]
        if len(missing) > 1:
            shown = [f"{name!r} ({self.suggestion(name)})" for name in missing[:5]]
            raise VocabularyError(
                f"{len(missing)} labels are not among the {len(self)} names of this text bank: "
                + ", ".join(shown + ["..."] * (len(missing) > 5))
            )
        rows = [self.index(name) for name in chosen]
        taken: dict[int, str] = {}
        for name, row in zip(chosen, rows, strict=True):
            if row in taken:
                if taken[row] == name:
                    raise VocabularyError(f"the label {name!r} is given twice")
                raise VocabularyError(
                    f"the labels {taken[row]!r} and {name!r} both stand for "
                    f"{self.labels[row]!r}; keep one of them"
                )
            taken[row] = name
        others = tuple(
            tuple(
                n
                for n in (self.labels[row], *self.aliases[row])
                if normal_name(n) != normal_name(name)
            )
            for name, row in zip(chosen, rows, strict=True)
        )
        return TextBank(chosen, others, self.vectors[rows], self.logit_scale)

    def score(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """Probabilities of every label for embeddings.

        Args:
            embeddings: (n, d) of any float type; their length does not matter.

        Returns:
            (n, L) float32, softmax over the row of logit_scale * cosine.

        Raises:
            InputError: another shape, or a row that is zero or not finite.
        """
        rows = unit_rows(embeddings, "embeddings")
        if rows.shape[1] != self.vectors.shape[1]:
            raise InputError(
                f"embeddings have {rows.shape[1]} columns, the text bank {self.vectors.shape[1]}: "
                "they come from different models"
            )
        # Not BLAS: its threads wait for each other, and on a busy robot 0.1 ms becomes 10 ms.
        logits: NDArray[np.float32] = np.float32(self.logit_scale) * np.einsum(
            "nd,ld->nl", rows, self.vectors
        )
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


def _checked_name(name: object, what: str) -> str:
    if not isinstance(name, str) or not normal_name(name):
        raise VocabularyError(f"{what} must be a string with words in it, not {name!r}")
    return name


def _rows_by_name(labels: Sequence[str], aliases: Sequence[Sequence[str]]) -> dict[str, int]:
    if not labels:
        raise VocabularyError("a text bank needs at least one label")
    rows: dict[str, int] = {}
    for what, groups in (("a label", [[label] for label in labels]), ("an alias", aliases)):
        for row, names in enumerate(groups):
            for name in names:
                key = normal_name(_checked_name(name, what))
                if what == "a label" and key in rows:
                    raise VocabularyError(f"the label {name!r} is given twice")
                if rows.setdefault(key, row) != row:
                    raise VocabularyError(
                        f"{name!r} stands for {labels[rows[key]]!r} and for {labels[row]!r}; a "
                        "name must mean one thing"
                    )
    return rows
