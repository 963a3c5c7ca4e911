"""Where shards lie: a folder, or an object store that is read through a bounded local cache.

An object store is whatever fsspec opens: `s3://bucket/run`, `gs://...`, `https://...`. A shard is
fetched whole, checked by its hash, kept under the hash as its name, and put out again when the
cache is full and others have been used since. All processes of a machine share one cache.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import DependencyError, TrainingError

#: Seconds before a fetch that failed is tried again, and again.
PAUSES = (2.0, 20.0)
_CHUNK = 1 << 22
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class ShardSum:
    """What a shard is known by.

    Attributes:
        size: bytes.
        sha256: hexadecimal.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class Cache:
    """Where fetched shards are kept.

    Attributes:
        folder: made where it is missing; its `.tar` files belong to the cache.
        size: bytes that it may hold.
    """

    folder: Path
    size: int


class Storage(Protocol):
    """A folder of shards, somewhere.

    Attributes:
        where: its path or address, for errors.
        room: bytes of shards that can be at hand at a time, or None for all.
    """

    where: str
    room: int | None

    def size(self, shard: str, known: ShardSum | None) -> int | None:
        """Bytes of a shard, or None where there is no such shard."""

    def lines(self, name: str) -> Iterator[str]:
        """The lines of a text file.

        Raises:
            FileNotFoundError: there is none.
            TrainingError: it cannot be read.
        """

    def open(self, shard: str, known: ShardSum | None) -> IO[bytes]:
        """A shard to read from, with `seek`; `known` from `shards.json` where there is one.

        Raises:
            TrainingError: it cannot be read, or is not what it should be.
        """


def storage_of(source: str | Path, cache: Cache | None = None) -> Storage:
    """The storage of a path or an address (with "://").

    Args:
        source: of the folder.
        cache: for what is fetched; None: `default_cache()`.

    Raises:
        DependencyError: the package for this kind of address is not installed.
    """
    if "://" in str(source):
        return RemoteStorage(str(source), cache or default_cache())
    return LocalStorage(Path(source))


