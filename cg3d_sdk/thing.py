"""What the regions of a scene and the objects of a map share: names, a score, and a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.boxes import Box, axis_aligned_box, oriented_box
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.results import Ranked

#: Names in the ranking of a thing.
_NAMES = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Thing:
    """Something with a place that looks like names.

    Attributes:
        score: 0 to 1. Of an answer: how well it fits the question, beside everything else that it
            may be. Else of its best name.
        ranking: what it looks like, the best five of the Recognizer's labels.
        points: (n, 3) float64, metres, z up.
        centroid: (3,) float64, their mean.
    """

    score: float
    ranking: tuple[Ranked, ...]
    points: NDArray[np.float64] = field(repr=False)
    centroid: NDArray[np.float64]

    @property
    def label(self) -> str:
        """The best name."""
        return self.ranking[0].label

    @cached_property
    def box(self) -> Box:
        """The box along the axes of the points' frame, metres."""
        return axis_aligned_box(self.points)

    @cached_property
    def oriented_box(self) -> Box:
        """The upright box turned about the vertical to the smallest plan, metres."""
        return oriented_box(self.points)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without arrays that grow with the points."""
        box, turned = self.box, self.oriented_box
        return {
            "score": self.score,
            "ranking": [{"label": r.label, "score": r.score} for r in self.ranking],
            "centroid": self.centroid.tolist(),
            "box": {"centre": box.centre.tolist(), "size": box.size.tolist()},
            "oriented_box": {
                "centre": turned.centre.tolist(),
                "size": turned.size.tolist(),
                "yaw": turned.yaw,
            },
        }


def best_names(bank: TextBank, scores: NDArray[np.float32]) -> tuple[Ranked, ...]:
    """The ranking of a thing.

    Args:
        bank: L names.
        scores: (L,) of one thing.
    """
    best = np.argsort(-scores, kind="stable")[:_NAMES]
    return tuple(Ranked(bank.labels[i], float(scores[i])) for i in best)
