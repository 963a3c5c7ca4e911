"""FAISS before the exact index: for collections of more than 100,000 shapes.

FAISS only proposes candidates, from the lists of vectors nearest to the query; the exact index
scores and orders them. So every score is exact, and what can be missing is a shape whose list was
not looked into. The files are those of the exact index: the lists are made when they are first
needed, and nothing that FAISS wrote is ever read.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cg3d_runtime.arguments import whole
from cg3d_runtime.dependencies import require
from cg3d_runtime.retrieval.entries import check_search, checked_ids, checked_vectors
from cg3d_runtime.retrieval.index import ExactIndex
from cg3d_runtime.retrieval.protocol import Hit, Origin, Where

#: With fewer shapes the exact index answers at once, and all of it.
LEAST = 100_000

#: Vectors of each list that its centre is learnt from, and candidates for each hit wanted.
_TRAINED_ON, _CANDIDATES = 40, 4

_ROWS = 65536


class FaissIndex:
    """An `ExactIndex` with inverted lists (IVF) of FAISS before it; a `VectorIndex`.

    Searches with a filter, and of fewer than `least` shapes, are the exact index's own. Safe to
    use from several threads at once.

    Args:
        exact: the shapes; from now on to be changed through this index alone.
        probes: lists that a query looks into, of about the square root of the number of shapes:
            more find more and take longer (docs/retrieval.md has numbers).
        least: shapes from which FAISS is used.

    Raises:
        DependencyError: FAISS is not installed.
        InputError: `probes` or `least` is below 1.
    """

    def __init__(self, exact: ExactIndex, *, probes: int = 32, least: int = LEAST) -> None:
        self._faiss = require("faiss", "faiss", "FaissIndex")
        self._exact = exact
        self._probes, self._least = whole("probes", probes), whole("least", least)
        self._lists: Any = None
        self._keys: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._next = 0
        self._lock = threading.RLock()

    @classmethod
    def open(cls, folder: str | Path, *, probes: int = 32, least: int = LEAST) -> FaissIndex:
        """Open what `save` of this or of the exact index wrote.

        Raises:
            InputError: no index, a damaged one, or one of another version.
        """
        return cls(ExactIndex.open(folder), probes=probes, least=least)

    @property
    def origin(self) -> Origin:
        """See `VectorIndex.origin`."""
        return self._exact.origin

    @property
    def dim(self) -> int:
        """See `VectorIndex.dim`."""
        return self._exact.dim

    def __len__(self) -> int:
        return len(self._exact)

    def __contains__(self, id: object) -> bool:
        return id in self._exact

    def save(self, folder: str | Path) -> None:
        """See `ExactIndex.save`."""
        self._exact.save(folder)

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
        with self._lock:
            self._exact.add(names, vectors, metadata, replace=replace)
            if self._lists is not None:
                self._take([id for id in names if id in self._keys])
                self._put(names)

    def remove(self, ids: Iterable[str]) -> None:
        """See `VectorIndex.remove`."""
        names = checked_ids(ids)
        with self._lock:
            self._exact.remove(names)
            if self._lists is not None:
                self._take(names)

    def search(
        self, vectors: ArrayLike, top: int = 10, where: Where | None = None
    ) -> list[tuple[Hit, ...]]:
        """See `VectorIndex.search`."""
        check_search(top, where)
        with self._lock:
            if where is not None or len(self._exact) < self._least:
                return self._exact.search(vectors, top, where)
            queries = checked_vectors(vectors, self.dim)
            if self._lists is None:
                self._build()
            _, found = self._lists.search(queries, min(_CANDIDATES * int(top), len(self._exact)))
            return [
                self._exact.rank(query, [self._ids[key] for key in keys if key >= 0], int(top))
                for query, keys in zip(queries, found.tolist(), strict=True)
            ]

    def _build(self) -> None:
        """Learn the lists' centres and fill the lists: 4 s for 100,000 shapes on one core."""
        faiss, ids = self._faiss, self._exact.ids
        count = math.isqrt(len(ids))
        drawn = np.random.default_rng(0).permutation(len(ids))[: _TRAINED_ON * count]
        centres = faiss.IndexFlatIP(self.dim)
        lists = faiss.IndexIVFFlat(centres, self.dim, count, faiss.METRIC_INNER_PRODUCT)
        lists.cp.min_points_per_centroid = 1
        lists.train(self._exact.vectors(ids[row] for row in drawn))
        lists.nprobe = min(self._probes, count)
        self._lists = lists
        self._put(ids)

    def _put(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _ROWS):
            part = ids[start : start + _ROWS]
            keys = np.arange(self._next, self._next + len(part), dtype=np.int64)
            self._next += len(part)
            self._lists.add_with_ids(self._exact.vectors(part), keys)
            self._keys.update(zip(part, keys.tolist(), strict=True))
            self._ids.update(zip(keys.tolist(), part, strict=True))

    def _take(self, ids: Sequence[str]) -> None:
        keys = np.array([self._keys.pop(id) for id in ids], np.int64)
        for key in keys.tolist():
            del self._ids[key]
        self._lists.remove_ids(keys)
