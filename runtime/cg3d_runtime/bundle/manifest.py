"""The manifest of a bundle: what is inside, how to feed it, where it came from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from cg3d_runtime.bundle.fields import decode, decode_json, sealed
from cg3d_runtime.bundle.parts import (
    CalibrationInfo,
    CalibrationLevel,
    EncoderInfo,
    FileInfo,
    ImageEncoderInfo,
    ScenesInfo,
    TextInfo,
)
from cg3d_runtime.errors import BundleError, short
from cg3d_runtime.points.prepare import PreprocessSpec

#: The version of the bundle format that this package writes and reads.
FORMAT = 1

#: The manifest's name in the bundle folder.
MANIFEST = "manifest.json"

#: The folder of TensorRT plans, which are made on one machine and stand in no manifest.
ENGINES = "engines"

#: A manifest lists a handful of files and numbers; a larger one is not ours.
MAX_MANIFEST_BYTES = 1 << 20

#: ONNX files end at 2 GiB, and nothing else in a bundle is larger.
MAX_FILE_BYTES = (1 << 31) - 1

#: Fields (of which part, name) that are left out where they are None.
_LATER = (("", "image"), ("", "calibration"), ("", "scenes"), ("text", "phrasing"))

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle says about itself.

    Attributes:
        name: of the bundle, for people.
        created: the day of the export, YYYY-MM-DD.
        encoder: the point cloud encoder.
        preprocess: what a cloud goes through before the encoder.
        text: the text bank.
        parity: how the exported encoder compared with the trained one.
        training: the recipe, the data and the results of training.
        licence: of the whole, as an SPDX expression.
        files: every file of the bundle but the manifest, by its place.
        format: the version of the bundle format.
        image: the image encoder; manifest.json has no such field where there is none.
        calibration: what scores mean and what is unknown; None where it was not measured, and
            then manifest.json has no such field.
        scenes: what scores in scenes mean; likewise.
    """

    name: str
    created: str
    encoder: EncoderInfo
    preprocess: PreprocessSpec
    text: TextInfo
    parity: dict[str, Any]
    training: dict[str, Any]
    licence: str
    files: dict[str, FileInfo] = field(default_factory=dict)
    format: int = FORMAT
    image: ImageEncoderInfo | None = None
    calibration: CalibrationInfo | None = None
    scenes: ScenesInfo | None = None


def file_info(data: bytes) -> FileInfo:
    """What a manifest says about a file with this content."""
    return FileInfo(hashlib.sha256(data).hexdigest(), len(data))


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as the text of manifest.json, with a digest over all the rest.

    Raises:
        BundleError: the manifest breaks a rule of the format.
    """
    _check(manifest)
    return _with_digest(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """Read manifest.json, trusting nothing in it.

    Raises:
        BundleError: no valid manifest, another format version, or a byte of it was changed.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{MANIFEST} is larger than {MAX_MANIFEST_BYTES} bytes, so it is not of a bundle."
        )
    try:
        return _decode(data)
    except RecursionError as error:
        raise BundleError(f"{MANIFEST} is nested too deeply to be of a bundle.") from error


def _decode(data: bytes) -> Manifest:
    value = decode_json(data, MANIFEST)
    if not isinstance(value, dict):
        raise BundleError(f"{MANIFEST} should hold a JSON object. The folder is not a bundle.")
    version = value.get("format")
    if type(version) is not int or version != FORMAT:
        raise BundleError(
            f"{MANIFEST}: format is {short(version)}; this version of cg3d-sdk reads format "
            f"{FORMAT}. Update cg3d-sdk, or export the bundle again with the installed version."
        )
    value.pop("digest", None)
    for part, field_name in _LATER:
        holder = value.get(part) if part else value
        if isinstance(holder, dict):
            holder.setdefault(field_name, None)
    manifest = decode(Manifest, value, MANIFEST)
    _check(manifest)
    # The digest is part of the text; comparing that also notices changed spaces and escapes.
    if data != _with_digest(manifest):
        raise BundleError(
            f"{MANIFEST}: its digest does not match its content, so it was changed after the "
            "export. Copy or export the bundle again."
        )
    return manifest


def check_file_name(name: str, where: str) -> None:
    """Refuse a file name that is not a plain relative path with forward slashes.

    Raises:
        BundleError: it is absolute, climbs with "..", or holds odd characters.
    """
    if len(name) > 200 or not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise BundleError(
            f"{where}: {short(name)} is not a file name that a bundle may hold. Names are "
            "relative, of letters, digits, '.', '_', '-' and '/', and stay inside the bundle. "
            "Rename the file, or where it was damaged copy the bundle again."
        )


def check_file_info(info: FileInfo, where: str, field: str) -> None:
    """Refuse a hash that is none, or a size that no file of a bundle has.

    Raises:
        BundleError: naming the field.
    """
    if not _SHA256.fullmatch(info.sha256):
        raise BundleError(
            f"{where}: {field}.sha256 should be 64 hexadecimal digits. Copy or make it again."
        )
    if not 0 <= info.bytes <= MAX_FILE_BYTES:
        raise BundleError(
            f"{where}: {field}.bytes is {info.bytes}, not between 0 and {MAX_FILE_BYTES}. Copy or "
            "make it again."
        )


