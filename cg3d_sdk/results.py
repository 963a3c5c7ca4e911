"""What the Recognizer gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """

    label: str
    score: float
    ranking: tuple[Ranked, ...]
    embedding: NDArray[np.float32]
    dropped: int
    familiarity: float | None = None
    known: bool = True

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
