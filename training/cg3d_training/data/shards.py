"""Sets of triplets: tar shards, and beside them what is read of them at the start.

    shard-000000.tar ...   samples, in the layout of webdataset (`samples.py`)
    index.jsonl            where in them each sample is (`shard_index.py`)
    objects.jsonl          what each is called
    shards.json            sizes and hashes of the shards

Any reader of webdataset streams the shards; the index makes every sample readable by its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from cg3d_runtime.bundle.disk import sha256_of
from cg3d_runtime.bundle.folders import replace_file_with
from cg3d_runtime.errors import TrainingError
from cg3d_training.data.samples import BLOCK, Sample, decode_sample, members, split_name
from cg3d_training.data.shard_index import (
    INDEX,
    OBJECTS,
    SUMS,
    IndexEntry,
    ShardIndex,
    object_line,
    read_index,
    read_sums,
)
from cg3d_training.data.storage import Cache, storage_of

_CHUNK = 1 << 22


class ShardFolder:
    """A folder of shards with its index, on this machine or in an object store.

    Samples are read one by one; nothing is kept, so that copies of it in many processes cost
    nothing but the index.

    Attributes:
        index: where each sample is.
        storage: where the shards are.
    """

    def __init__(self, source: str | Path, cache: Cache | None = None) -> None:
        """Read the index.

        Args:
            source: a folder, or an address that fsspec opens (`s3://bucket/run`).
            cache: for shards that are fetched; None: `default_cache()`.

        Raises:
            TrainingError: the index is missing or damaged, or does not fit the shards.
            DependencyError: the package for this kind of address is not installed.
        """
        self.storage = storage_of(source, cache)
        self.index = read_index(self.storage)
        self._sums = read_sums(self.storage)
        for shard, end in zip(self.index.shards, self.index.ends.tolist(), strict=True):
            size = self.storage.size(shard, self._sums.get(shard))
            if size is None:
                raise TrainingError(f"{self.storage.where}: {shard} is not there")
            if end > size:
                raise TrainingError(f"{self.storage.where}: {shard} has only {size} bytes")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> Sample:
        """The sample of a row of the index.

        Raises:
            TrainingError: what the index points to is not that sample.
        """
        entry = self.index[row]
        with self._open(entry.shard) as file:
            return _read(file, entry)

    def __iter__(self) -> Iterator[Sample]:
        """All samples in the order of the index, each shard read from front to back once."""
        row = 0
        for shard, count in zip(self.index.shards, self.index.counts.tolist(), strict=True):
            with self._open(shard) as file:
                for one in range(row, row + count):
                    yield _read(file, self.index[one])
            row += count

    def check_cache(self, objects: int) -> None:
        """See that the shards of so many objects fit the cache at a time, if there is one.

        Raises:
            TrainingError: they do not, so shards would be fetched for every sample anew.
        """
        sizes = [self._sums[shard].size for shard in self.index.shards if shard in self._sums]
        share = min(1.0, (objects + int(self.index.counts.max(initial=0))) / max(len(self), 1))
        if self.storage.room is not None and sum(sizes) * share > self.storage.room:
            raise TrainingError(
                f"{self.storage.where}: {objects} objects are shuffled together, whose shards "
                f"have about {sum(sizes) * share / 1e9:.3g} GB, and the cache holds "
                f"{self.storage.room / 1e9:.3g} GB: use a larger --cache-gb or a smaller "
                "data.window"
            )

    def _open(self, shard: str) -> IO[bytes]:
        return self.storage.open(shard, self._sums.get(shard))


def write_shard(path: Path, samples: Iterable[bytes]) -> None:
    """Write a tar of what `encode_sample` gives, whole or not at all."""

    def blocks() -> Iterator[bytes]:
        yield from samples
        yield bytes(2 * BLOCK)

    replace_file_with(path, blocks())


def write_index(folder: Path, quiet: bool = True) -> ShardIndex:
    """Index all .tar files of a folder, in the order of their names, by reading them.

    Writes `objects.jsonl`, `shards.json` and at last `index.jsonl`.

    Raises:
        TrainingError: a tar is damaged, a sample is not sound, or a key is in two places.
    """
    paths = sorted(folder.glob("*.tar"))
    index = ShardIndex((entry for path in paths for entry in _scan(path)), str(folder))
    rows = tqdm(range(len(index)), "index", unit="object", leave=False, disable=quiet)

    def lines() -> Iterator[bytes]:
        for row in rows:
            entry = index[row]
            with (folder / entry.shard).open("rb") as file:
                yield _line(object_line(_read(file, entry)))

    replace_file_with(folder / OBJECTS, lines())
    sums = {path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for path in paths}
    replace_file_with(folder / SUMS, [json.dumps(sums, indent=1).encode()])
    entries = (asdict(index[row]) for row in range(len(index)))
    replace_file_with(folder / INDEX, (_line(entry) for entry in entries))
    return index


def is_indexed(folder: Path) -> bool:
    """Whether a folder has all that `write_index` writes."""
    return all((folder / name).is_file() for name in (INDEX, OBJECTS, SUMS))


def _line(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False) + "\n").encode()


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


def _read(file: IO[bytes], entry: IndexEntry) -> Sample:
    file.seek(entry.offset)
    where = f"{entry.shard}: {entry.key}"
    sample = decode_sample(file.read(entry.size), where)
    if sample.key != entry.key:
        raise TrainingError(f"{where}: the index points to {sample.key} instead")
    return sample
