"""TensorRT plans beside a bundle: what each was built from and for, and reading it without trust.

`cg3d-export BUNDLE --trt` writes `BUNDLE/engines/TAG/PART.plan`, the bytes of TensorRT and nothing
else, and beside each a sidecar `PART.plan.json`. A plan runs with one version of TensorRT on one
kind of device only, and TensorRT says little about why; the sidecar and the version in the plan's
header tell it beforehand.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from cg3d_runtime.bundle.disk import read_inside
from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.bundle.manifest import (
    ENGINES,
    MANIFEST,
    MAX_FILE_BYTES,
    encode_manifest,
    file_info,
)
from cg3d_runtime.bundle.reader import Bundle
from cg3d_runtime.engines.machine import (
    PlanHeader,
    check_machine,
    plan_header,
    same_version,
    version_numbers,
)
from cg3d_runtime.engines.place import rebuild_command
from cg3d_runtime.engines.sidecar import (
    MAX_SIDECAR_BYTES,
    PARTS,
    Part,
    PlanInfo,
    Precision,
    Profile,
    decode_plan_info,
    encode_plan_info,
)
from cg3d_runtime.errors import BundleError, EngineError, short

# Whoever writes or loads plans needs this module alone.
__all__ = [
    "ENGINES",
    "PARTS",
    "Part",
    "PlanHeader",
    "PlanInfo",
    "Precision",
    "Profile",
    "check_machine",
    "decode_plan_info",
    "encode_plan_info",
    "plan_folders",
    "plan_header",
    "plan_parts",
    "plan_sources",
    "plan_tag",
    "read_plan",
    "read_plan_info",
    "rebuild_command",
    "write_plan",
]

_TAG = re.compile(r"sm[0-9]{1,4}-trt[0-9]+\.[0-9]+\.[0-9]+-(fp32|fp16|bf16|int8)")


def plan_tag(compute_capability: str, tensorrt: str, precision: Precision) -> str:
    """The name of a folder of plans, e.g. "sm87-trt10.3.0-fp16"."""
    version = ".".join(map(str, version_numbers(tensorrt)[:3]))
    return _checked_tag(f"sm{compute_capability.replace('.', '')}-trt{version}-{precision}")


def plan_sources(bundle: Bundle, part: Part) -> dict[str, str]:
    """The files that a part is built from, with their hashes.

    The parts with a bank count the manifest among them: it holds the factor on cosines.
    """
    manifest = bundle.manifest
    text = manifest.text
    bank = [text.labels, text.vectors, text.mean]
    if part == "text_encoder":
        if text.encoder is None:
            raise BundleError(f"{bundle.root}: the bundle has no text encoder to build a plan of.")
        names = [text.encoder.file]
    else:
        names = {"encoder": [], "bank": bank, "recognizer": bank}[part]
        names = names if part == "bank" else [manifest.encoder.file, *names]
    sources = {name: manifest.files[name].sha256 for name in names}
    if part in ("bank", "recognizer"):
        sources[MANIFEST] = _manifest_hash(bundle)
    return sources


def plan_folders(bundle: Bundle) -> tuple[str, ...]:
    """The tags of the folders of plans that lie in a bundle, sorted; nothing in them is read."""
    try:
        names = [entry.name for entry in (bundle.root / ENGINES).iterdir()]
    except OSError:
        return ()
    return tuple(sorted(name for name in names if _TAG.fullmatch(name)))


def plan_parts(bundle: Bundle, tag: str) -> tuple[Part, ...]:
    """The parts that a folder of plans claims to have; nothing in it is checked."""
    folder = bundle.root / ENGINES / _checked_tag(tag)
    return tuple(
        part
        for part in PARTS
        if any(os.path.lexists(folder / name) for name in (_plan_name(part), _sidecar_name(part)))
    )


def write_plan(folder: str | Path, part: Part, plan: bytes, info: PlanInfo) -> None:
    """Write a plan and its sidecar, each of them whole or not at all.

    The sidecar comes last: between the two the old one does not fit the plan, which is noticed.

    Args:
        folder: BUNDLE/engines/TAG; made where it is missing.
        part: what the plan runs.
        plan: its bytes.
        info: what the sidecar says.

    Raises:
        BundleError: `info` does not fit the plan or breaks a rule, or the disk refused.
    """
    target = Path(folder)
    sidecar = encode_plan_info(info)
    plan_header(plan, _plan_name(part))
    if info.part != part or info.plan != file_info(plan):
        raise BundleError(f"the sidecar of {target / _plan_name(part)} is not about this plan.")
    _checked_tag(target.name)
    try:
        target.mkdir(parents=True, exist_ok=True)
        replace_file(target / _plan_name(part), plan)
        replace_file(target / _sidecar_name(part), sidecar)
    except OSError as error:
        raise BundleError(
            f"the plan could not be written to {target}: {error}. Check the disk and its "
            "permissions."
        ) from error


def read_plan_info(bundle: Bundle, tag: str, part: Part) -> PlanInfo:
    """Read a sidecar alone, and check that it fits the bundle.

    Raises:
        BundleError: it is missing or damaged.
        EngineError: the plan was built from other files than the bundle's.
    """
    name = f"{ENGINES}/{_checked_tag(tag)}/{_sidecar_name(part)}"
    data = read_inside(bundle.root, name, most=MAX_SIDECAR_BYTES, remedy=_remedy(bundle))
    try:
        info = decode_plan_info(data, str(bundle.root / name))
    except BundleError as error:
        raise BundleError(f"{error} {_remedy(bundle)}") from error
    if info.part != part:
        raise BundleError(
            f"{bundle.root / name} is about the part {info.part!r}: it was renamed. "
            f"{_remedy(bundle)}"
        )
    _check_sources(bundle, info, name)
    return info


def read_plan(bundle: Bundle, tag: str, part: Part) -> tuple[PlanInfo, bytes]:
    """Read a plan; exactly the bytes returned are the ones that were checked.

    Args:
        bundle: an opened bundle.
        tag: the name of the folder of plans.
        part: what the plan runs.

    Raises:
        BundleError: the plan or its sidecar is missing, damaged, or lies elsewhere.
        EngineError: the plan was built from other files than the bundle's.
    """
    info = read_plan_info(bundle, tag, part)
    name = f"{ENGINES}/{tag}/{_plan_name(part)}"
    where, remedy = str(bundle.root / name), _remedy(bundle)
    data = read_inside(
        bundle.root,
        name,
        most=MAX_FILE_BYTES,
        expected=info.plan.bytes,
        said_by=_sidecar_name(part),
        remedy=remedy,
    )
    if hashlib.sha256(data).hexdigest() != info.plan.sha256:
        raise BundleError(
            f"{where} was changed after it was built: its SHA-256 is not the one in "
            f"{_sidecar_name(part)}. {remedy}"
        )
    header = plan_header(data, where)
    if header.magic == "ftrt" and not same_version(info.tensorrt, header.version):
        raise BundleError(
            f"{where} was built by TensorRT {header.version}, but {_sidecar_name(part)} says "
            f"{info.tensorrt}. {remedy}"
        )
    return info, data


def _check_sources(bundle: Bundle, info: PlanInfo, name: str) -> None:
    needed = plan_sources(bundle, info.part)
    known = {file: entry.sha256 for file, entry in bundle.manifest.files.items()}
    known[MANIFEST] = _manifest_hash(bundle)
    stale = [file for file in info.sources if info.sources[file] != known.get(file)]
    stale += [file for file in needed if file not in info.sources]
    if stale:
        raise EngineError(
            f"{bundle.root / name}: the graph differs: the plan was built from another "
            f"{short(stale[0])} than the one in the bundle. {_remedy(bundle)}"
        )


def _manifest_hash(bundle: Bundle) -> str:
    return file_info(encode_manifest(bundle.manifest)).sha256


def _checked_tag(tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise BundleError(
            f"{short(tag)} is no name of a folder of plans; those are like 'sm87-trt10.3.0-fp16'."
        )
    return tag


def _plan_name(part: Part) -> str:
    if part not in PARTS:
        raise BundleError(f"{short(part)} is no part of a bundle: {', '.join(PARTS)} are.")
    return f"{part}.plan"


def _sidecar_name(part: Part) -> str:
    return f"{_plan_name(part)}.json"


def _remedy(bundle: Bundle) -> str:
    return f"Build it again: {rebuild_command(bundle)}"
