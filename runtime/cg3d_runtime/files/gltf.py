"""What is checked in a glTF file before its reader may believe it.

The reader allocates whatever an accessor without data claims to count, and skips compressed
geometry without a word; both are caught here.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from cg3d_runtime.errors import InputError

_UNREAD_COMPRESSION = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")
# Accessors that bring no data of their own stand for zeros; honest files have few of them.
_LARGEST_ZEROS = 1 << 22


def check_gltf(data: bytes) -> None:
    """Refuse a .glb or .gltf whose counts cannot be true or whose geometry is compressed.

    Raises:
        InputError: with the reason.
    """
    document = _document(data)
    required = document.get("extensionsRequired")
    for name in _UNREAD_COMPRESSION:
        if isinstance(required, list) and name in required:
            raise InputError(f"its geometry is compressed ({name}); export it without compression")
    accessors = document.get("accessors")
    claimed = 0
    for accessor in accessors if isinstance(accessors, list) else []:
        if isinstance(accessor, dict) and "bufferView" not in accessor:
            count = accessor.get("count")
            claimed += count if isinstance(count, int) else 0
    if claimed > _LARGEST_ZEROS:
        raise InputError(f"its accessors claim {claimed} elements for which it has no data")


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
