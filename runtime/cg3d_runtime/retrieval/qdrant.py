"""Qdrant behind the same protocol: for collections that outgrow one machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError, short
from cg3d_runtime.retrieval.entries import (
    check_search,
    checked_ids,
    checked_metadata,
    checked_vectors,
)
from cg3d_runtime.retrieval.protocol import Hit, Origin, Where

if TYPE_CHECKING:
    from pathlib import Path

#: Points of one request.
_BATCH = 256

#: Qdrant takes numbers and UUIDs as ids of points; ours become UUIDs under this one.
_NAMESPACE = uuid.UUID("6d0a3a3e-6f0e-5f0a-9b1e-c63d5dca8f11")


class QdrantIndex:
    """A collection of a Qdrant server, or of its local mode; a `VectorIndex`.

    Every change is Qdrant's own and lasts; there is nothing to `save`. A change of many shapes is
    several requests, so that one that breaks off may be done in part; repeat it with replace=True.
    Scores are Qdrant's, in FP32; a server with millions of points searches approximately.

    Args:
        client: a `qdrant_client.QdrantClient`, e.g. QdrantClient("http://robots:6333"),
            QdrantClient(path="folder") or QdrantClient(":memory:").
        collection: its name; made where it is not there.
        dim: d, the length of a vector.
        origin: the encoder that the vectors come from.

    Raises:
        DependencyError: qdrant-client is not installed.
        InputError: the collection is there and is none of an index, or of other vectors.
    """

    def __init__(self, client: Any, collection: str, dim: int, origin: Origin) -> None:
        self._models = require("qdrant_client", "qdrant", "QdrantIndex").models
        self._client, self._collection, self._dim = client, collection, dim
        if not client.collection_exists(collection):
            cosine = self._models.VectorParams(size=dim, distance=self._models.Distance.COSINE)
            client.create_collection(
                collection, vectors_config=cosine, metadata={"cg3d_origin": asdict(origin)}
            )
        config = client.get_collection(collection).config
        stored = (config.metadata or {}).get("cg3d_origin")
        size = getattr(config.params.vectors, "size", None)
        if not isinstance(stored, dict) or set(stored) != {"bundle", "digest"} or size != dim:
            raise InputError(
                f"the Qdrant collection {collection!r} was not made by cg3d-sdk for vectors of "
                f"{dim} numbers. Choose another name."
            )
        self._origin = Origin(str(stored["bundle"]), str(stored["digest"]))

    @property
    def origin(self) -> Origin:
        """See `VectorIndex.origin`; for a collection that was there, its own."""
        return self._origin

    @property
    def dim(self) -> int:
        """See `VectorIndex.dim`."""
        return self._dim

    def __len__(self) -> int:
        return int(self._client.count(self._collection, exact=True).count)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and bool(self._there([id]))

    def save(self, folder: str | Path) -> None:
        """Refused: Qdrant keeps its collections itself.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"the Qdrant collection {self._collection!r} keeps itself; use Qdrant's snapshots to "
            "copy it"
        )

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
        rows = checked_vectors(vectors, self._dim, len(names))
        entries = checked_metadata(metadata, len(names))
        if not replace and (known := self._there(names)):
            raise InputError(
                f"the id {short(known[0])} is in the index already; use replace=True to replace it"
            )
        points = [
            self._models.PointStruct(
                id=_point(id), vector=row.tolist(), payload={"id": id, "metadata": entry}
            )
            for id, row, entry in zip(names, rows, entries, strict=True)
        ]
        for start in range(0, len(points), _BATCH):
            self._client.upsert(self._collection, points[start : start + _BATCH], wait=True)

    def remove(self, ids: Iterable[str]) -> None:
        """See `VectorIndex.remove`."""
        names = checked_ids(ids)
        known = set(self._there(names))
        if missing := [id for id in names if id not in known]:
            raise InputError(f"the index has no shape of the id {short(missing[0])}")
        for start in range(0, len(names), _BATCH):
            points = [_point(id) for id in names[start : start + _BATCH]]
            self._client.delete(self._collection, self._models.PointIdsList(points=points))

    def search(
        self, vectors: ArrayLike, top: int = 10, where: Where | None = None
    ) -> list[tuple[Hit, ...]]:
        """See `VectorIndex.search`; among equal scores Qdrant chooses which are the last ones.

        A key of a filter may hold anything but quotes and backslashes.
        """
        check_search(top, where)
        requests = [
            self._models.QueryRequest(
                query=row.tolist(), limit=int(top), with_payload=True, filter=self._filter(where)
            )
            for row in checked_vectors(vectors, self._dim)
        ]
        answers = self._client.query_batch_points(self._collection, requests) if requests else []
        return [
            tuple(
                sorted(
                    (
                        Hit(p.payload["id"], float(p.score), p.payload["metadata"])
                        for p in answer.points
                    ),
                    key=lambda hit: (-hit.score, hit.id),
                )
            )
            for answer in answers
        ]

    def _filter(self, where: Where | None) -> Any:
        """Equality as `entries.fits` has it: a number equals a number, null equals null."""
        models = self._models
        conditions: list[Any] = []
        for key, value in (where or {}).items():
            # A key may hold dots and brackets, which Qdrant reads as a path unless it is quoted.
            if '"' in key or "\\" in key:
                raise InputError(f"Qdrant cannot filter by {short(key)}: the key has a quote in it")
            place = f'metadata."{key}"'
            if value is None:
                conditions.append(models.IsNullCondition(is_null=models.PayloadField(key=place)))
            elif isinstance(value, (bool, str)):
                match = models.MatchValue(value=value)
                conditions.append(models.FieldCondition(key=place, match=match))
            else:
                exactly = models.Range(gte=value, lte=value)
                conditions.append(models.FieldCondition(key=place, range=exactly))
        return models.Filter(must=conditions) if conditions else None

    def _there(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that are in the collection."""
        found: list[str] = []
        for start in range(0, len(ids), _BATCH):
            points = [_point(id) for id in ids[start : start + _BATCH]]
            stored = self._client.retrieve(self._collection, points, with_payload=["id"])
            found += [record.payload["id"] for record in stored]
        return found


def _point(id: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, id))
