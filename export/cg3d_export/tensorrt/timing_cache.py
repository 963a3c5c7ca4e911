"""Timings of layers, kept from build to build: per device and version of TensorRT, and checked.

TensorRT's own cache bytes follow one line of JSON that says what they are. What does not check is
not handed to TensorRT, which would take bytes of any kind.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cg3d_export.tensorrt.machine import Machine
from cg3d_runtime.bundle.folders import replace_file_with

_MAGIC = b"cg3d timing cache 1 "

#: Caches of whole model zoos stay below this.
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class CacheKey:
    """What timings are true for.

    Attributes:
        tensorrt: version of TensorRT.
        device: the device's name.
        compute_capability: of the device.
    """

    tensorrt: str
    device: str
    compute_capability: str


def cache_key(machine: Machine) -> CacheKey:
    """What timings taken on a machine hold for."""
    device = machine.device
    return CacheKey(
        machine.tensorrt or "none",
        device.name if device else "none",
        device.compute_capability if device else "none",
    )


def default_timing_cache(machine: Machine) -> Path:
    """A file in the user's cache folder (XDG_CACHE_HOME), for this device and TensorRT."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return folder / "cg3d-sdk" / "timing" / f"{machine.tag('timing')}.cache"


def read_timing_cache(path: Path, key: CacheKey) -> tuple[bytes, str]:
    """The cache's bytes for TensorRT, empty where there is none that fits, and a note if so."""
    try:
        if not path.exists():
            return b"", ""
        if path.stat().st_size > _MAX_BYTES:
            return b"", f"the timing cache {path} is larger than {_MAX_BYTES} bytes: not used"
        content = path.read_bytes()
    except OSError as error:
        return b"", f"the timing cache {path} cannot be read ({error}): not used"
    head, _, data = content.partition(b"\n")
    if not head.startswith(_MAGIC):
        return b"", f"{path} is not a timing cache of cg3d-export: not used and left as it is"
    try:
        said = json.loads(head[len(_MAGIC) :])
        whole = said["sha256"] == hashlib.sha256(data).hexdigest()
    except (ValueError, TypeError, KeyError, RecursionError):
        whole = False
    if not whole:
        return b"", f"the timing cache {path} is damaged: not used, a new one takes its place"
    if said.get("key") != key.__dict__:
        return b"", (
            f"the timing cache {path} is of another device or TensorRT: not used, a new one takes "
            "its place"
        )
    return data, ""


def write_timing_cache(path: Path, key: CacheKey, data: bytes) -> str:
    """Replace the cache as a whole; a note instead where that fails. A stranger's file stays."""
    said = {"key": key.__dict__, "sha256": hashlib.sha256(data).hexdigest()}
    try:
        if path.exists() and not _is_ours(path):
            return ""
        head = _MAGIC + json.dumps(said, sort_keys=True).encode() + b"\n"
        replace_file_with(path, [head, data])
    except OSError as error:
        return f"the timing cache {path} cannot be written ({error}): the next build starts anew"
    return ""


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
