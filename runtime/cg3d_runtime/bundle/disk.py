"""Reading a file of a folder that nobody vouches for: inside it, plain, of the size expected."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cg3d_runtime.errors import BundleError

_AGAIN = "Copy or export the bundle again."

#: Bytes that are read at once.
_BLOCK = 1 << 20


def inside(root: Path, name: str, remedy: str = _AGAIN) -> Path:
    """The file's real place, which must be in `root` whatever links lie on the way.

    Args:
        root: the folder, absolute, with links resolved.
        name: the file in it, with forward slashes.
        remedy: what to do about a fault, as a sentence.

    Raises:
        BundleError: there is no such file, or it lies elsewhere.
    """
    try:
        place = (root / name).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise BundleError(
            f"{root / name} is missing or cannot be reached "
            f"({getattr(error, 'strerror', None) or error}). The bundle is incomplete. {remedy}"
        ) from error
    if not place.is_relative_to(root):
        raise BundleError(
            f"{root / name} is a link that leaves the bundle. A bundle holds its own files: copy "
            "it again, following links."
        )
    return place


def read_inside(
    root: Path,
    name: str,
    *,
    most: int,
    expected: int | None = None,
    said_by: str = "",
    remedy: str = _AGAIN,
) -> bytes:
    """Read a file whose size is checked before anything is allocated for it.

    Args:
        root: the folder, absolute, with links resolved.
        name: the file in it, with forward slashes.
        most: the bytes that such a file has at most.
        expected: the bytes that it should have, where that is known.
        said_by: the file that says so, for the error.
        remedy: what to do about a fault, as a sentence.

    Raises:
        BundleError: no such file, no plain one, one that lies elsewhere or cannot be read, or one
            of another size.
    """
    place = inside(root, name, remedy)
    try:
        # Not blocking: a pipe in the file's place must not hang the robot.
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{place} is not a plain file. {remedy}")
            if expected is not None and found.st_size != expected:
                raise BundleError(
                    f"{place} has {found.st_size} bytes where {said_by} says {expected}: it was "
                    f"changed or cut short. {remedy}"
                )
            if found.st_size > most:
                raise BundleError(f"{place} is larger than {most} bytes, so it is not of a bundle.")
            # One byte more than expected, so that a file that grows meanwhile is noticed as well.
            return file.read(found.st_size + 1)
    except OSError as error:
        raise BundleError(f"{place} cannot be read ({error}). Check its permissions.") from error


_BINARY = getattr(os, "O_BINARY", 0)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file of any size, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
