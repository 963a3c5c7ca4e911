"""What is read of a set of shards when it is opened: where each sample is, and what it is called.

    index.jsonl     a line a sample: key, shard, offset, size
    objects.jsonl   a line a sample, in the same order: key, name, caption, captions, licence, and
                    how many views and points it has
    shards.json     size and SHA-256 of each shard

In memory a place takes 24 bytes and its key, whatever the size of the samples.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.samples import BLOCK, LARGEST_FILE, Sample
from cg3d_training.data.storage import ShardSum, Storage

INDEX = "index.jsonl"
OBJECTS = "objects.jsonl"
SUMS = "shards.json"

_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,120}\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class IndexEntry:
    """Where a sample is.

    Attributes:
        key: its key.
        shard: file name of its tar.
        offset: byte at which its first header begins.
        size: bytes of all its blocks.
    """

    key: str
    shard: str
    offset: int
    size: int


class ShardIndex:
    """Where all samples of a set are, in the order of `index.jsonl`.

    Attributes:
        shards: file names of the tars.
        counts: (shards,) int64, samples in each.
        ends: (shards,) int64, the least size that each tar has to have.
    """

    def __init__(self, entries: Iterable[IndexEntry], where: str) -> None:
        """Collect the entries.

        Args:
            entries: those of a shard one after the other.
            where: the folder, for errors.

        Raises:
            TrainingError: a key is there twice, or a shard's samples are not together.
        """
        keys: list[bytes] = []
        offsets, sizes, counts, ends = array("q"), array("q"), array("q"), array("q")
        shards: dict[str, int] = {}
        for entry in entries:
            if entry.shard not in shards:
                shards[entry.shard] = len(shards)
                counts.append(0)
                ends.append(0)
            if shards[entry.shard] != len(shards) - 1:
                raise TrainingError(f"{where}: the samples of {entry.shard} are not together")
            counts[-1] += 1
            ends[-1] = max(ends[-1], entry.offset + entry.size)
            keys.append(entry.key.encode())
            offsets.append(entry.offset)
            sizes.append(entry.size)
        self.shards = tuple(shards)
        self.counts, self.ends = np.array(counts, np.int64), np.array(ends, np.int64)
        self._offsets, self._sizes = np.array(offsets, np.int64), np.array(sizes, np.int64)
        self._keys: NDArray[np.bytes_] = np.array(keys, np.bytes_)
        self._last = np.cumsum(self.counts)
        ordered = np.sort(self._keys)
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(twice):
            raise TrainingError(f"{where}: two samples have the key {ordered[twice[0]].decode()}")

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, row: int) -> IndexEntry:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return IndexEntry(
            self.key(row), self.shards[int(np.searchsorted(self._last, row, side="right"))],
            int(self._offsets[row]), int(self._sizes[row]),
        )  # fmt: skip

    def key(self, row: int) -> str:
        """The key of a sample."""
        return bytes(self._keys[row]).decode()


def read_index(storage: Storage) -> ShardIndex:
    """Read `index.jsonl`.

    Raises:
        TrainingError: it is missing or damaged.
    """
    return ShardIndex(_entries(storage), storage.where)


def _entries(storage: Storage) -> Iterator[IndexEntry]:
    for where, values in _records(storage, INDEX):
        kinds = {"key": str, "shard": str, "offset": int, "size": int}
        if {k: type(v) for k, v in values.items()} != kinds:
            raise TrainingError(f"{where} should hold key, shard, offset and size")
        entry = IndexEntry(**values)
        if not _SHARD.fullmatch(entry.shard):
            raise TrainingError(f"{where}: {entry.shard!r:.80} is not the name of a shard")
        if entry.offset < 0 or entry.offset % BLOCK or not 0 < entry.size <= LARGEST_FILE:
            raise TrainingError(f"{where}: no sample has {entry.size} bytes at {entry.offset}")
        yield entry


@dataclass(frozen=True)
class ObjectFacts:
    """What a line of `objects.jsonl` says.

    Attributes:
        name, caption, captions, licence: of the sample's record; licence "" where it has none.
        views: pictures. points: points.
    """

    name: str
    caption: str
    captions: tuple[str, ...]
    licence: str
    views: int
    points: int


def object_line(sample: Sample) -> dict[str, Any]:
    """The line of `objects.jsonl` for a sample."""
    return {
        "key": sample.key,
        "name": sample.record["name"],
        "caption": sample.record["caption"],
        "captions": list(sample.record["captions"]),
        "licence": str(sample.record.get("licence") or ""),
        "views": len(sample.views),
        "points": len(sample.points),
    }


def read_objects(storage: Storage, index: ShardIndex) -> Iterator[ObjectFacts]:
    """The lines of `objects.jsonl`, each checked against the index.

    Raises:
        TrainingError: it is missing or damaged, or of other samples than the index.
    """
    row = 0
    for where, values in _records(storage, OBJECTS):
        kinds = {"key": str, "name": str, "caption": str, "captions": list, "licence": str,
                 "views": int, "points": int}  # fmt: skip
        if {k: type(v) for k, v in values.items()} != kinds or not all(
            isinstance(caption, str) for caption in values["captions"]
        ):
            raise TrainingError(f"{where} should hold {', '.join(kinds)}")
        if row >= len(index) or values.pop("key") != index.key(row):
            raise TrainingError(
                f"{where}: {INDEX} has another sample there; run `cg3d-train index` on the folder"
            )
        yield ObjectFacts(**{**values, "captions": tuple(values["captions"])})
        row += 1
    if row != len(index):
        raise TrainingError(f"{storage.where}/{OBJECTS} has {row} lines and {INDEX} {len(index)}")


def read_sums(storage: Storage) -> dict[str, ShardSum]:
    """What `shards.json` says of each shard; empty where there is none.

    Raises:
        TrainingError: it is damaged.
    """
    where = f"{storage.where}/{SUMS}"
    try:
        values = json.loads("".join(storage.lines(SUMS)))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where} is not JSON") from error
    sums = {}
    for shard, said in values.items() if isinstance(values, dict) else ():
        if not isinstance(said, dict) or {k: type(v) for k, v in said.items()} != {
            "size": int, "sha256": str
        } or not _SHA256.fullmatch(said["sha256"]) or said["size"] < 0:  # fmt: skip
            raise TrainingError(f"{where}: {shard!r:.80} should have a size and a sha256")
        sums[shard] = ShardSum(**said)
    return sums


def _records(storage: Storage, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a .jsonl file, and where each is."""
    try:
        for number, line in enumerate(storage.lines(name), start=1):
            where = f"{storage.where}/{name}, line {number}"
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise TrainingError(f"{where} is not JSON") from error
            if not isinstance(values, dict):
                raise TrainingError(f"{where} is no object with keys")
            yield where, values
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainingError(
            f"{storage.where}/{name} is missing; `cg3d-train prepare` writes it when it is done, "
            "and `cg3d-train index` for shards that are there"
        ) from error
