"""The sidecar of a TensorRT plan: what it was built from and for, as JSON with a digest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from cg3d_runtime.bundle.fields import decode, decode_json, sealed
from cg3d_runtime.bundle.manifest import MAX_FILE_BYTES, check_file_info
from cg3d_runtime.bundle.parts import FileInfo
from cg3d_runtime.errors import BundleError, short

#: The version of the sidecar's format.
PLAN_FORMAT = 1

#: What of a bundle a plan may run. "recognizer" is encoder and bank in one.
Part = Literal["encoder", "bank", "text_encoder", "recognizer"]
PARTS: tuple[Part, ...] = ("encoder", "bank", "text_encoder", "recognizer")

Precision = Literal["fp32", "fp16", "bf16", "int8"]

#: A sidecar holds some names and numbers; a larger one is not ours.
MAX_SIDECAR_BYTES = 1 << 18

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VERSION = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){2,3}")
_CAPABILITY = re.compile(r"[0-9]{1,3}\.[0-9]{1,2}")
_LONGEST_TEXT = 200


@dataclass(frozen=True)
class Profile:
    """The shapes that an input may have, and the one that was tuned for."""

    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


@dataclass(frozen=True)
class PlanInfo:
    """Everything that a sidecar says about its plan.

    Attributes:
        part: what of the bundle it runs.
        precision: that was asked for.
        plan: size and hash of the plan file.
        onnx_sha256: of the ONNX graph that was built.
        sources: bundle file -> SHA-256 of it when the plan was built; see `plan_sources`.
        tensorrt: the version that built it, e.g. "10.3.0.30"; it stands in the plan's header too.
        compute_capability: of the device it was built for, e.g. "8.7".
        device: that device's name.
        driver: the CUDA version of that machine's driver.
        profiles: input name -> its shapes.
        layer_types: type -> layers, as the engine inspector counted them; {} where it could not.
        version_compatible: built to run with later versions of TensorRT too.
        hardware_compatibility: which other devices it was built to run on.
        created: the day of the build, YYYY-MM-DD.
        format: the version of the sidecar's format.
    """

    part: Part
    precision: Precision
    plan: FileInfo
    onnx_sha256: str
    sources: dict[str, str]
    tensorrt: str
    compute_capability: str
    device: str
    driver: str
    profiles: dict[str, Profile]
    layer_types: dict[str, int]
    version_compatible: bool
    hardware_compatibility: Literal["none", "ampere_plus", "same_compute_capability"]
    created: str
    format: int = PLAN_FORMAT


def encode_plan_info(info: PlanInfo) -> bytes:
    """The sidecar as JSON, with a digest over all the rest.

    Raises:
        BundleError: it breaks a rule of the format.
    """
    _check(info, "a plan's sidecar")
    return sealed(asdict(info))


def decode_plan_info(data: bytes, where: str) -> PlanInfo:
    """Read a sidecar, trusting nothing in it.

    Args:
        data: the file's bytes.
        where: the file, for the error.

    Raises:
        BundleError: no valid sidecar, another format version, or a byte of it was changed.
    """
    if len(data) > MAX_SIDECAR_BYTES:
        raise BundleError(f"{where} is larger than {MAX_SIDECAR_BYTES} bytes, so it is no sidecar.")
    try:
        value = decode_json(data, where)
        if not isinstance(value, dict):
            raise BundleError(f"{where} should hold a JSON object.")
        version = value.get("format")
        if type(version) is not int or version != PLAN_FORMAT:
            raise BundleError(
                f"{where}: format is {short(version)}; this version of cg3d-sdk reads format "
                f"{PLAN_FORMAT}."
            )
        value.pop("digest", None)
        info = decode(PlanInfo, value, where)
    except RecursionError as error:
        raise BundleError(f"{where} is nested too deeply to be a sidecar.") from error
    _check(info, where)
    if data != sealed(asdict(info)):  # the digest is part of it
        raise BundleError(
            f"{where}: its digest does not match its content, so it was changed after the build."
        )
    return info


def _check(info: PlanInfo, where: str) -> None:
    """The rules that types alone do not hold."""
    for field, fine, rule in _rules(info):
        if not fine:
            raise BundleError(f"{where}: {field} should be {rule}.")
    check_file_info(info.plan, where, "plan")
    for name, profile in info.profiles.items():
        shapes = (profile.minimum, profile.optimum, profile.maximum)
        if not _is_profile(shapes):
            raise BundleError(
                f"{where}: profiles[{short(name)}] should be three shapes of one length, none "
                "larger than the next."
            )


def _rules(info: PlanInfo) -> Iterator[tuple[str, bool, str]]:
    hashes = (info.onnx_sha256, *info.sources.values())
    yield "a hash", all(map(_SHA256.fullmatch, hashes)), "64 hexadecimal digits"
    yield "sources", bool(info.sources), "at least one file"
    yield "tensorrt", bool(_VERSION.fullmatch(info.tensorrt)), "a version, as 10.3.0.30"
    capability = bool(_CAPABILITY.fullmatch(info.compute_capability))
    yield "compute_capability", capability, "a number, as 8.7"
    for name, text in (("device", info.device), ("driver", info.driver)):
        fine = len(text) <= _LONGEST_TEXT and text.isprintable()
        yield name, fine, f"at most {_LONGEST_TEXT} printable characters"
    counts = info.layer_types.values()
    yield "layer_types", all(0 <= n <= MAX_FILE_BYTES for n in counts), "numbers of layers"
    yield "profiles", bool(info.profiles), "of at least one input"
    yield "created", bool(_DATE.fullmatch(info.created)), "a date, YYYY-MM-DD"


def _is_profile(shapes: tuple[tuple[int, ...], ...]) -> bool:
    lengths = {len(shape) for shape in shapes}
    return (
        len(lengths) == 1
        and 1 <= lengths.pop() <= 8
        and all(
            1 <= low <= middle <= high <= MAX_FILE_BYTES
            for low, middle, high in zip(*shapes, strict=True)
        )
    )
