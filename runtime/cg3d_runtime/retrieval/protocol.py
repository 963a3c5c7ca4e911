"""What every index of shapes can do, whoever holds the vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import ArrayLike

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.fields import encode_json
from cg3d_runtime.errors import InputError

#: What a filter may ask for: the value of a key of the metadata, exactly.
Where = Mapping[str, "str | int | float | bool | None"]


@dataclass(frozen=True)
class Hit:
    """A shape that was found.

    Attributes:
        id: as it was added.
        score: cosine between its embedding and the query's, -1 to 1.
        metadata: a copy of what was added with it.
    """

    id: str
    score: float
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """The encoder that an index's vectors came from.

    Attributes:
        bundle: the name of its bundle, for people.
        digest: SHA-256 of what makes a vector: the encoder's file and the preprocessing. Bundles
            that differ in their words alone have the same.
    """

    bundle: str
    digest: str


def origin_of(bundle: Bundle) -> Origin:
    """The origin of the embeddings that a bundle's encoder makes."""
    manifest = bundle.manifest
    encoder = manifest.files[manifest.encoder.file].sha256
    made_by = encode_json({"encoder": encoder, "preprocess": asdict(manifest.preprocess)})
    return Origin(manifest.name, hashlib.sha256(made_by).hexdigest())


def check_origin(found: Origin, wanted: Origin, where: str) -> None:
    """Refuse vectors of another encoder: their cosines would be numbers without meaning.

    Raises:
        InputError: naming both bundles.
    """
    if found.digest != wanted.digest:
        raise InputError(
            f"{where} holds embeddings of the bundle {found.bundle!r} (encoder "
            f"{found.digest[:12]}), not of {wanted.bundle!r} (encoder {wanted.digest[:12]}). Open "
            "it with that bundle, or build it again."
        )


class VectorIndex(Protocol):
    """Unit vectors with ids and metadata, to be searched by cosine.

    Answers are ordered by score, and among equal scores by id.
    """

    @property
    def origin(self) -> Origin:
        """The encoder that the vectors came from."""

    @property
    def dim(self) -> int:
        """d, the length of a vector."""

    def __len__(self) -> int:
        """How many shapes there are."""

    def __contains__(self, id: object) -> bool:
        """Whether there is a shape of this id."""

    def add(
        self,
        ids: Sequence[str],
        vectors: ArrayLike,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Add shapes: all of them, or none where one is refused.

        Args:
            ids: n different ids.
            vectors: (n, d) numbers; their length does not matter.
            metadata: for each an object of JSON values; it is copied.
            replace: whether an id that is there already is replaced, or refused.

        Raises:
            InputError: numbers that do not fit, a bad id, vector or metadata, or an id that is
                there.
        """

    def remove(self, ids: Iterable[str]) -> None:
        """Remove shapes: all of them, or none where one is unknown.

        Raises:
            InputError: an id is not there, or stands twice.
        """

    def save(self, folder: str | Path) -> None:
        """Write the index to a folder: a kill at any moment leaves the old one or the new one.

        Raises:
            InputError: the folder holds something else, the disk refused, or the index keeps
                itself.
        """

    def search(
        self, vectors: ArrayLike, top: int = 10, where: Where | None = None
    ) -> list[tuple[Hit, ...]]:
        """The shapes nearest to each query.

        Args:
            vectors: (n, d) queries; their length does not matter.
            top: how many, at most.
            where: only shapes whose metadata has these values under these keys.

        Returns:
            For each query its hits, the best first.

        Raises:
            InputError: queries of another shape, `top` below 1, or a filter that is none.
        """
