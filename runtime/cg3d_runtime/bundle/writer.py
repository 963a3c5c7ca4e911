"""Writing a bundle: all of it or nothing, and the same bytes for the same content."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cg3d_runtime.bundle.manifest import (
    MANIFEST,
    EncoderInfo,
    Manifest,
    TextInfo,
    check_file_name,
    decode_manifest,
    encode_manifest,
    file_info,
)
from cg3d_runtime.bundle.reader import Bundle
from cg3d_runtime.errors import BundleError
from cg3d_runtime.points.prepare import PreprocessSpec


def write_bundle(
    folder: str | Path,
    files: Mapping[str, bytes],
    *,
    name: str,
    created: str,
    encoder: EncoderInfo,
    preprocess: PreprocessSpec,
    text: TextInfo,
    parity: Mapping[str, Any],
    training: Mapping[str, Any],
    licence: str,
) -> Bundle:
    """Write a bundle and open it again, every file checked.

    It is written beside `folder` and renamed, so that a failure leaves what was there before. An
    existing bundle is replaced; any other folder that holds something is left alone.

    Args:
        folder: where the bundle will lie.
        files: the content of every file but the manifest, by its place in the bundle.
        name, created, encoder, preprocess, text, parity, training, licence: see `Manifest`.

    Raises:
        BundleError: `folder` exists and is no bundle, the content breaks a rule of the format, or
            the disk refused.
    """
    for place in files:
        check_file_name(place, "a bundle's content")
    infos = {place: file_info(data) for place, data in sorted(files.items())}
    manifest = encode_manifest(
        Manifest(
            name, created, encoder, preprocess, text, dict(parity), dict(training), licence, infos
        )
    )
    decode_manifest(manifest)  # what cannot be read back is not written

    check_replaceable(folder)
    target = Path(folder).resolve()
    temporary = _sibling(target, "new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for place, data in (*sorted(files.items()), (MANIFEST, manifest)):
            _write(temporary / place, data)
        _sync_folders(temporary)
        written = Bundle.open(temporary)
        written.verify()
        _swap(temporary, target)
    except OSError as error:
        raise BundleError(
            f"the bundle could not be written to {target}: {error}. Check the disk and its "
            "permissions; what was there before is unchanged."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(target, written.manifest)


def check_replaceable(folder: str | Path) -> None:
    """Refuse to write over anything that is not, as a whole, a bundle.

    Raises:
        BundleError: `folder` holds something else, or something beside a bundle.
    """
    target = Path(folder).resolve()
    if not target.exists():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    try:
        old = Bundle.open(target)
    except BundleError as error:
        raise BundleError(
            f"{target} exists and is not a bundle that may be replaced ({error}). Choose another "
            "folder or remove it."
        ) from error
    present = {file.relative_to(target).as_posix() for file in _files(target)}
    if strangers := sorted(present - set(old.manifest.files) - {MANIFEST}):
        raise BundleError(
            f"{target} is a bundle, but {strangers[0]!r} is no part of it and would be lost. Move "
            "it away or choose another folder."
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _sibling(target: Path, purpose: str) -> Path:
    return target.with_name(f".{target.name}.{purpose}-{uuid.uuid4().hex[:8]}")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
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
    _sync_folder(target.parent)


def _sync_folders(root: Path) -> None:
    for folder in (*(path for path in root.rglob("*") if path.is_dir()), root):
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
