"""What the Recognizer gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from cg3d_sdk.timings import NOT_TIMED, Timings

#: The label of what could not be named.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Ranked:
    """A label and its share of the belief.

    Attributes:
        label: the name, spelled as it was asked for.
        score: 0 to 1; over all labels that were to choose from, the scores sum to 1.
    """

    label: str
    score: float


class Ranking(Sequence[Ranked]):
    """Labels with their scores, the best first; of equal scores the earlier label.

    A tuple of `Ranked` in all but its making: with 1,619 labels that takes 1 ms, so they are sorted
    when somebody looks, and made one by one.

    Args:
        labels: L names.
        scores: (L,) float32, kept as it is.
    """

    def __init__(self, labels: tuple[str, ...], scores: NDArray[np.float32]) -> None:
        self._labels = labels
        self._scores = scores

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, place: int) -> Ranked: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Ranked, ...]: ...

    def __getitem__(self, place: int | slice) -> Ranked | tuple[Ranked, ...]:
        if isinstance(place, slice):
            return tuple(self._at(row) for row in self._order[place])
        return self._at(self._order[place])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Ranking, tuple)):
            return tuple(self) == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"<Ranking of {len(self)}: {shown}{', ...' if len(self) > 3 else ''}>"

    def _at(self, row: np.intp) -> Ranked:
        return Ranked(self._labels[row], float(self._scores[row]))

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self._scores, kind="stable")


@dataclass(frozen=True, eq=False)
class Classification:
    """What a cloud was recognised as.

    Attributes:
        label: the best name, or "unknown" where the Recognizer was asked to reject and did.
        score: of the label; 0 for "unknown".
        ranking: every label that was to choose from, the best first, with its score. For an
            unknown object too: what it looks like most.
        embedding: (d,) float32, unit length.
        dropped: rows of the cloud left out because they held NaN or infinity.
        familiarity: 0 to 1, the share of objects that do have one of the labels and look less
            like it; None where the bundle was not calibrated. Answers below `reject` are unknown.
        known: whether the label is a name; False only where the Recognizer was asked to reject.
        timings: where the time went.
    """

    label: str
    score: float
    ranking: Sequence[Ranked]
    embedding: NDArray[np.float32] = field(repr=False)
    dropped: int
    familiarity: float | None = None
    known: bool = True
    timings: Timings = NOT_TIMED

    def to_dict(self, top: int) -> dict[str, Any]:
        """Plain values for JSON: the first `top` of the ranking, without the embedding."""
        return {
            "label": self.label,
            "score": self.score,
            "known": self.known,
            "familiarity": self.familiarity,
            "ranking": [{"label": r.label, "score": r.score} for r in self.ranking[:top]],
            "dropped": self.dropped,
        }
