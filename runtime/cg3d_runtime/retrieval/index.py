"""The exact index: every query against every vector, in numpy."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.arguments import whole
from cg3d_runtime.errors import InputError, short
from cg3d_runtime.retrieval.entries import (
    check_search,
    checked_ids,
    checked_metadata,
    checked_vectors,
    fits,
)
from cg3d_runtime.retrieval.files import open_files, save_files
from cg3d_runtime.retrieval.protocol import Hit, Origin, Where

#: Rows and queries of one product: 4 MB of scores, whatever the size of the index.
_ROWS, _QUERIES = 16384, 64

#: Twice what a product of two FP32 unit vectors can be off by; nearer rows are compared in FP64.
_MARGIN = 1e-4


class ExactIndex:
    """Unit vectors in memory or in a mapped file, with ids and metadata; a `VectorIndex`.

    Scores are computed in FP64 and rounded to FP32, so that neither the order of adding nor the
    processor changes an answer. 100,000 shapes of 512 numbers take 0.2 GB. Safe to use from
    several threads at once.

    Args:
        dim: d, the length of a vector.
        origin: the encoder that the vectors come from.

    Raises:
        InputError: `dim` is below 1.
    """

    def __init__(self, dim: int, origin: Origin) -> None:
        self._origin = origin
        self._vectors: NDArray[np.float32] = np.empty((0, whole("dim", dim)), np.float32)
        self._ids: list[str] = []
        self._metadata: list[dict[str, Any]] = []
        self._rows: dict[str, int] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(cls, folder: str | Path) -> ExactIndex:
        """Open what `save` wrote; the vectors stay in their file until they are searched.

        Raises:
            InputError: no index, a damaged one, or one of another version.
        """
        files = open_files(Path(folder))
        index = cls(files.vectors.shape[1], files.origin)
        index._vectors, index._ids, index._metadata = files.vectors, files.ids, files.metadata
        index._rows = {id: row for row, id in enumerate(files.ids)}
        return index

    def save(self, folder: str | Path) -> None:
        """Write the index to a folder: a kill at any moment leaves the old one or the new one.

        Raises:
            InputError: the folder holds something else, or the disk refused.
        """
        with self._lock:
            vectors = self._vectors[: len(self._ids)]
            save_files(Path(folder), self._ids, self._metadata, vectors, self._origin)

    @property
    def origin(self) -> Origin:
        """See `VectorIndex.origin`."""
        return self._origin

    @property
    def dim(self) -> int:
        """See `VectorIndex.dim`."""
        return int(self._vectors.shape[1])

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all shapes, in no promised order."""
        with self._lock:
            return tuple(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id: object) -> bool:
        return id in self._rows

    def vectors(self, ids: Iterable[str]) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of these shapes.

        Raises:
            InputError: an id is not there.
        """
        with self._lock:
            return np.array(self._vectors[[self._row(id) for id in ids]])

    def add(
        self,
        ids: Sequence[str],
        vectors: ArrayLike,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """See `VectorIndex.add`."""
        names = checked_ids(ids)
        rows = checked_vectors(vectors, self.dim, len(names))
        entries = checked_metadata(metadata, len(names))
        with self._lock:
            known = [id for id in names if id in self._rows]
            if known and not replace:
                raise InputError(
                    f"the id {short(known[0])} is in the index already; use replace=True to "
                    "replace it"
                )
            self._reserve(len(self._ids) + len(names) - len(known))
            for id, entry in zip(names, entries, strict=True):
                if id not in self._rows:
                    self._rows[id] = len(self._ids)
                    self._ids.append(id)
                    self._metadata.append({})
                self._metadata[self._rows[id]] = entry
            self._vectors[[self._rows[id] for id in names]] = rows

    def remove(self, ids: Iterable[str]) -> None:
        """See `VectorIndex.remove`."""
        names = checked_ids(ids)
        with self._lock:
            for id in names:
                self._row(id)
            self._reserve(len(self._ids))
            for id in names:  # the last row moves into the gap, since order means nothing
                row, last = self._rows.pop(id), len(self._ids) - 1
                moved, entry = self._ids.pop(), self._metadata.pop()
                if row != last:
                    self._ids[row], self._metadata[row], self._rows[moved] = moved, entry, row
                    self._vectors[row] = self._vectors[last]

    def search(
        self, vectors: ArrayLike, top: int = 10, where: Where | None = None
    ) -> list[tuple[Hit, ...]]:
        """See `VectorIndex.search`."""
        check_search(top, where)
        queries = checked_vectors(vectors, self.dim)
        with self._lock:
            chosen = None if where is None else self._fitting(where)
            found: list[tuple[Hit, ...]] = []
            for start in range(0, len(queries), _QUERIES):
                found += self._search(queries[start : start + _QUERIES], int(top), chosen)
            return found

    def rank(self, query: NDArray[np.float32], ids: Iterable[str], top: int) -> tuple[Hit, ...]:
        """The best of these shapes for one query (d,), a unit row."""
        with self._lock:
            return self._hits(query, np.array([self._row(id) for id in ids], np.int64), top)

    def _search(
        self, queries: NDArray[np.float32], top: int, chosen: NDArray[np.int64] | None
    ) -> list[tuple[Hit, ...]]:
        """One pass over the vectors, which keeps for each query what may be among its best."""
        count = len(self._ids) if chosen is None else len(chosen)
        kept = [_Best(top) for _ in queries]
        for start in range(0, count, _ROWS):
            end = min(start + _ROWS, count)
            rows = np.arange(start, end) if chosen is None else chosen[start:end]
            part = self._vectors[start:end] if chosen is None else self._vectors[rows]
            for best, scores in zip(kept, queries @ part.T, strict=True):
                best.offer(rows, scores)
        return [
            self._hits(query, best.rows, top) for query, best in zip(queries, kept, strict=True)
        ]

    def _hits(
        self, query: NDArray[np.float32], rows: NDArray[np.int64], top: int
    ) -> tuple[Hit, ...]:
        scores = np.empty(len(rows), np.float32)
        wide = query.astype(np.float64)
        for start in range(0, len(rows), _ROWS):  # all rows, where all of them are equal
            part = self._vectors[rows[start : start + _ROWS]].astype(np.float64)
            scores[start : start + _ROWS] = np.einsum("nd,d->n", part, wide)
        order = sorted(zip((-scores).tolist(), (self._ids[row] for row in rows), rows))[:top]  # noqa: B905
        return tuple(
            Hit(id, -negative, copy.deepcopy(self._metadata[row])) for negative, id, row in order
        )

    def _fitting(self, where: Where) -> NDArray[np.int64]:
        rows = [row for row, entry in enumerate(self._metadata) if fits(entry, where)]
        return np.array(rows, np.int64)

    def _row(self, id: str) -> int:
        if id not in self._rows:
            raise InputError(f"the index has no shape of the id {short(id)}")
        return self._rows[id]

    def _reserve(self, count: int) -> None:
        """Room for so many vectors, in memory that may be written to."""
        if count <= len(self._vectors) and self._vectors.flags.writeable:
            return
        room = max(count, 2 * len(self._ids) if len(self._ids) < count else count)
        vectors = np.empty((room, self.dim), np.float32)
        vectors[: len(self._ids)] = self._vectors[: len(self._ids)]
        self._vectors = vectors


class _Best:
    """The rows that may be among the best of one query, as the scores come in."""

    def __init__(self, top: int) -> None:
        self._top = top
        self.rows = np.empty(0, np.int64)
        self._scores = np.empty(0, np.float32)

    def offer(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        if len(self._scores) >= self._top:  # most rows end here
            near = scores >= np.partition(self._scores, -self._top)[-self._top] - _MARGIN
            rows, scores = rows[near], scores[near]
        rows = np.concatenate([self.rows, rows])
        scores = np.concatenate([self._scores, scores])
        if len(rows) > self._top:
            near = scores >= np.partition(scores, -self._top)[-self._top] - _MARGIN
            rows, scores = rows[near], scores[near]
        self.rows, self._scores = rows, scores
