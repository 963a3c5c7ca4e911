"""Folders whose files are replaced as one: a kill at any moment leaves the old ones or the new.

    CONTENTS.json       which files belong to it, with their sizes and hashes, and a digest
    STEM-VERSION.SUFFIX its files

A save writes files of a new version beside the old ones and then replaces the small JSON file,
which is one step for the disk. What that file does not name is left over from a save that was
interrupted; the next one removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cg3d_runtime.bundle.fields import decode_json, sealed
from cg3d_runtime.bundle.folders import replace_file, sync_folder
from cg3d_runtime.bundle.parts import FileInfo
from cg3d_runtime.errors import BundleError, InputError, short

T = TypeVar("T")

_MAX_JSON = 1 << 16
_CHUNK = 1 << 22
_LOCK = ".lock"


@dataclass(frozen=True)
class VersionedFolder:
    """One kind of folder.

    Attributes:
        kind: what lies in it, with its article: "an index".
        contents: name of the JSON file.
        suffixes: of its files, by their stems.
        format: that this version of the package reads and writes.
        remedy: what makes one anew, for errors: "build it again".
    """

    kind: str
    contents: str
    suffixes: Mapping[str, str]
    format: int
    remedy: str

    @property
    def noun(self) -> str:
        """What lies in it, as "the index"."""
        return "the " + self.kind.split()[-1]

    def names(self, version: str) -> dict[str, str]:
        """The names of a version's files by their stems."""
        return {stem: f"{stem}-{version}.{suffix}" for stem, suffix in self.suffixes.items()}

    def save(
        self,
        folder: Path,
        parts: Mapping[str, Iterable[bytes]],
        seal: Callable[[str, dict[str, FileInfo]], bytes],
    ) -> None:
        """Write a new version and make it the one that counts.

        Args:
            folder: made if it is not there; what is there of this kind is replaced.
            parts: the bytes of each file by its stem.
            seal: the contents' bytes for a version and the sizes and hashes of its files.

        Raises:
            InputError: the folder holds something else, or the disk refused.
        """
        self.check_replaceable(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                version = uuid.uuid4().hex
                names = self.names(version)
                files = {names[s]: _write(folder / names[s], data) for s, data in parts.items()}
                sync_folder(folder)
                replace_file(folder / self.contents, seal(version, files))
                sync_folder(folder)
                for name in os.listdir(folder):  # noqa: PTH208 - names are all that is wanted
                    if (self._is_own(name) and name not in files) or self._is_left_over(name):
                        with contextlib.suppress(OSError):  # mapped by somebody, on Windows
                            (folder / name).unlink()
        except OSError as error:
            raise InputError(
                f"{self.noun} could not be written to {folder}: {error}. Check the disk and its "
                "permissions; what was there before is unchanged."
            ) from error

    def open(self, folder: Path, read: Callable[[dict[str, Any]], T]) -> T:
        """What lies in a folder, trusting nothing.

        Args:
            folder: what `save` wrote.
            read: takes the contents without their digest and reads the files that they name, by
                `map`; BundleErrors of it become InputErrors.

        Raises:
            InputError: none of this kind, a damaged one, or one of another version.
        """
        try:
            while True:
                value, raw = self._contents(folder)
                try:
                    return read(value)
                except FileNotFoundError:
                    # A save may have replaced it between the two steps; then it is read anew.
                    if self._contents(folder)[1] == raw:
                        raise
        except BundleError as error:
            fault = str(error).partition(" The bundle ")[0]  # its advice is about bundles
            remedy = self.remedy[0].upper() + self.remedy[1:]
            raise InputError(f"{folder}: {self.noun} is damaged. {fault} {remedy}.") from error
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not (folder / self.contents).exists():
                found = f"holds no {self.contents}" if folder.is_dir() else "does not exist"
                raise InputError(
                    f"{folder} {found}, so it is not {self.kind}. Check the path, or {self.remedy}."
                ) from error
            raise InputError(
                f"{folder}: {self.noun} cannot be read ({error}). Check the path, or {self.remedy}."
            ) from error

    def map(self, folder: Path, name: str, info: FileInfo) -> mmap.mmap | bytes:
        """A file's bytes, without reading them into memory, after checking size and hash.

        Raises:
            BundleError: the size or the hash is another.
            OSError: it cannot be read.
        """
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(folder / name, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != info.bytes:
                raise damaged(name, f"it has {size} bytes where {self.contents} says {info.bytes}")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        digest = hashlib.sha256()
        for start in range(0, size, _CHUNK):
            digest.update(mapped[start : start + _CHUNK])
        if digest.hexdigest() != info.sha256:
            raise damaged(name, f"its SHA-256 is not the one in {self.contents}")
        return mapped

    def check_names(self, version: str, files: Mapping[str, FileInfo]) -> None:
        """Refuse contents that name other files than those of their version.

        Raises:
            BundleError: they do.
        """
        names = self.names(version).values()
        if set(files) != set(names) or not all(map(self._is_own, names)):
            raise damaged(self.contents, f"it names other files than those of {self.kind}")

    def _contents(self, folder: Path) -> tuple[dict[str, Any], bytes]:
        with (folder / self.contents).open("rb") as file:
            data = file.read(_MAX_JSON + 1)
        value = decode_json(data, self.contents) if len(data) <= _MAX_JSON else None
        if not isinstance(value, dict):
            raise damaged(self.contents, "it should hold a small JSON object")
        if value.get("format") != self.format:
            raise InputError(
                f"{folder / self.contents}: format is {short(value.get('format'))}; this version "
                f"of cg3d-sdk reads format {self.format}. Update cg3d-sdk, or {self.remedy}."
            )
        value.pop("digest", None)
        if sealed(value) != data:
            raise damaged(self.contents, "its digest does not match its content")
        return value, data

    def check_replaceable(self, folder: Path) -> None:
        """Refuse a folder that holds anything but this kind, or what is left of saving one.

        Raises:
            InputError: naming what is in the way.
        """
        if not folder.exists():
            return
        if not folder.is_dir():
            raise InputError(f"{folder} is a file; {self.kind} is a folder. Choose another place.")
        strangers = [
            name
            for name in sorted(os.listdir(folder))  # noqa: PTH208
            if not (
                self._is_own(name) or name in (self.contents, _LOCK) or self._is_left_over(name)
            )
        ]
        if strangers:
            raise InputError(
                f"{folder} holds {strangers[0]!r}, which is no part of {self.kind}. Choose another "
                "folder."
            )
        if (folder / self.contents).exists():
            try:
                self._contents(folder)
            except (BundleError, InputError, OSError) as error:
                raise InputError(
                    f"{folder / self.contents} is not of {self.kind} that may be replaced. Remove "
                    "it, or choose another folder."
                ) from error

    def _is_own(self, name: str) -> bool:
        stems = "|".join(f"{re.escape(s)}-[0-9a-f]{{32}}\\.{x}" for s, x in self.suffixes.items())
        return re.fullmatch(stems, name) is not None

    def _is_left_over(self, name: str) -> bool:
        return name.startswith(f".{self.contents}.")


def damaged(name: str, fault: str) -> BundleError:
    """The error for a file that is not what it should be."""
    return BundleError(f"{name}: {fault}.")


def _write(path: Path, parts: Iterable[bytes]) -> FileInfo:
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
            size += len(part)
        file.flush()
        os.fsync(file.fileno())
    return FileInfo(digest.hexdigest(), size)


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
