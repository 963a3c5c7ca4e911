"""Writing a folder of files: all of it or nothing."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path


def write_folder(
    target: Path, files: Mapping[str, bytes], check: Callable[[Path], None] = lambda new: None
) -> None:
    """Write files beside a folder and rename, so that a failure leaves what was there before.

    Args:
        target: where the folder will lie, resolved; what is there now is replaced, so look first.
        files: the content of every file by its place in the folder; written in this order.
        check: reads the new folder before it takes the old one's place, and raises if it is wrong.

    Raises:
        OSError: the disk refused.
    """
    temporary = _sibling(target, "new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for place, data in files.items():
            _write(temporary / place, [data])
        _sync_folders(temporary)
        check(temporary)
        _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it, so that there is the old one or the new one.

    Raises:
        OSError: the disk refused.
    """
    replace_file_with(path, [data])


def replace_file_with(path: Path, parts: Iterable[bytes]) -> None:
    """`replace_file` for what need not be in memory at once.

    A process that is killed leaves ".NAME.new-..." behind.
    """
    temporary = _sibling(path, "new")
    try:
        _write(temporary, parts)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def files_in(folder: Path) -> Iterator[str]:
    """The places of all files in a folder, links included."""
    return (
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def _sibling(target: Path, purpose: str) -> Path:
    return target.with_name(f".{target.name}.{purpose}-{uuid.uuid4().hex[:8]}")


def _write(path: Path, parts: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _swap(temporary: Path, target: Path) -> None:
    """Put the new folder in the old one's place, or leave the old one where it was."""
    if not target.exists() or not any(target.iterdir()):
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    else:
        # A folder cannot be renamed over a full one: the old steps aside for a moment.
        aside = _sibling(target, "old")
        target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            aside.rename(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(target.parent)


def _sync_folders(root: Path) -> None:
    for folder in (*(path for path in root.rglob("*") if path.is_dir()), root):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
