"""The ShapeIndex: shapes by words, by other shapes or by pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from cg3d_runtime.points import Up
from cg3d_runtime.retrieval import ExactIndex, Hit, VectorIndex, origin_of
from cg3d_runtime.retrieval.protocol import Where, check_origin
from cg3d_sdk.recognizer import Recognizer, check_recognizer


class ShapeIndex:
    """Shapes with ids and metadata, found by what a Recognizer makes of a query.

    Safe to use from several threads at once.

    Args:
        recognizer: makes the embeddings of shapes and of queries.
        index: what holds the vectors; an `ExactIndex` in memory by default. docs/retrieval.md says
            when FAISS or Qdrant is the better one.

    Raises:
        InputError: the index holds the embeddings of another encoder, or `recognizer` is none.
    """

    def __init__(self, recognizer: Recognizer, index: VectorIndex | None = None) -> None:
        check_recognizer(recognizer)
        origin = origin_of(recognizer.bundle)
        if index is None:
            index = ExactIndex(recognizer.bundle.manifest.encoder.embedding_dim, origin)
        check_origin(index.origin, origin, "the index")
        self.recognizer, self.index = recognizer, index

    def __repr__(self) -> str:
        bundle = self.recognizer.bundle.manifest.name
        return f"<ShapeIndex of {len(self):,} shapes, {bundle}>"

    @classmethod
    def open(cls, folder: str | Path, recognizer: Recognizer) -> ShapeIndex:
        """Open what `save` wrote. The vectors are mapped, not read into memory.

        Raises:
            InputError: no index, a damaged one, or one of another encoder than the Recognizer's.
        """
        return cls(recognizer, ExactIndex.open(folder))

    def save(self, folder: str | Path) -> None:
        """Write the index to a folder: a kill at any moment leaves the old one or the new one.

        Raises:
            InputError: the folder holds something else, the disk refused, or the index keeps
                itself, as Qdrant does.
        """
        self.index.save(folder)

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, id: object) -> bool:
        return id in self.index

    def add(
        self,
        id: str,
        points: ArrayLike,
        metadata: Mapping[str, Any] | None = None,
        *,
        up: Up | None = None,
        replace: bool = False,
    ) -> None:
        """Add one cloud, e.g. `read_points(file).points` of a mesh; see `add_many`."""
        entries = None if metadata is None else [metadata]
        self.add_many([id], [points], entries, up=up, replace=replace)

    def add_many(
        self,
        ids: Sequence[str],
        clouds: Sequence[ArrayLike],
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        up: Up | None = None,
        replace: bool = False,
    ) -> None:
        """Add clouds: all of them, or none where one is refused.

        Args:
            ids: n different ids.
            clouds: n arrays (N, 3+), as `Recognizer.classify` takes them.
            metadata: for each an object of JSON values.
            up: the axis that points up, if it differs from the Recognizer's.
            replace: whether an id that is there already is replaced, or refused.

        Raises:
            InputError: a cloud, id or metadata is not usable, or an id is there already.
        """
        vectors = self.recognizer.embed(list(clouds), up)
        self.index.add(ids, vectors, metadata, replace=replace)

    def add_embeddings(
        self,
        ids: Sequence[str],
        embeddings: ArrayLike,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Add what `Recognizer.embed` gave for n clouds, (n, d); see `add_many`."""
        self.index.add(ids, embeddings, metadata, replace=replace)

    def remove(self, ids: Iterable[str]) -> None:
        """Remove shapes: all of them, or none where one is unknown.

        Raises:
            InputError: an id is not there, or stands twice.
        """
        self.index.remove(ids)

    def search_text(self, text: str, top: int = 10, where: Where | None = None) -> tuple[Hit, ...]:
        """The shapes that fit a text best.

        Args:
            text: as `Recognizer.embed_text` takes it.
            top: how many, at most.
            where: only shapes whose metadata has these values under these keys.

        Returns:
            The hits, the best first; the score is the cosine.

        Raises:
            VocabularyError: the bundle's text encoder does not read this text.
            InputError: `top` is below 1, or the filter is none.
        """
        return self.search_embeddings(self.recognizer.embed_text([text]), top, where)[0]

    def search_cloud(
        self,
        points: ArrayLike,
        top: int = 10,
        where: Where | None = None,
        *,
        up: Up | None = None,
    ) -> tuple[Hit, ...]:
        """The shapes most like a cloud (N, 3+); see `search_text`.

        Raises:
            InputError: the cloud is not usable.
        """
        return self.search_embeddings(self.recognizer.embed([points], up), top, where)[0]

    def search_image(
        self, image: ArrayLike, top: int = 10, where: Where | None = None
    ) -> tuple[Hit, ...]:
        """The shapes most like a picture (H, W, 3) uint8; see `search_text`.

        Raises:
            InputError: it is no picture, or the bundle has no image encoder.
        """
        return self.search_embeddings(self.recognizer.embed_image([image]), top, where)[0]

    def search_embeddings(
        self, embeddings: ArrayLike, top: int = 10, where: Where | None = None
    ) -> list[tuple[Hit, ...]]:
        """Many queries at once: (n, d) of the Recognizer's `embed...`, n answers."""
        return self.index.search(embeddings, top, where)
