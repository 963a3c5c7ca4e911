"""What is checked in the compressed points of a LAZ file before lazrs may believe it.

lazrs allocates what the sizes in its records claim, and a process that has not the memory ends.
Format: M. Isenburg, "LASzip: lossless compression of LiDAR data" (2013), and laszip's source.
"""

from __future__ import annotations

import struct

from cg3d_runtime.errors import InputError

_POINTWISE, _LAYERED = 2, 3  # compressors; 1, without chunks, nobody has written since 2011
_VARIABLE = 0xFFFFFFFF  # chunks of any number of points

#: Layers that a chunk has for each item: of points 9, colours 1, with infrared 2, waveforms 1;
#: of extra bytes one for each.
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
_EXTRA_BYTES = 14


def check_laz(data: bytes, record: bytes | None, start: int, size: int, points: int) -> None:
    """Refuse compressed points whose sizes cannot be true.

    Args:
        data: the file.
        record: what the header's record of LASzip holds; None where there is none.
        start: where the compressed points begin.
        size: bytes of a point, unpacked.
        points: how many the header promises.

    Raises:
        InputError: with the offset and the reason.
    """
    if record is None or len(record) < 34:
        raise InputError("its points are compressed, but no record says how")
    compressor, chunk, count = struct.unpack_from("<H10xI16xH", record)
    if compressor not in (_POINTWISE, _LAYERED):
        raise InputError(f"compressor {compressor} is not read, 2 and 3 are")
    if len(record) < 34 + 6 * count:
        raise InputError(f"its record of LASzip claims {count} items, it has {len(record)} bytes")
    items = [struct.unpack_from("<HH", record, 34 + 6 * i) for i in range(count)]
    if sum(length for _, length in items) != size or chunk == 0:
        raise InputError(f"its record of LASzip is not for points of {size} bytes")
    end = _check_table(data, start, points, chunk)
    if compressor == _LAYERED:
        if not items or any(kind not in (*_LAYERS, _EXTRA_BYTES) for kind, _ in items):
            raise InputError("its record of LASzip names items that layers cannot hold")
        layers = sum(_LAYERS.get(kind, length) for kind, length in items)
        _check_chunks(data, start + 8, end, size, layers, points)


def _check_table(data: bytes, start: int, points: int, chunk: int) -> int:
    """Where the table of chunks begins, which is where they end."""
    if start + 8 > len(data):
        raise InputError(f"truncated: byte {start} should tell where the table of chunks is")
    (place,) = struct.unpack_from("<q", data, start)
    if place == -1:  # written in one go: it is told at the end
        (place,) = struct.unpack_from("<q", data, len(data) - 8)
    if not start + 8 <= place <= len(data) - 8:
        raise InputError(f"byte {start}: the table of chunks would be at byte {place}")
    _, chunks = struct.unpack_from("<II", data, place)
    most = points if chunk == _VARIABLE else -(-points // chunk)
    if chunks > most:
        raise InputError(f"byte {place + 4}: {chunks} chunks for {points} points")
    return int(place)


def _check_chunks(
    data: bytes, position: int, end: int, size: int, layers: int, points: int
) -> None:
    """A chunk: its first point, how many it has, the size of each layer, the layers."""
    header = struct.Struct(f"<{size}x{1 + layers}I")
    found = 0
    while found < points:
        if position + header.size > end:
            raise InputError(f"truncated: byte {position}: {points - found} points are missing")
        count, *sizes = header.unpack_from(data, position)
        if count == 0 or position + header.size + sum(sizes) > end:
            raise InputError(
                f"byte {position}: a chunk claims {count} points in {sum(sizes)} bytes"
            )
        found += count
        position += header.size + sum(sizes)
