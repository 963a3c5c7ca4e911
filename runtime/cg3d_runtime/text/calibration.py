"""How far a score can be believed, and whether an object is one that can be named at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.space import unit_rows

#: Rows of a table of quantiles give the 0th, 1st, ... 100th hundredth.
SHARES = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was measured on objects that the encoder had not seen (`cg3d-train calibrate`).

    Everything depends on how many labels there are to choose from, so it was measured for k
    numbers of them; between two it is interpolated over the logarithm, outside it stays.

    The evidence that a cloud can be named is
        embedding . direction + cosine_weight * (its cosine to the nearest label),
    where `direction` tells whole things from pieces, surfaces and lumps whatever the labels are,
    and the cosine tells things that have one of the labels from things that have another name.

    Attributes:
        direction: (d,) float32.
        labels: (k,) numbers of labels, ascending.
        logit_scales: (k,) factors on cosines with which the softmax says how often it is right.
        cosine_weights: (k,).
        quantiles: (k, 101) the evidence that 0, 1, ... 100 % of known objects do not reach.

    Raises:
        InputError: shapes that do not fit each other, numbers that are not finite, or tables that
            do not ascend.
    """

    direction: NDArray[np.float32]
    labels: tuple[int, ...]
    logit_scales: tuple[float, ...]
    cosine_weights: tuple[float, ...]
    quantiles: NDArray[np.float32]

    def __post_init__(self) -> None:
        direction = np.array(self.direction, np.float32)
        quantiles = np.array(self.quantiles, np.float32)
        count = len(self.labels)
        if direction.ndim != 1 or not np.isfinite(direction).all():
            raise InputError(f"direction must be one finite row (d,), not {direction.shape}")
        if not count or len(self.logit_scales) != count or len(self.cosine_weights) != count:
            raise InputError("a calibration needs a logit scale and a weight for each size")
        if self.labels[0] < 1 or list(self.labels) != sorted(set(self.labels)):
            raise InputError(f"numbers of labels must be positive and ascend, not {self.labels}")
        if not np.isfinite(self.cosine_weights).all() or not all(
            np.isfinite(scale) and scale > 0 for scale in self.logit_scales
        ):
            raise InputError("logit scales must be positive numbers, and weights finite")
        if quantiles.shape != (count, len(SHARES)) or not np.isfinite(quantiles).all():
            raise InputError(
                f"quantiles must be finite, of shape ({count}, {len(SHARES)}), not "
                f"{quantiles.shape}"
            )
        if (np.diff(quantiles, axis=1) < 0).any():
            raise InputError("quantiles must not descend")
        for name, array in (("direction", direction), ("quantiles", quantiles)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def logit_scale(self, labels: int) -> float:
        """The factor on cosines for a choice among so many labels."""
        return float(np.exp(self._between(np.log(self.logit_scales), labels)))

    def evidence(self, embeddings: ArrayLike, bank: TextBank) -> NDArray[np.float64]:
        """(n,) evidence that embeddings (n, d) are of things with one of the bank's labels.

        Raises:
            InputError: another shape, or a row that is zero or not finite.
        """
        rows = unit_rows(embeddings, "embeddings")
        if rows.shape[1] != len(self.direction) or bank.vectors.shape[1] != len(self.direction):
            raise InputError(
                f"embeddings have {rows.shape[1]} columns, the text bank {bank.vectors.shape[1]} "
                f"and the calibration {len(self.direction)}: they come from different models"
            )
        # Not BLAS, see TextBank.score.
        nearest = np.einsum("nd,ld->nl", rows, bank.vectors).max(axis=1)
        return self.weighed(np.einsum("nd,d->n", rows, self.direction), nearest, len(bank))

    def weighed(self, along: ArrayLike, nearest: ArrayLike, labels: int) -> NDArray[np.float64]:
        """The evidence of its two parts, (n,) each; see the class."""
        weight = self._between(self.cosine_weights, labels)
        evidence: NDArray[np.float64] = np.asarray(along, np.float64) + weight * np.asarray(nearest)
        return evidence

    def familiarity(self, evidence: ArrayLike, labels: int) -> NDArray[np.float64]:
        """The share of known objects with less evidence, 0 to 1, of the same shape.

        Answering only where it is at least r gives up the share r of what is known.
        """
        row = self._between(self.quantiles.astype(np.float64), labels)
        found: NDArray[np.float64] = np.interp(np.asarray(evidence), row, SHARES)
        return found

    def _between(self, table: ArrayLike, labels: int) -> NDArray[np.float64]:
        """A table (k, ...) at a number of labels."""
        values, sizes = np.asarray(table, np.float64), np.log(self.labels)
        place = float(np.interp(np.log(labels), sizes, np.arange(len(sizes))))
        low = min(int(place), len(sizes) - 1)
        high = min(low + 1, len(sizes) - 1)
        between: NDArray[np.float64] = values[low] + (place - low) * (values[high] - values[low])
        return between
