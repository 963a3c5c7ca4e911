"""PCD files of the Point Cloud Library, version 0.5 to 0.7: ascii, binary, binary_compressed.

Format: https://pointclouds.org/documentation/tutorials/pcd_file_format.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files.lzf import decompress
from cg3d_runtime.files.text import decode_lines, parse_rows

_DTYPES = {
    ("F", 4): "<f4",
    ("F", 8): "<f8",
    **{("I", size): f"<i{size}" for size in (1, 2, 4, 8)},
    **{("U", size): f"<u{size}" for size in (1, 2, 4, 8)},
}
# COLUMNS is what version 0.5 called FIELDS.
_KEYWORDS = (
    *("VERSION", "FIELDS", "COLUMNS", "SIZE", "TYPE", "COUNT"),
    *("WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA"),
)
_LARGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class _Field:
    name: str
    dtype: np.dtype[np.generic]
    count: int

    @property
    def size(self) -> int:
        return self.dtype.itemsize * self.count


@dataclass(frozen=True)
class _Header:
    fields: tuple[_Field, ...]
    points: int
    data: str
    length: int  # bytes up to where the data begins
    lines: int  # and lines, for messages about ascii data


def read_pcd(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points of a PCD file, in the frame they are stored in; VIEWPOINT moves nothing."""
    header = _parse_header(data)
    axes = [_axis(header, axis) for axis in "xyz"]
    if header.points == 0:
        raise InputError("its header says that it holds 0 points")
    body = data[header.length :]
    if header.data == "ascii":
        return _read_ascii(body, header, axes), 0
    if header.data == "binary":
        return _read_binary(body, header, axes), 0
    return _read_compressed(body, header, axes), 0


def _axis(header: _Header, name: str) -> int:
    index = next((i for i, field in enumerate(header.fields) if field.name == name), None)
    if index is None:
        names = " ".join(field.name for field in header.fields)
        raise InputError(f"its header has no field {name!r} (FIELDS {names})")
    if header.fields[index].count != 1:
        raise InputError(f"its field {name!r} has {header.fields[index].count} numbers a point")
    return index


def _read_ascii(body: bytes, header: _Header, axes: list[int]) -> NDArray[np.floating]:
    counts = [field.count for field in header.fields]
    columns = [sum(counts[:axis]) for axis in axes]
    lines = [""] * header.lines + decode_lines(body)
    points = parse_rows(lines, columns, delimiter=None, first=header.lines)
    if len(points) != header.points:
        raise InputError(f"its header promises {header.points} points, {len(points)} lines follow")
    return points.astype(_dtype(header.fields[axis].dtype for axis in axes))


def _read_binary(body: bytes, header: _Header, axes: list[int]) -> NDArray[np.floating]:
    stride = sum(field.size for field in header.fields)
    _check_size(len(body), header.points * stride, header)
    rows = np.frombuffer(body, np.uint8, header.points * stride).reshape(header.points, stride)
    offsets = [sum(field.size for field in header.fields[:axis]) for axis in axes]
    columns = [
        np.ascontiguousarray(rows[:, offset : offset + header.fields[axis].size])
        .view(header.fields[axis].dtype)
        .reshape(-1)
        for axis, offset in zip(axes, offsets, strict=True)
    ]
    return _stack(columns)


def _read_compressed(body: bytes, header: _Header, axes: list[int]) -> NDArray[np.floating]:
    if len(body) < 8:
        raise InputError("truncated: the sizes of the compressed data are missing")
    compressed, size = struct.unpack_from("<II", body)
    expected = header.points * sum(field.size for field in header.fields)
    if size != expected:
        raise InputError(
            f"its header promises {expected} bytes of points, its compressed data {size}"
        )
    _check_size(len(body) - 8, compressed, header)
    plain = decompress(body[8 : 8 + compressed], size)
    # Compressed data is kept field by field, not point by point.
    offsets = [header.points * sum(field.size for field in header.fields[:axis]) for axis in axes]
    columns = [
        np.frombuffer(plain, header.fields[axis].dtype, header.points, offset)
        for axis, offset in zip(axes, offsets, strict=True)
    ]
    return _stack(columns)


def _check_size(present: int, needed: int, header: _Header) -> None:
    if present < needed:
        raise InputError(
            f"truncated: {header.points} points ({header.data}) need {needed} bytes after the "
            f"header, the file has {present}"
        )


def _stack(columns: list[NDArray[np.generic]]) -> NDArray[np.floating]:
    return np.stack(columns, axis=1).astype(_dtype(column.dtype for column in columns))


def _dtype(columns: Iterable[np.dtype[np.generic]]) -> type[np.floating]:
    """float32 where that is what the file declares, else float64, which loses nothing."""
    return np.float32 if all(dtype == np.dtype("<f4") for dtype in columns) else np.float64


def _parse_header(data: bytes) -> _Header:
    values: dict[str, list[str]] = {}
    position = lines = 0
    while "DATA" not in values:
        end = data.find(b"\n", position, _LARGEST_HEADER)
        if end < 0:
            raise InputError("not a PCD file: no DATA line ends its header")
        line = data[position:end].decode("ascii", errors="replace").split("#", 1)[0].split()
        position, lines = end + 1, lines + 1
        if line and line[0].upper() not in _KEYWORDS:
            raise InputError(f"not a PCD header: line {lines} begins with {line[0][:20]!r}")
        if line:
            values[line[0].upper()] = line[1:]
    names = values.get("FIELDS") or values.get("COLUMNS")
    if not names:
        raise InputError("its header has no FIELDS line")
    sizes = _numbers(values, "SIZE", len(names))
    counts = _numbers(values, "COUNT", len(names)) if "COUNT" in values else [1] * len(names)
    types = values.get("TYPE", [])
    if len(types) != len(names):
        raise InputError(f"its TYPE line has {len(types)} entries for {len(names)} fields")
    fields = []
    for name, size, kind, count in zip(names, sizes, types, counts, strict=True):
        if (kind, size) not in _DTYPES:
            raise InputError(f"its field {name!r} has the unknown type {kind} of {size} bytes")
        fields.append(_Field(name, np.dtype(_DTYPES[kind, size]), count))
    mode = (values["DATA"] or [""])[0].lower()
    if mode not in ("ascii", "binary", "binary_compressed"):
        raise InputError(f"DATA {mode[:20]!r} is not ascii, binary or binary_compressed")
    return _Header(tuple(fields), _point_count(values), mode, position, lines)


def _point_count(values: dict[str, list[str]]) -> int:
    width = _numbers(values, "WIDTH", 1)[0]
    height = _numbers(values, "HEIGHT", 1)[0] if "HEIGHT" in values else 1
    points = _numbers(values, "POINTS", 1)[0] if "POINTS" in values else width * height
    if points != width * height:
        raise InputError(
            f"its header contradicts itself: WIDTH {width} x HEIGHT {height}, POINTS {points}"
        )
    return points


def _numbers(values: dict[str, list[str]], key: str, length: int) -> list[int]:
    texts = values.get(key, [])
    if len(texts) != length:
        raise InputError(f"its {key} line should have {length} numbers: {' '.join(texts)[:60]!r}")
    if not all(text.isdecimal() and len(text) < 16 for text in texts):
        raise InputError(f"its {key} line should hold whole numbers: {' '.join(texts)[:60]!r}")
    return [int(text) for text in texts]
