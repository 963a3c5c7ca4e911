"""NumPy's .npy and .npz files, with pickled objects refused and sizes checked first."""

from __future__ import annotations

import math
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.points.check import MIN_POINTS

# The names under which point-cloud projects keep coordinates in an .npz, best known first.
POINT_KEYS = ("points", "xyz", "pos", "positions", "coords", "coord", "vertices", "pc", "cloud")

# Deflate cannot shrink more than this (1032:1), so a larger claim is a lie.
_DEFLATE_LIMIT = 1032

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points of an .npy file: (n, 3 or more) numbers, or records with the fields x, y and z."""
    return _coordinates(_parse_npy(data)), 0


def read_npz(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points of an .npz file: the array under a known name, or the only one that can be points."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
            for key in POINT_KEYS:
                if key in members:
                    return _named(archive, members[key], key), 0
            return _only_candidate(archive, members), 0
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"not a sound .npz archive ({error})") from error
    except (OSError, ValueError, UnicodeError) as error:
        raise InputError(f"not a sound .npz archive ({error})") from error


def _named(archive: zipfile.ZipFile, member: zipfile.ZipInfo, key: str) -> NDArray[np.floating]:
    try:
        return _coordinates(_member(archive, member))
    except InputError as error:
        raise InputError(f"the array {key!r}: {error}") from error


def _only_candidate(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> NDArray[np.floating]:
    found: dict[str, NDArray[np.floating]] = {}
    reasons: list[str] = []
    for key, member in members.items():
        try:
            found[key] = _coordinates(_member(archive, member))
        except InputError as error:
            reasons.append(f"{key!r}: {error}")
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError(
            f"several arrays could be the points: {', '.join(sorted(found))}; "
            "save the one you mean under the name 'points'"
        )
    raise InputError("no array of points in it (" + ("; ".join(reasons) or "it is empty") + ")")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.file_size > _DEFLATE_LIMIT * member.compress_size + 1024:
        raise InputError("its size in the archive's directory cannot be true")
    return _parse_npy(archive.read(member))


def _parse_npy(data: bytes) -> NDArray[Any]:
    """The array of an .npy file's bytes, a view of them; never unpickles."""
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            raise InputError(f"version {version[0]}.{version[1]} of the .npy format is not read")
        shape, fortran_order, dtype = _HEADER_READERS[version](stream)
    except InputError:
        raise
    except Exception as error:  # numpy reads the header as Python code
        raise InputError(f"not an .npy array ({error})") from error
    if dtype.hasobject:
        raise InputError("holds pickled Python objects, which are never loaded; save plain numbers")
    if any(length < 0 for length in shape):
        raise InputError(f"its header claims the shape {shape}")
    count = math.prod(shape)
    claimed, present = count * dtype.itemsize, len(data) - stream.tell()
    if claimed > present:
        raise InputError(
            f"truncated: the header promises {claimed} bytes of array (shape {shape}, {dtype}), "
            f"the file has {present}"
        )
    if claimed == 0:
        raise InputError(f"holds no points (shape {shape})")
    flat = np.frombuffer(data, dtype=dtype, count=count, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _coordinates(array: NDArray[Any]) -> NDArray[np.floating]:
    """The (n, 3) coordinates in an array of numbers or of x, y, z records."""
    if array.dtype.names is not None:
        return _record_coordinates(array)
    if array.dtype.kind not in "fiu":
        raise InputError(f"holds {array.dtype}, not numbers that can be coordinates")
    if array.ndim == 3 and array.shape[2] >= 3:
        raise InputError(
            f"the shape {array.shape} may be an organised cloud or several clouds; "
            "save it as (n, 3), e.g. array.reshape(-1, array.shape[-1])"
        )
    if array.ndim != 2 or array.shape[1] < 3:
        raise InputError(f"has the shape {array.shape}; points are (n, 3) or (n, 3 and more)")
    if len(array) == 3 and array.shape[1] > MIN_POINTS:
        raise InputError(
            f"has the shape {array.shape}, one row each for x, y and z; save array.T, one row for "
            "each point"
        )
    return _as_float(array[:, :3])


def _record_coordinates(array: NDArray[Any]) -> NDArray[np.floating]:
    names = {name.lower(): name for name in array.dtype.names or ()}
    if not {"x", "y", "z"} <= names.keys():
        raise InputError(f"its records have the fields {', '.join(names)}, but no x, y and z")
    columns = [array[names[axis]] for axis in "xyz"]
    for axis, column in zip("xyz", columns, strict=True):
        if column.dtype.kind not in "fiu" or column.ndim != array.ndim:
            raise InputError(f"the field {axis!r} holds {column.dtype}, not one number a point")
    return np.stack([_as_float(column.reshape(-1)) for column in columns], axis=1)


def _as_float(array: NDArray[Any]) -> NDArray[np.floating]:
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return array.astype(np.float32 if single else np.float64)
