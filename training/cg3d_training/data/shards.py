"""Sets of triplets: tar shards and an index of where in them each sample is.

    shard-000000.tar ...   samples, in the layout of webdataset (`samples.py`)
    index.jsonl            a line for each: key, shard, offset, size

Any reader of webdataset streams the shards; the index makes every sample readable by its number.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.samples import (
    BLOCK,
    LARGEST_FILE,
    Sample,
    decode_sample,
    members,
    split_name,
)

INDEX = "index.jsonl"
_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,120}\.tar")


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


class ShardFolder:
    """A folder of shards with its index.

    Samples are read one by one from disk; nothing is kept, so that copies of it in many loader
    processes cost nothing but the index.
    """

    def __init__(self, folder: Path) -> None:
        """Read the index.

        Raises:
            TrainingError: it is missing or damaged, or does not fit the shards.
        """
        self.folder = folder
        self.entries = _read_index(folder)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(shards,) samples in each shard, in the order of the index."""
        return np.array([len(list(run)) for _, run in groupby(e.shard for e in self.entries)])

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, row: int) -> Sample:
        """The sample of a row of the index.

        Raises:
            TrainingError: what the index points to is not that sample.
        """
        entry = self.entries[row]
        with (self.folder / entry.shard).open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        return _checked(data, entry)

    def __iter__(self) -> Iterator[Sample]:
        """All samples in the order of the index, each shard read from front to back once."""
        for entry, data in self._blocks():
            yield _checked(data, entry)

    def _blocks(self) -> Iterator[tuple[IndexEntry, bytes]]:
        row = 0
        while row < len(self.entries):
            shard = self.entries[row].shard
            with (self.folder / shard).open("rb") as file:
                while row < len(self.entries) and self.entries[row].shard == shard:
                    file.seek(self.entries[row].offset)
                    yield self.entries[row], file.read(self.entries[row].size)
                    row += 1


def write_shard(path: Path, samples: Iterable[bytes]) -> None:
    """Write a tar of what `encode_sample` gives, whole or not at all."""

    def blocks() -> Iterator[bytes]:
        yield from samples
        yield bytes(2 * BLOCK)

    write_whole(path, blocks())


def write_index(folder: Path) -> list[IndexEntry]:
    """Index all .tar files of a folder, in the order of their names, by reading their headers.

    Returns:
        What was written to `index.jsonl`.

    Raises:
        TrainingError: a tar is damaged, or a key is in two places.
    """
    entries: list[IndexEntry] = []
    for path in sorted(folder.glob("*.tar")):
        entries += _scan(path)
    _check_keys(entries, folder)
    lines = (json.dumps(asdict(entry)) + "\n" for entry in entries)
    write_whole(folder / INDEX, (line.encode() for line in lines))
    return entries


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _scan(path: Path) -> list[IndexEntry]:
    """The samples of one tar: runs of files with one key."""
    found: list[IndexEntry] = []
    start = 0
    with path.open("rb") as file:
        for member in members(file, path.stat().st_size, path.name):
            key, _ = split_name(member.name, path.name)
            if found and found[-1].key == key:
                start = found.pop().offset
            found.append(IndexEntry(key, path.name, start, member.end - start))
            start = member.end
    return found


def _read_index(folder: Path) -> tuple[IndexEntry, ...]:
    path = folder / INDEX
    if not path.is_file():
        raise TrainingError(f"{path} is missing; `cg3d-train prepare` writes it when it is done")
    entries = []
    sizes: dict[str, int] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            entry = _entry(line, f"{path}, line {number}")
            if entry.shard not in sizes:
                shard = folder / entry.shard
                if not shard.is_file():
                    raise TrainingError(f"{path} names {entry.shard}, which is not there")
                sizes[entry.shard] = shard.stat().st_size
            if entry.offset + entry.size > sizes[entry.shard]:
                raise TrainingError(
                    f"{path}, line {number}: {entry.shard} has only {sizes[entry.shard]} bytes"
                )
            entries.append(entry)
    _check_keys(entries, folder)
    return tuple(entries)


def _entry(line: str, where: str) -> IndexEntry:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where} is not JSON") from error
    kinds = {"key": str, "shard": str, "offset": int, "size": int}
    if not isinstance(values, dict) or {k: type(v) for k, v in values.items()} != kinds:
        raise TrainingError(f"{where} should hold key, shard, offset and size")
    entry = IndexEntry(**values)
    if not _SHARD.fullmatch(entry.shard):
        raise TrainingError(f"{where}: {entry.shard!r:.80} is not the name of a shard")
    if entry.offset < 0 or entry.offset % BLOCK or not 0 < entry.size <= LARGEST_FILE:
        raise TrainingError(f"{where}: no sample has {entry.size} bytes at {entry.offset}")
    return entry


def _check_keys(entries: list[IndexEntry], folder: Path) -> None:
    seen = set()
    for entry in entries:
        if entry.key in seen:
            raise TrainingError(f"{folder}: two samples have the key {entry.key}")
        seen.add(entry.key)


def _checked(data: bytes, entry: IndexEntry) -> Sample:
    where = f"{entry.shard}: {entry.key}"
    sample = decode_sample(data, where)
    if sample.key != entry.key:
        raise TrainingError(f"{where}: the index points to {sample.key} instead")
    return sample