def default_cache() -> Cache:
    """50 GB below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Cache(Path(base) / "cg3d-sdk" / "shards", 50 * 10**9)


class LocalStorage:
    """A folder on this machine."""

    room: int | None

    def __init__(self, folder: Path) -> None:
        self.where, self.room, self._folder = str(folder), None, folder

    def size(self, shard: str, known: ShardSum | None) -> int | None:
        """See `Storage`."""
        path = self._folder / shard
        return path.stat().st_size if path.is_file() else None

    def lines(self, name: str) -> Iterator[str]:
        """See `Storage`."""
        with (self._folder / name).open("rb") as file:
            yield from _lines(file, f"{self.where}/{name}")

    def open(self, shard: str, known: ShardSum | None) -> IO[bytes]:
        """See `Storage`; of the sum only the size is checked."""
        try:
            file = (self._folder / shard).open("rb")
        except OSError as error:
            raise TrainingError(f"{self.where}/{shard} cannot be read ({error})") from error
        size = os.fstat(file.fileno()).st_size
        if known is not None and size != known.size:
            file.close()
            raise TrainingError(
                f"{self.where}/{shard} has {size} bytes and not {known.size}: it was changed "
                f"after it was indexed; run `cg3d-train index {self.where}`"
            )
        return file


class RemoteStorage:
    """A folder of an object store."""

    room: int | None

    def __init__(self, address: str, cache: Cache) -> None:
        self.where, self.room, self._cache = address.rstrip("/"), cache.size, cache
        self._opened: tuple[int, Any, str] | None = None
        self._files()  # now, and not in the middle of a run

    def size(self, shard: str, known: ShardSum | None) -> int | None:
        """See `Storage`; as `shards.json` says."""
        return None if known is None else known.size

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def lines(self, name: str) -> Iterator[str]:
        """See `Storage`."""
        files, root = self._files()
        try:
            with files.open(f"{root}/{name}", "rb") as file:
                yield from _lines(file, f"{self.where}/{name}")
        except (FileNotFoundError, TrainingError):
            raise
        except Exception as error:  # drivers raise what their libraries do
            raise TrainingError(f"{self.where}/{name} cannot be read ({error})") from error

    def open(self, shard: str, known: ShardSum | None) -> IO[bytes]:
        """See `Storage`; what is fetched is checked by size and hash."""
        if known is None:
            raise TrainingError(
                f"{self.where} has no sums of its shards, and what is fetched has to be checked: "
                "run `cg3d-train index` on the folder before it is uploaded"
            )
        path = self._cache.folder / f"{known.sha256}.tar"
        while True:
            try:
                file = path.open("rb")
            except FileNotFoundError:
                self._fetch(shard, known, path)  # and open it before another process puts it out
            else:
                os.utime(path)  # used just now
                return file

    def _fetch(self, shard: str, known: ShardSum, path: Path) -> None:
        folder = self._cache.folder
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if path.is_file():  # another process was faster
                return
            part = path.with_suffix(".part")
            with _locked(folder / "room.lock"):
                self._make_room(known.size)
                with part.open("wb") as file:
                    file.truncate(known.size)  # counts from now on
            try:
                for pause in (*PAUSES, None):
                    try:
                        self._download(shard, known, part)
                        break
                    except TrainingError:
                        raise
                    except Exception as error:  # drivers raise what their libraries do
                        if pause is None or isinstance(error, FileNotFoundError):
                            raise TrainingError(
                                f"{self.where}/{shard} cannot be fetched ({error})"
                            ) from error
                        time.sleep(pause)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _download(self, shard: str, known: ShardSum, part: Path) -> None:
        files, root = self._files()
        digest, size = hashlib.sha256(), 0
        with files.open(f"{root}/{shard}", "rb") as source, part.open("r+b") as target:
            while (chunk := source.read(_CHUNK)) and size <= known.size:
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if size != known.size or digest.hexdigest() != known.sha256:
            raise TrainingError(
                f"{self.where}/{shard} is not what shards.json says ({size} bytes of {known.size}, "
                "or another hash): upload the folder anew"
            )

    def _make_room(self, size: int) -> None:
        """Put out the shards that have not been used for longest."""
        if size > self._cache.size:
            raise TrainingError(
                f"a shard of {size} bytes does not fit a cache of {self._cache.size}: use a "
                "larger --cache-gb"
            )
        for part in self._cache.folder.glob("*.part"):  # of processes that were killed
            with _locked(part.with_suffix(".lock"), wait=False) as free:
                if free:
                    part.unlink(missing_ok=True)
        held = []
        for path in [*self._cache.folder.glob("*.tar"), *self._cache.folder.glob("*.part")]:
            try:
                held.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in held)
        for _, freed, path in sorted(held):
            if total + size <= self._cache.size:
                return
            if path.suffix == ".tar":
                path.unlink(missing_ok=True)
                path.with_suffix(".lock").unlink(missing_ok=True)
                total -= freed

    def _files(self) -> tuple[Any, str]:
        """fsspec's file system and the folder's path in it."""
        # Connections do not survive a fork, so each process opens its own.
        if self._opened is None or self._opened[0] != os.getpid():
            fsspec = require("fsspec", "stream", f"Reading {self.where}")
            try:
                files, root = fsspec.core.url_to_fs(self.where)
            except ImportError as error:
                raise DependencyError(
                    f"{self.where}: {error} (with pip install, beside 'cg3d-sdk[stream]')"
                ) from error
            except ValueError as error:
                raise TrainingError(f"{self.where}: {error}") from error
            self._opened = os.getpid(), files, str(root).rstrip("/")
        return self._opened[1], self._opened[2]


@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between processes; the system lets go of it when a process ends.

    Yields:
        Whether it is held: always, where it was waited for.
    """
    import fcntl  # not on Windows, where folders can be read and nothing needs a lock

    while True:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            try:
                # Whoever held it before may have removed the file with what it guarded.
                current = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:
                current = False
            if current:
                yield True
                return


def _lines(file: IO[bytes], where: str) -> Iterator[str]:
    """By chunks: of fsspec's files not all can read a line of bounded length."""
    rest = b""
    while chunk := file.read(_LONGEST_LINE):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise TrainingError(f"{where}: a line of over {_LONGEST_LINE} bytes")
        for line in whole:
            yield line.decode("utf-8", "replace") + "\n"
    if rest:
        yield rest.decode("utf-8", "replace")
