"""PLY files, ascii and binary: clouds of vertices, and meshes with faces of any size.

Format: G. Turk, "The PLY Polygon File Format" (1994). Read here rather than through trimesh,
because clouds in PLY are everyday on robots, and because a header that promises more than the
file holds must be an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files.surface import fan_triangles, sample_surface
from cg3d_runtime.files.text import decode_lines, parse_rows

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_CORNERS = ("vertex_indices", "vertex_index")
_LARGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class _Property:
    name: str
    dtype: np.dtype[np.generic]  # of the number, or of a list's entries
    length_dtype: np.dtype[np.generic] | None = None  # of the entry count; None: not a list


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]

    def index(self, names: Sequence[str]) -> int | None:
        return next((i for i, p in enumerate(self.properties) if p.name in names), None)

    @property
    def has_lists(self) -> bool:
        return any(p.length_dtype is not None for p in self.properties)


def read_ply(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Vertices of a PLY file; where it has faces, points sampled on their surface."""
    binary, elements, start, header_lines = _parse_header(data)
    vertex = next((e for e in elements if e.name == "vertex"), None)
    if vertex is None or any(vertex.index([axis]) is None for axis in "xyz"):
        raise InputError("its header has no element 'vertex' with the properties x, y and z")
    if vertex.has_lists:
        raise InputError("its element 'vertex' has list properties, which are not read")
    body = data[start:]
    if binary:
        points, polygons = _read_binary(body, elements)
    else:
        points, polygons = _read_ascii(body, elements, header_lines)
    triangles = fan_triangles(polygons)
    if len(triangles) == 0:
        return points, 0
    return sample_surface(points, triangles), len(triangles)


