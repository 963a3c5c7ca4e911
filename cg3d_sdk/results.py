"""What the Recognizer gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        label: the best name; score: its score.
        ranking: every label that was to choose from, the best first.
        embedding: (d,) float32, unit length.
        dropped: rows of the cloud left out because they held NaN or infinity.
    """

    label: str
    score: float
    ranking: tuple[Ranked, ...]
    embedding: NDArray[np.float32]
    dropped: int

    def to_dict(self, top: int) -> dict[str, Any]:
        """Plain values for JSON: the first `top` of the ranking, without the embedding."""
        return {
            "label": self.label,
            "score": self.score,
            "ranking": [{"label": r.label, "score": r.score} for r in self.ranking[:top]],
            "dropped": self.dropped,
        }
