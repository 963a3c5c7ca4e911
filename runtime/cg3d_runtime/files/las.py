"""LAS and LAZ files of laser scanners, through laspy, in pieces and after their header is checked.

Format: ASPRS, "LAS Specification 1.4"; LAZ is undone by lazrs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import Cg3dError, InputError, first_line
from cg3d_runtime.files.laz import check_laz

# Points are unpacked so many at a time: memory grows with what is there, not with what is claimed.
_CHUNK = 1 << 16

#: Bytes of a point record in formats 0 to 10, without extra dimensions.
_RECORDS = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)
_LAZ_BITS = 0xC0  # set in the format's number where points are compressed
_VLR_HEADER, _EVLR_HEADER = 54, 60


def read_las(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points of a LAS or LAZ file in the unit and frame of its survey, float64."""
    claimed = _check_header(data)
    laspy = require("laspy", "las", f"Reading {path.suffix.lower()} files")
    parts: list[NDArray[np.float64]] = []
    backend = laspy.LazBackend.Lazrs  # not its parallel one: no hidden threads
    with (
        _translated(),
        laspy.open(BytesIO(data), laz_backend=backend, read_evlrs=False) as reader,
    ):
        scales = np.asarray(reader.header.scales, np.float64)
        offsets = np.asarray(reader.header.offsets, np.float64)
        for piece in reader.chunk_iterator(_CHUNK):
            raw = [np.asarray(piece[axis], np.float64) for axis in "XYZ"]
            parts.append(np.stack(raw, axis=1) * scales + offsets)
    points = np.concatenate(parts) if parts else np.empty((0, 3))
    if len(points) != claimed:
        raise InputError(f"its header promises {claimed} points, {len(points)} are in it")
    return points, 0


def _check_header(data: bytes) -> int:
    """The number of points, after everything that a reader would allocate by is checked."""
    if len(data) < 227 or data[:4] != b"LASF":
        raise InputError("byte 0: not a LAS file, or its header is cut off")
    minor = data[25]
    if data[24] != 1 or minor > 4:
        raise InputError(f"byte 24: LAS {data[24]}.{minor} is not read, 1.0 to 1.4 are")
    header_size, start, vlrs, kind, record, points = struct.unpack_from("<HIIBHI", data, 94)
    if minor == 4:
        if len(data) < 375:
            raise InputError("truncated: a header of LAS 1.4 has 375 bytes")
        first_evlr, evlrs, points = struct.unpack_from("<QIQ", data, 235)
        if evlrs and first_evlr + evlrs * _EVLR_HEADER > len(data):
            raise InputError(f"byte 243: {evlrs} extended records cannot be in it")
    least = (227, 227, 227, 235, 375)[minor]
    if not least <= header_size <= start <= len(data):
        raise InputError(
            f"byte 94: its header has {header_size} bytes and its points begin at {start}; the "
            f"file has {len(data)}"
        )
    laszip = _check_vlrs(data, header_size, start, vlrs)
    packed, kind = bool(kind & _LAZ_BITS), kind & ~_LAZ_BITS
    if kind >= len(_RECORDS) or record < _RECORDS[kind]:
        raise InputError(f"byte 104: no points of format {kind} have {record} bytes")
    if points == 0:
        raise InputError("its header says that it holds 0 points")
    if packed:
        check_laz(data, laszip, start, record, points)
    elif points * record > (present := len(data) - start):
        raise InputError(
            f"truncated: byte 107 promises {points} points of {record} bytes, byte {start} and "
            f"after hold {present}"
        )
    return int(points)


def _check_vlrs(data: bytes, position: int, end: int, count: int) -> bytes | None:
    """The variable length records between the header and the points; gives that of LASzip."""
    laszip = None
    for number in range(count):
        if position + _VLR_HEADER > end:
            raise InputError(f"byte 100: {count} records are claimed, {number} are there")
        start = position
        (length,) = struct.unpack_from("<H", data, position + 20)
        position += _VLR_HEADER + length
        if position > end:
            raise InputError(
                f"byte {position - length}: a record of {length} bytes leaves its place"
            )
        if data[start + 2 : start + 18].rstrip(b"\0") == b"laszip encoded":
            laszip = data[position - length : position]
    return laszip


@contextmanager
def _translated() -> Iterator[None]:
    """Whatever laspy or lazrs trip over, as an InputError."""
    try:
        yield
    except Cg3dError:
        raise
    except Exception as error:
        raise InputError(f"not a sound LAS file ({first_line(error)})") from error
    except BaseException as error:
        # What lazrs' Rust code does not foresee arrives as an exception that is no Exception.
        if type(error).__name__ == "PanicException":
            raise InputError(f"not a sound LAZ file ({first_line(error)})") from error
        raise