def read_vertex_properties(data: bytes, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Numbers of the vertices of a PLY file by the names of their properties; faces are not read.

    Args:
        data: the file.
        names: wanted; those that the vertices lack are left out.

    Raises:
        InputError: the file is damaged, or its first element is not `vertex`.
    """
    binary, elements, start, header_lines = _parse_header(data)
    if not elements or elements[0].name != "vertex" or elements[0].has_lists:
        raise InputError("its first element is not a 'vertex' of single numbers")
    vertex, body = elements[0], data[start:]
    columns = {name: i for name in names if (i := vertex.index([name])) is not None}
    if binary:
        record = np.dtype([(f"{i}", p.dtype) for i, p in enumerate(vertex.properties)])
        _check_length(vertex.count * record.itemsize, len(body), vertex)
        rows = np.frombuffer(body, record, vertex.count)
        return {name: rows[f"{i}"].astype(np.float64) for name, i in columns.items()}
    lines = [line for line in decode_lines(body) if line.strip()][: vertex.count]
    _check_length(vertex.count, len(lines), vertex)
    padding = [""] * header_lines
    table = parse_rows(padding + lines, [*columns.values()], delimiter=None, first=header_lines)
    return {name: table[:, i] for i, name in enumerate(columns)}


def _read_binary(
    body: bytes, elements: Sequence[_Element]
) -> tuple[NDArray[np.floating], list[NDArray[np.int64]]]:
    points: NDArray[np.floating] = np.empty((0, 3))
    polygons: list[NDArray[np.int64]] = []
    position = 0
    for element in elements:
        if element.has_lists:
            wanted = element.index(_CORNERS) if element.name == "face" else None
            lists, position = _walk_lists(body, position, element, wanted)
            polygons += lists
            continue
        record = np.dtype([(f"{i}", p.dtype) for i, p in enumerate(element.properties)])
        needed = element.count * record.itemsize
        _check_length(needed, len(body) - position, element)
        if element.name == "vertex":
            rows = np.frombuffer(body, record, element.count, position)
            columns = [rows[f"{element.index([axis])}"] for axis in "xyz"]
            single = all(c.dtype.kind == "f" and c.dtype.itemsize == 4 for c in columns)
            points = np.stack(columns, axis=1).astype(np.float32 if single else np.float64)
        position += needed
    return points, polygons


def _walk_lists(
    body: bytes, position: int, element: _Element, wanted: int | None
) -> tuple[list[NDArray[np.int64]], int]:
    """The lists of one property, grouped by length, and where the next element begins."""
    smallest = sum((p.length_dtype or p.dtype).itemsize for p in element.properties)
    _check_length(element.count * smallest, len(body) - position, element)
    only = element.properties[0]
    if len(element.properties) == 1 and only.length_dtype is not None and element.count:
        uniform = _uniform_lists(body, position, element.count, only)
        if uniform is not None:
            position += element.count * only.length_dtype.itemsize
            position += uniform.size * only.dtype.itemsize
            return ([] if wanted is None else [uniform.astype(np.int64)]), position
    groups: dict[int, list[NDArray[np.generic]]] = {}
    for _ in range(element.count):
        for index, prop in enumerate(element.properties):
            if prop.length_dtype is None:
                position += prop.dtype.itemsize
                continue
            length = _list_length(body, position, prop.length_dtype, element)
            position += prop.length_dtype.itemsize
            size = length * prop.dtype.itemsize
            _check_length(size, len(body) - position, element)
            if index == wanted:
                entries = np.frombuffer(body, prop.dtype, length, position)
                groups.setdefault(length, []).append(entries)
            position += size
        _check_length(0, len(body) - position, element)
    return [np.stack(group).astype(np.int64) for group in groups.values()], position


def _uniform_lists(
    body: bytes, position: int, count: int, prop: _Property
) -> NDArray[np.generic] | None:
    """(count, k) entries where every list has the same length k, the usual mesh; else None."""
    assert prop.length_dtype is not None
    length = int(np.frombuffer(body, prop.length_dtype, 1, position)[0])
    if not 0 < length < 1 << 16:
        return None
    record = np.dtype([("length", prop.length_dtype), ("entries", prop.dtype, (length,))])
    if count * record.itemsize > len(body) - position:
        return None
    rows = np.frombuffer(body, record, count, position)
    entries: NDArray[np.generic] = rows["entries"]
    return entries if bool((rows["length"] == length).all()) else None


def _list_length(body: bytes, position: int, dtype: np.dtype[np.generic], element: _Element) -> int:
    _check_length(dtype.itemsize, len(body) - position, element)
    length = int(np.frombuffer(body, dtype, 1, position)[0])
    if length < 0:
        raise InputError(f"a list of its element {element.name!r} has the length {length}")
    return length


def _check_length(needed: int, present: int, element: _Element) -> None:
    if needed > present:
        raise InputError(
            f"truncated: its header promises {element.count} of the element {element.name!r}, "
            "the file ends before"
        )


def _read_ascii(
    body: bytes, elements: Sequence[_Element], header_lines: int
) -> tuple[NDArray[np.floating], list[NDArray[np.int64]]]:
    lines = [line for line in decode_lines(body) if line.strip()]
    points: NDArray[np.floating] = np.empty((0, 3))
    groups: dict[int, list[list[int]]] = {}
    position = 0
    for element in elements:
        _check_length(element.count, len(lines) - position, element)
        rows = lines[position : position + element.count]
        if element.name == "vertex":
            columns = [element.index([axis]) or 0 for axis in "xyz"]
            padding = [""] * (header_lines + position)
            points = parse_rows(padding + rows, columns, delimiter=None, first=len(padding))
            if len(points) != element.count:
                raise InputError(f"{len(points)} of {element.count} lines hold a vertex")
        elif element.name == "face" and element.index(_CORNERS) is not None:
            for number, row in enumerate(rows, start=header_lines + position + 1):
                corners = _ascii_corners(row, element, number)
                groups.setdefault(len(corners), []).append(corners)
        position += element.count
    return points, [np.array(group, dtype=np.int64) for group in groups.values()]


def _ascii_corners(row: str, element: _Element, line: int) -> list[int]:
    cells = row.split()
    position = 0
    try:
        for prop in element.properties:
            if prop.length_dtype is None:
                position += 1
                continue
            length = int(cells[position])
            entries = cells[position + 1 : position + 1 + length]
            if length < 0 or len(entries) != length:
                break
            if prop.name in _CORNERS:
                return [int(np.int64(int(entry))) for entry in entries]
            position += 1 + length
    except (ValueError, IndexError, OverflowError):
        pass
    raise InputError(f"line {line} is not a face: {row[:40]!r}")


def _parse_header(data: bytes) -> tuple[bool, list[_Element], int, int]:
    """(is binary, elements, where the data begins, lines of the header)."""
    if not data.startswith(b"ply"):
        raise InputError("not a PLY file: it does not begin with 'ply'")
    order: str | None = None
    elements: list[_Element] = []
    position = number = 0
    while True:
        end = data.find(b"\n", position, _LARGEST_HEADER)
        if end < 0:
            raise InputError("not a PLY file: no end_header line")
        words = data[position:end].decode("ascii", errors="replace").split()
        position, number = end + 1, number + 1
        match words:
            case ["end_header"]:
                break
            case [] | ["ply" | "comment" | "obj_info", *_]:
                pass
            case ["format", name, "1.0"] if name in _BYTE_ORDERS:
                order = _BYTE_ORDERS[name]
            case ["element", name, count] if count.isdecimal() and len(count) < 16:
                elements.append(_Element(name, int(count), ()))
            case ["property", *rest] if elements and order is not None:
                last = elements[-1]
                added = (*last.properties, _parse_property(rest, order, number))
                elements[-1] = _Element(last.name, last.count, added)
            case _:
                raise InputError(f"line {number} of its header: {' '.join(words)[:60]!r}")
    if order is None:
        raise InputError("its header has no format line")
    return order != "", elements, position, number


def _parse_property(words: Sequence[str], order: str, line: int) -> _Property:
    match words:
        case [kind, name] if kind in _TYPES:
            return _Property(name, np.dtype(order + _TYPES[kind]))
        case ["list", length, kind, name] if kind in _TYPES and _TYPES.get(length, "f")[0] in "iu":
            length_dtype = np.dtype(order + _TYPES[length])
            return _Property(name, np.dtype(order + _TYPES[kind]), length_dtype)
    raise InputError(f"line {line} of its header: property {' '.join(words)[:60]!r} is not known")
