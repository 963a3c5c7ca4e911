"""An index as plain files: vectors as .npy, ids and metadata as JSON Lines, and index.json.

    index.json             which files are the index, with their sizes and hashes, and a digest
    vectors-VERSION.npy    (n, d) float32 unit rows, C order
    shapes-VERSION.jsonl   row by row {"id": ..., "metadata": {...}}

A kill leaves the old index or the new one: `cg3d_runtime/bundle/versioned.py`.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle.arrays import decode_array, npy_header
from cg3d_runtime.bundle.fields import decode, decode_json, sealed
from cg3d_runtime.bundle.parts import FileInfo
from cg3d_runtime.bundle.versioned import VersionedFolder, damaged
from cg3d_runtime.errors import InputError
from cg3d_runtime.retrieval.entries import MAX_ID, MAX_METADATA, check_id
from cg3d_runtime.retrieval.protocol import Origin

INDEX = "index.json"
FORMAT = 1

FOLDER = VersionedFolder(
    kind="an index",
    contents=INDEX,
    suffixes={"vectors": "npy", "shapes": "jsonl"},
    format=FORMAT,
    remedy="make one with `cg3d index build`",
)

_ROWS = 8192


@dataclass(frozen=True)
class IndexFiles:
    """An index as it lies on the disk.

    Attributes:
        ids, metadata: of n shapes.
        vectors: (n, d) float32 unit rows, read-only, mapped from their file.
        origin: the encoder that they came from.
    """

    ids: list[str]
    metadata: list[dict[str, Any]]
    vectors: NDArray[np.float32]
    origin: Origin


@dataclass(frozen=True)
class _Contents:
    """index.json without its digest."""

    format: int
    shapes: int
    dim: int
    origin: Origin
    version: str
    files: dict[str, FileInfo]


def save_files(
    folder: Path,
    ids: Sequence[str],
    metadata: Sequence[dict[str, Any]],
    vectors: NDArray[np.float32],
    origin: Origin,
) -> None:
    """Write an index: a kill at any moment leaves the old one or the new one, whole.

    Args:
        folder: made if it is not there; an index that is there is replaced.
        ids, metadata, vectors, origin: see `IndexFiles`.

    Raises:
        InputError: the folder holds something else, or the disk refused.
    """

    def seal(version: str, files: dict[str, FileInfo]) -> bytes:
        dim = vectors.shape[1]
        return sealed(asdict(_Contents(FORMAT, len(ids), dim, origin, version, files)))

    parts = {"vectors": _vector_bytes(vectors), "shapes": _shape_lines(ids, metadata)}
    FOLDER.save(folder, parts, seal)


def open_files(folder: Path) -> IndexFiles:
    """Read an index, trusting nothing: sizes and hashes of all files are checked.

    Raises:
        InputError: no index, a damaged one, or one of another version.
    """

    def read(value: dict[str, Any]) -> IndexFiles:
        contents = decode(_Contents, value, INDEX)
        FOLDER.check_names(contents.version, contents.files)
        return _read(folder, contents)

    return FOLDER.open(folder, read)


def _read(folder: Path, contents: _Contents) -> IndexFiles:
    names = FOLDER.names(contents.version)
    where = names["vectors"]
    vectors = decode_array(FOLDER.map(folder, where, contents.files[where]), where)
    if vectors.dtype != np.float32 or vectors.shape != (contents.shapes, contents.dim):
        raise damaged(where, f"it holds {vectors.dtype} {vectors.shape}")
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS]
        if not np.allclose(np.einsum("nd,nd->n", part, part), 1.0, atol=1e-3):
            raise damaged(where, "it holds rows that are not of unit length")
    where = names["shapes"]
    mapped = FOLDER.map(folder, where, contents.files[where])
    ids, metadata = _shapes(mapped, where, contents.shapes)
    return IndexFiles(ids, metadata, vectors, contents.origin)


def _shapes(data: mmap.mmap | bytes, where: str, count: int) -> tuple[list[str], list[Any]]:
    ids: list[str] = []
    metadata: list[Any] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0 or len(ids) == count or end - start > 12 * (MAX_ID + MAX_METADATA):
            raise damaged(where, f"it should have {count} lines")
        line = data[start:end]
        value = decode_json(line, f"{where}, line {len(ids) + 1}")
        if not isinstance(value, dict) or set(value) != {"id", "metadata"}:
            raise damaged(where, f"line {len(ids) + 1} is not of an id and metadata")
        try:
            check_id(value["id"])
        except InputError as error:
            raise damaged(where, f"line {len(ids) + 1}: {error}") from error
        if not isinstance(value["metadata"], dict):
            raise damaged(where, f"line {len(ids) + 1} has metadata that is no object")
        ids.append(value["id"])
        metadata.append(value["metadata"])
        start = end + 1
    if len(ids) != count or len(set(ids)) != count:
        raise damaged(where, f"it should have {count} lines, each with an id of its own")
    return ids, metadata


def _vector_bytes(vectors: NDArray[np.float32]) -> Iterator[bytes]:
    yield npy_header(vectors)
    for start in range(0, len(vectors), _ROWS):
        yield np.ascontiguousarray(vectors[start : start + _ROWS], "<f4").tobytes()


def _shape_lines(ids: Sequence[str], metadata: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    for start in range(0, len(ids), _ROWS):
        pairs = zip(ids[start : start + _ROWS], metadata[start : start + _ROWS], strict=True)
        rows = [json.dumps({"id": i, "metadata": m}, ensure_ascii=False) + "\n" for i, m in pairs]
        yield "".join(rows).encode()