def _with_digest(manifest: Manifest) -> bytes:
    value = asdict(manifest)
    for part, field_name in _LATER:  # bundles from before there was one keep their digest
        holder = value[part] if part else value
        if holder[field_name] is None:
            del holder[field_name]
    try:
        return sealed(value)
    except (ValueError, TypeError) as error:
        raise BundleError(
            f"{MANIFEST} holds a value that JSON has no form for: {short(str(error))}."
        ) from error


def _check(manifest: Manifest) -> None:
    """The rules that types alone do not hold."""
    for where, fine, rule in _rules(manifest):
        if not fine:
            raise BundleError(
                f"{MANIFEST}: {where} should be {rule}. Copy or export the bundle again."
            )
    for name, info in manifest.files.items():
        check_file_name(name, f"{MANIFEST}: files")
        check_file_info(info, MANIFEST, f"files[{short(name)}]")
    for where, name in _references(manifest):
        if name not in manifest.files:
            raise BundleError(
                f"{MANIFEST}: {where} names the file {short(name)}, which `files` does not list. "
                "Copy or export the bundle again."
            )


def _rules(manifest: Manifest) -> Iterator[tuple[str, bool, str]]:
    encoder, preprocess, text = manifest.encoder, manifest.preprocess, manifest.text
    yield "created", bool(_DATE.fullmatch(manifest.created)), "a date, YYYY-MM-DD"
    yield "encoder.parameters", encoder.parameters >= 0, "0 or more"
    yield "encoder.embedding_dim", 1 <= encoder.embedding_dim <= 65536, "between 1 and 65536"
    yield "encoder.opset", 1 <= encoder.opset <= 1000, "between 1 and 1000"
    yield "preprocess.points", 8 <= preprocess.points <= 1 << 20, f"between 8 and {1 << 20}"
    yield (
        "preprocess.candidates",
        preprocess.points <= preprocess.candidates <= 1 << 24,
        f"between preprocess.points and {1 << 24}",
    )
    yield "text.logit_scale", 0 < text.logit_scale <= 1e4, "above 0 and at most 10000"
    if text.phrasing is not None:
        templates = text.phrasing.templates
        yield "text.phrasing.templates", 1 <= len(templates) <= 1000, "1 to 1000 templates"
        for i, template in enumerate(templates):
            fine = template.count("{}") == 1 and len(template) <= 1000
            yield f"text.phrasing.templates[{i}]", fine, "a short text with {} in it once"
    if text.encoder is not None:
        length = text.encoder.context_length
        yield "text.encoder.context_length", 2 <= length <= 65536, "between 2 and 65536"
    if manifest.image is not None:
        image = manifest.image
        yield "image.size", 1 <= image.size <= 4096, "between 1 and 4096"
        yield "image.mean", len(image.mean) == 3, "three numbers"
        fine = len(image.std) == 3 and min(image.std) > 0
        yield "image.std", fine, "three numbers above 0"
        yield "image.prompts", image.prompts >= 0, "0 or more"
    if manifest.scenes is not None:
        yield "scenes.found", 0 <= manifest.scenes.found <= 1, "between 0 and 1"
        yield "scenes.growth", 0 <= manifest.scenes.growth <= 2, "between 0 and 2"
    if manifest.calibration is not None:
        yield from _calibration_rules(manifest.calibration.levels)


def _calibration_rules(
    levels: tuple[CalibrationLevel, ...],
) -> Iterator[tuple[str, bool, str]]:
    sizes = [level.labels for level in levels]
    fine = 1 <= len(sizes) <= 100 and sizes[0] >= 1 and sizes == sorted(set(sizes))
    yield "calibration.levels", fine, "1 to 100 levels of ascending numbers of labels"
    for i, level in enumerate(levels):
        where = f"calibration.levels[{i}]"
        yield f"{where}.logit_scale", 0 < level.logit_scale <= 1e4, "above 0 and at most 10000"
        weight = level.cosine_weight
        yield f"{where}.cosine_weight", abs(weight) <= 1e4, "between -10000 and 10000"


def _references(manifest: Manifest) -> Iterator[tuple[str, str]]:
    text = manifest.text
    yield "encoder.file", manifest.encoder.file
    yield "text.labels", text.labels
    yield "text.vectors", text.vectors
    yield "text.mean", text.mean
    if text.encoder is not None:
        yield "text.encoder.file", text.encoder.file
        yield "text.encoder.merges", text.encoder.merges
    if manifest.image is not None:
        yield "image.file", manifest.image.file
    if manifest.calibration is not None:
        yield "calibration.direction", manifest.calibration.direction
        yield "calibration.quantiles", manifest.calibration.quantiles
