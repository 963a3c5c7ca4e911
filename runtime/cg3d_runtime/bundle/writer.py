"""Writing a bundle: all of it or nothing, and the same bytes for the same content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cg3d_runtime.bundle.folders import files_in, write_folder
from cg3d_runtime.bundle.manifest import (
    MANIFEST,
    Manifest,
    check_file_name,
    decode_manifest,
    encode_manifest,
    file_info,
)
from cg3d_runtime.bundle.parts import (
    CalibrationInfo,
    EncoderInfo,
    ImageEncoderInfo,
    ScenesInfo,
    TextInfo,
)
from cg3d_runtime.bundle.reader import Bundle
from cg3d_runtime.errors import BundleError
from cg3d_runtime.points.prepare import PreprocessSpec

#: What `cg3d-export --trt` adds to a bundle on the machine that runs it.
_ENGINE_FILE = re.compile(r"engines/[^/]+/(\w+\.plan(\.json)?|report\.(json|html))")


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
    image: ImageEncoderInfo | None = None,
    calibration: CalibrationInfo | None = None,
    scenes: ScenesInfo | None = None,
) -> Bundle:
    """Write a bundle and open it again, every file checked.

    It is written beside `folder` and renamed, so that a failure leaves what was there before. An
    existing bundle is replaced; any other folder that holds something is left alone.

    Args:
        folder: where the bundle will lie.
        files: the content of every file but the manifest, by its place in the bundle.
        name, created, encoder, preprocess, text, parity, training, licence, image, calibration,
            scenes: see `Manifest`.

    Raises:
        BundleError: `folder` exists and is no bundle, the content breaks a rule of the format, or
            the disk refused.
    """
    manifest = Manifest(
        name,
        created,
        encoder,
        preprocess,
        text,
        dict(parity),
        dict(training),
        licence,
        image=image,
        calibration=calibration,
        scenes=scenes,
    )
    return _write(folder, files, manifest)


def rewrite_bundle(
    bundle: Bundle, folder: str | Path, files: Mapping[str, bytes], **changes: Any
) -> Bundle:
    """Write a bundle with some things changed; every file of the old one is checked and copied.

    Engines that were built of the old bundle are not copied.

    Args:
        bundle: the old one.
        folder: where the new one will lie, which may be the old one's own.
        files: new or other files.
        changes: fields of the `Manifest` that differ.

    Raises:
        BundleError: as `write_bundle`, or the old bundle is damaged.
    """
    old = {name: bundle.bytes(name) for name in bundle.manifest.files}
    return _write(folder, {**old, **files}, replace(bundle.manifest, **changes))


def _write(folder: str | Path, files: Mapping[str, bytes], manifest: Manifest) -> Bundle:
    for place in files:
        check_file_name(place, "a bundle's content")
    infos = {place: file_info(data) for place, data in sorted(files.items())}
    encoded = encode_manifest(replace(manifest, files=infos))
    decoded = decode_manifest(encoded)  # what cannot be read back is not written

    check_replaceable(folder)
    target = Path(folder).resolve()
    try:
        write_folder(
            target,
            {**dict(sorted(files.items())), MANIFEST: encoded},
            check=lambda new: Bundle.open(new).verify(),
        )
    except OSError as error:
        raise BundleError(
            f"the bundle could not be written to {target}: {error}. Check the disk and its "
            "permissions; what was there before is unchanged."
        ) from error
    return Bundle(target, decoded)


def check_replaceable(folder: str | Path) -> None:
    """Refuse to write over anything that is not, as a whole, a bundle.

    Engines that were built of the old bundle do not fit a new one, and go with it.

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
    present = set(files_in(target))
    present = {name for name in present if not _ENGINE_FILE.fullmatch(name)}
    if strangers := sorted(present - set(old.manifest.files) - {MANIFEST}):
        raise BundleError(
            f"{target} is a bundle, but {strangers[0]!r} is no part of it and would be lost. Move "
            "it away or choose another folder."
        )
