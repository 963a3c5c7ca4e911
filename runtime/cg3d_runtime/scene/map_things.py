"""The things of a map: their ids, and the average of what their views look like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.text.bank import TextBank


@dataclass(eq=False)
class Things:
    """A table with a row for each thing, by ascending ids. Not safe for several threads.

    Attributes:
        ids: (t,) int64; an id is never given twice.
        sums: (t, d) float32 of the views' unit embeddings, each times its quality.
        weight: (t,) float64 sum of these qualities.
        views: (t,) int64 how many were added.
        first, last: (t,) int64 the frames that a thing was found in first and seen in last.
        cuts: (t,) int64 that it has outlived.
        bases: (t,) float64 the height of what it stands on, metres about the map's origin.
        next_id: the id of the next thing.
    """

    ids: NDArray[np.int64]
    sums: NDArray[np.float32]
    weight: NDArray[np.float64]
    views: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    cuts: NDArray[np.int64]
    bases: NDArray[np.float64]
    next_id: int
    _bank: TextBank | None = field(default=None, repr=False)
    _logits: NDArray[np.float32] | None = field(default=None, repr=False)
    _stale: NDArray[np.bool_] | None = field(default=None, repr=False)

    @classmethod
    def none(cls, dim: int) -> Things:
        """No thing yet; `dim` is the size of embeddings."""
        ids, views, first, last, cuts = (np.empty(0, np.int64) for _ in range(5))
        sums, weight, bases = np.empty((0, dim), np.float32), np.empty(0), np.empty(0)
        return cls(ids, sums, weight, views, first, last, cuts, bases, next_id=1)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (
            self.ids, self.sums, self.weight, self.views, self.first, self.last, self.cuts,
            self.bases,
        )  # fmt: skip
        kept = 0 if self._logits is None else self._logits.nbytes
        return sum(array.nbytes for array in arrays) + kept

    def rows(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """(k,) int64 rows of things that are here."""
        return np.searchsorted(self.ids, ids)

    def begin(self, frame: int) -> int:
        """A new thing; its id."""
        id, self.next_id = self.next_id, self.next_id + 1
        self.ids = np.append(self.ids, id)
        self.sums = np.append(self.sums, np.zeros((1, self.sums.shape[1]), np.float32), axis=0)
        self.weight = np.append(self.weight, 0.0)
        self.views, self.cuts = np.append(self.views, 0), np.append(self.cuts, 0)
        self.first, self.last = np.append(self.first, frame), np.append(self.last, frame)
        self.bases = np.append(self.bases, 0.0)
        return id

    def keep(self, ids: NDArray[np.integer]) -> None:
        """Forget all others."""
        rows = np.isin(self.ids, ids)
        if not rows.all():
            self.ids, self.sums, self.weight = self.ids[rows], self.sums[rows], self.weight[rows]
            self.views, self.cuts = self.views[rows], self.cuts[rows]
            self.first, self.last = self.first[rows], self.last[rows]
            self.bases = self.bases[rows]
            if self._logits is not None and self._stale is not None:
                kept = rows[: len(self._stale)]
                self._logits, self._stale = self._logits[kept], self._stale[kept]

    def outlived(self, ids: NDArray[np.integer]) -> None:
        """These came through one more cut."""
        self.cuts[np.isin(self.ids, ids)] += 1

    def stand(self, ids: NDArray[np.integer], bases: NDArray[np.float64]) -> None:
        """What these stand on, (k,) metres about the map's origin."""
        self.bases[self.rows(ids)] = bases

    def look(self, id: int, embedding: NDArray[np.float32], quality: float) -> None:
        """Add a view (d,) to the average of a thing, if it is still here."""
        row = int(np.searchsorted(self.ids, id))
        if row < len(self) and self.ids[row] == id:
            self.sums[row] += np.float32(quality) * embedding
            self.weight[row] += quality
            self.views[row] += 1
            self._outdate(row)

    def forget_views(self, id: int) -> None:
        """Begin the average anew: the thing is not what it was."""
        row = int(np.searchsorted(self.ids, id))
        self.sums[row], self.weight[row], self.views[row] = 0.0, 0.0, 0
        self._outdate(row)

    def _outdate(self, row: int) -> None:
        if self._stale is not None and row < len(self._stale):
            self._stale[row] = True

    def embeddings(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(k, d) float32 unit averages; views that cancel give zeros."""
        own = self.sums[rows]
        length = np.linalg.norm(own, axis=1, keepdims=True)
        return np.asarray(own / np.maximum(length, np.float32(1e-12)))

    def logits(self, rows: NDArray[np.int64], bank: TextBank) -> NDArray[np.float32]:
        """(k, L) float32 logit_scale * cosine to each name of a bank, kept until a view is added.

        Without this a question over hundreds of things would take tens of milliseconds.
        """
        if self._bank is not bank or self._logits is None or self._stale is None:
            self._bank = bank
            self._logits = np.empty((len(self), len(bank)), np.float32)
            self._stale = np.ones(len(self), np.bool_)
        begun = len(self) - len(self._stale)  # ids ascend, so new things are the last rows
        if begun:
            self._logits = np.append(self._logits, np.empty((begun, len(bank)), np.float32), axis=0)
            self._stale = np.append(self._stale, np.ones(begun, np.bool_))
        new = rows[self._stale[rows]]
        if len(new):
            # Not BLAS, as in TextBank.score.
            cosines = np.einsum("nd,ld->nl", self.embeddings(new), bank.vectors)
            self._logits[new] = np.float32(bank.logit_scale) * cosines
            self._stale[new] = False
        kept: NDArray[np.float32] = self._logits[rows]
        return kept
