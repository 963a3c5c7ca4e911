"""What is checked in a glTF file before its reader may believe it.

The reader allocates whatever an accessor without data claims to count, and skips compressed
geometry without a word; both are caught here.
"""

from __future__ import annotations

import importlib
import json
import struct
from importlib.util import find_spec
from typing import Any

from cg3d_runtime.errors import InputError

_DRACO, _MESHOPT = "KHR_draco_mesh_compression", "EXT_meshopt_compression"
# Accessors that bring no data of their own stand for zeros; honest files have few of them.
_LARGEST_ZEROS = 1 << 22


def check_gltf(data: bytes) -> None:
    """Refuse a .glb or .gltf whose counts cannot be true or whose geometry is compressed.

    Raises:
        InputError: with the reason.
    """
    document = _document(data)
    required = document.get("extensionsRequired")
    required = required if isinstance(required, list) else []
    if _MESHOPT in required:
        raise InputError(f"its geometry is compressed ({_MESHOPT}); export it without compression")
    if _DRACO in required and not _reads_draco():
        raise InputError(
            f"its geometry is compressed ({_DRACO}); install what decodes it with "
            "pip install 'cg3d-sdk[draco]', or export it without compression"
        )
    accessors = document.get("accessors")
    claimed = 0
    for accessor in accessors if isinstance(accessors, list) else []:
        if isinstance(accessor, dict) and "bufferView" not in accessor:
            count = accessor.get("count")
            claimed += count if isinstance(count, int) else 0
    if claimed > _LARGEST_ZEROS:
        raise InputError(f"its accessors claim {claimed} elements for which it has no data")


def _reads_draco() -> bool:
    """Whether DracoPy is there, and a trimesh that calls it."""
    try:
        extensions = importlib.import_module("trimesh.exchange.gltf.extensions")
    except ImportError:
        return False
    return hasattr(extensions, "draco_decode") and find_spec("DracoPy") is not None


def _document(data: bytes) -> dict[str, Any]:
    """The JSON part of a glTF file."""
    text = data
    if data[:4] == b"glTF":
        if len(data) < 20:
            raise InputError("truncated: its glTF header is incomplete")
        version, total, length = struct.unpack_from("<4xIII", data)
        if version != 2:
            raise InputError(f"glTF version {version} is not read, version 2 is")
        if total > len(data) or 20 + length > total:
            raise InputError(f"truncated: its header promises {total} bytes, it has {len(data)}")
        text = data[20 : 20 + length]
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"its glTF description is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise InputError("its glTF description is not a JSON object")
    return document
