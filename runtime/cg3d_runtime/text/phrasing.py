"""What is said of a name, and how the vectors of several phrasings become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.text.space import unit_rows
from cg3d_runtime.text.templates import fill

#: How phrasings are averaged: "unit" as in CLIP's notebook, "raw" the plain mean of the vectors.
Average = Literal["unit", "raw"]


@dataclass(frozen=True)
class Phrasing:
    """The phrasings that a vector of a text bank stands for.

    CG3D asks with one ("This is a {}"), CLIP's notebook with 80 whose vectors are averaged.

    Attributes:
        templates: each with {} once, in the place of the name.
        average: "unit": every vector is made unit, the mean is taken and made unit, as in CLIP's
            notebook; "raw": the mean of the vectors as the text encoder gives them.
    """

    templates: tuple[str, ...] = ("{}",)
    average: Average = "raw"

    def texts(self, name: str) -> tuple[str, ...]:
        """A name in every template, articles fitted to it."""
        return tuple(fill(template, name) for template in self.templates)

    def mean(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of every template to one of each name.

        Args:
            vectors: (n, T, d) raw text vectors, T in the order of the templates.

        Returns:
            (n, d) float32.

        Raises:
            InputError: a vector is zero or not finite.
        """
        if len(self.templates) == 1:
            return vectors[:, 0].astype(np.float32)
        if self.average == "raw":
            plain: NDArray[np.float32] = vectors.mean(axis=1, dtype=np.float64).astype(np.float32)
            return plain
        n, count, width = vectors.shape
        units = unit_rows(vectors.reshape(-1, width), "text vectors").reshape(n, count, width)
        return unit_rows(units.mean(axis=1, dtype=np.float64), "means of text vectors")
