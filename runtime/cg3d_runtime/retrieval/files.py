"""An index as plain files: vectors as .npy, ids and metadata as JSON Lines, and index.json.

    index.json             which files are the index, with their sizes and hashes, and a digest
    vectors-VERSION.npy    (n, d) float32 unit rows, C order
    shapes-VERSION.jsonl   row by row {"id": ..., "metadata": {...}}

A save writes files of a new version beside the old ones and then replaces index.json, which is one
step for the disk. What index.json does not name is left over from a save that was interrupted; the
next one removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle.arrays import decode_array, npy_header
from cg3d_runtime.bundle.fields import decode, decode_json, sealed, short
from cg3d_runtime.bundle.folders import replace_file, sync_folder
from cg3d_runtime.bundle.parts import FileInfo
from cg3d_runtime.errors import BundleError, InputError
from cg3d_runtime.retrieval.entries import MAX_ID, MAX_METADATA, check_id
from cg3d_runtime.retrieval.protocol import Origin

INDEX = "index.json"
FORMAT = 1

_MAX_JSON = 1 << 16
_CHUNK = 1 << 22
_ROWS = 8192
_OWN = re.compile(r"(vectors-[0-9a-f]{32}\.npy|shapes-[0-9a-f]{32}\.jsonl)")
_LOCK = ".lock"


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

    @property
    def vectors_file(self) -> str:
        return f"vectors-{self.version}.npy"

    @property
    def shapes_file(self) -> str:
        return f"shapes-{self.version}.jsonl"


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
    check_replaceable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            version = uuid.uuid4().hex
            vectors_file, shapes_file = f"vectors-{version}.npy", f"shapes-{version}.jsonl"
            files = {
                vectors_file: _write(folder / vectors_file, _vector_bytes(vectors)),
                shapes_file: _write(folder / shapes_file, _shape_lines(ids, metadata)),
            }
            sync_folder(folder)
            contents = _Contents(FORMAT, len(ids), vectors.shape[1], origin, version, files)
            replace_file(folder / INDEX, sealed(asdict(contents)))
            sync_folder(folder)
            for name in os.listdir(folder):  # noqa: PTH208 - names are all that is wanted
                if (_OWN.fullmatch(name) and name not in files) or name.startswith(f".{INDEX}."):
                    with contextlib.suppress(OSError):  # mapped by somebody, on Windows
                        (folder / name).unlink()
    except OSError as error:
        raise InputError(
            f"the index could not be written to {folder}: {error}. Check the disk and its "
            "permissions; an index that was there before is unchanged."
        ) from error


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything but an index, or what is left of saving one.

    Raises:
        InputError: naming what is in the way.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; an index is a folder. Choose another place.")
    strangers = [
        name
        for name in sorted(os.listdir(folder))  # noqa: PTH208
        if not (_OWN.fullmatch(name) or name in (INDEX, _LOCK) or name.startswith(f".{INDEX}."))
    ]
    if strangers:
        raise InputError(
            f"{folder} holds {strangers[0]!r}, which is no part of an index. Choose another folder."
        )
    if (folder / INDEX).exists():
        try:
            _read_contents(folder)
        except (BundleError, InputError, OSError) as error:
            raise InputError(
                f"{folder / INDEX} is not of an index that may be replaced. Remove it, or choose "
                "another folder."
            ) from error


def open_files(folder: Path) -> IndexFiles:
    """Read an index, trusting nothing: sizes and hashes of all files are checked.

    Raises:
        InputError: no index, a damaged one, or one of another version.
    """
    try:
        while True:
            contents, raw = _read_contents(folder)
            try:
                return _read(folder, contents)
            except FileNotFoundError:
                # A save may have replaced the index between the two steps; then it is read anew.
                if _read_contents(folder)[1] == raw:
                    raise
    except BundleError as error:
        fault = str(error).partition(" The bundle ")[0]  # its advice is about bundles
        raise InputError(f"{folder}: the index is damaged. {fault} Build it again.") from error
    except OSError as error:
        raise InputError(
            f"{folder}: the index cannot be read ({error}). Check the path, or make an index with "
            "`cg3d index build`."
        ) from error


def _read_contents(folder: Path) -> tuple[_Contents, bytes]:
    with (folder / INDEX).open("rb") as file:
        data = file.read(_MAX_JSON + 1)
    value = decode_json(data[: _MAX_JSON + 1], INDEX) if len(data) <= _MAX_JSON else None
    if not isinstance(value, dict):
        raise _damaged(INDEX, "it should hold a small JSON object")
    if value.get("format") != FORMAT:
        raise InputError(
            f"{folder / INDEX}: format is {short(value.get('format'))}; this version of cg3d-sdk "
            f"reads format {FORMAT}. Update cg3d-sdk, or build the index again."
        )
    value.pop("digest", None)
    contents: _Contents = decode(_Contents, value, INDEX)
    if sealed(asdict(contents)) != data:
        raise _damaged(INDEX, "its digest does not match its content")
    names = {contents.vectors_file, contents.shapes_file}
    if set(contents.files) != names or not all(map(_OWN.fullmatch, names)):
        raise _damaged(INDEX, "it names other files than those of an index")
    return contents, data


def _read(folder: Path, contents: _Contents) -> IndexFiles:
    where = contents.vectors_file
    mapped = _map(folder, where, contents.files[where])
    vectors = decode_array(mapped, where)
    if vectors.dtype != np.float32 or vectors.shape != (contents.shapes, contents.dim):
        raise _damaged(where, f"it holds {vectors.dtype} {vectors.shape}")
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS]
        if not np.allclose(np.einsum("nd,nd->n", part, part), 1.0, atol=1e-3):
            raise _damaged(where, "it holds rows that are not of unit length")
    where = contents.shapes_file
    ids, metadata = _shapes(_map(folder, where, contents.files[where]), where, contents.shapes)
    return IndexFiles(ids, metadata, vectors, contents.origin)


def _shapes(data: mmap.mmap | bytes, where: str, count: int) -> tuple[list[str], list[Any]]:
    ids: list[str] = []
    metadata: list[Any] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0 or len(ids) == count or end - start > 12 * (MAX_ID + MAX_METADATA):
            raise _damaged(where, f"it should have {count} lines")
        line = data[start:end]
        value = decode_json(line, f"{where}, line {len(ids) + 1}")
        if not isinstance(value, dict) or set(value) != {"id", "metadata"}:
            raise _damaged(where, f"line {len(ids) + 1} is not of an id and metadata")
        try:
            check_id(value["id"])
        except InputError as error:
            raise _damaged(where, f"line {len(ids) + 1}: {error}") from error
        if not isinstance(value["metadata"], dict):
            raise _damaged(where, f"line {len(ids) + 1} has metadata that is no object")
        ids.append(value["id"])
        metadata.append(value["metadata"])
        start = end + 1
    if len(ids) != count or len(set(ids)) != count:
        raise _damaged(where, f"it should have {count} lines, each with an id of its own")
    return ids, metadata


def _map(folder: Path, name: str, info: FileInfo) -> mmap.mmap | bytes:
    """A file's bytes, without reading them into memory, after checking size and hash."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(folder / name, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != info.bytes:
            raise _damaged(name, f"it has {size} bytes where {INDEX} says {info.bytes}")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    digest = hashlib.sha256()
    for start in range(0, size, _CHUNK):
        digest.update(mapped[start : start + _CHUNK])
    if digest.hexdigest() != info.sha256:
        raise _damaged(name, f"its SHA-256 is not the one in {INDEX}")
    return mapped


def _write(path: Path, parts: Iterator[bytes]) -> FileInfo:
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
            size += len(part)
        file.flush()
        os.fsync(file.fileno())
    return FileInfo(digest.hexdigest(), size)


def _vector_bytes(vectors: NDArray[np.float32]) -> Iterator[bytes]:
    yield npy_header(vectors)
    for start in range(0, len(vectors), _ROWS):
        yield np.ascontiguousarray(vectors[start : start + _ROWS], "<f4").tobytes()


def _shape_lines(ids: Sequence[str], metadata: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    for start in range(0, len(ids), _ROWS):
        pairs = zip(ids[start : start + _ROWS], metadata[start : start + _ROWS], strict=True)
        rows = [json.dumps({"id": i, "metadata": m}, ensure_ascii=False) + "\n" for i, m in pairs]
        yield "".join(rows).encode()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One save at a time; the system takes the lock from a process that dies."""
    try:
        import fcntl
    except ImportError:  # Windows: there it is on the caller
        yield
        return
    with (folder / _LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _damaged(name: str, fault: str) -> BundleError:
    return BundleError(f"{name}: {fault}.")
