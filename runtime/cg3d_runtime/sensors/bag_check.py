"""What is checked in a bag before its reader may believe it: that records lie within the file.

The reader allocates what a record's or a chunk's header claims. Only headers are read here, so a
large bag costs a few seeks for each of its chunks.
Formats: https://wiki.ros.org/Bags/Format/2.0, https://mcap.dev/spec,
https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from cg3d_runtime.errors import InputError

#: Unpacked, a chunk is a few megabytes; more than this is a damaged header.
_LARGEST_CHUNK = 1 << 30

#: Text that lists topics and files.
_LARGEST_METADATA = 1 << 20

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_ROS1_MAGIC = b"#ROSBAG V2.0\n"
_SQLITE_MAGIC = b"SQLite format 3\0"
_MCAP_CHUNK = 0x06
_ROS1_CHUNK = b"\x05"


def check_bag(path: Path) -> None:
    """Refuse a bag, a file or a folder, whose records do not fit into it.

    Raises:
        InputError: with the offset and the reason; in a folder also with the file.
        OSError: it cannot be read.
    """
    if not path.is_dir():
        _check_file(path)
        return
    size = (path / "metadata.yaml").stat().st_size
    if size > _LARGEST_METADATA:
        raise InputError(f"its metadata.yaml has {size} bytes; a list of topics has not so many")
    for file in sorted(path.iterdir()):
        if file.suffix.lower() in (".db3", ".mcap"):
            try:
                _check_file(file)
            except InputError as error:
                raise InputError(f"{file.name}: {error}") from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError("is a device, pipe or folder, not a recording")
    size = path.stat().st_size
    if size == 0:
        raise InputError("the file is empty")
    with path.open("rb") as file:
        suffix = path.suffix.lower()
        if suffix == ".mcap":
            _check_mcap(file, size)
        elif suffix == ".bag":
            _check_ros1(file, size)
        else:
            _check_sqlite(file, size, path)


def _check_mcap(file: BinaryIO, size: int) -> None:
    if file.read(8) != _MCAP_MAGIC:
        raise InputError("byte 0: not an MCAP file")
    file.seek(max(size - 8, 8))
    if file.read(8) != _MCAP_MAGIC:
        raise InputError(
            f"byte {size}: the end of an MCAP file is missing, so it is cut off or its recording "
            "was not closed; `mcap recover` of the MCAP tools saves what is in it"
        )
    position, end = 8, size - 8
    while position < end:
        file.seek(position)
        opcode, length = struct.unpack("<BQ", _exactly(file, 9, position))
        if position + 9 + length > end:
            raise InputError(
                f"byte {position}: a record claims {length} bytes, {end - position - 9} are left"
            )
        if opcode == _MCAP_CHUNK:
            (unpacked,) = struct.unpack_from("<16xQ", _exactly(file, 24, position))
            _check_chunk(unpacked, position)
        position += 9 + length


def _check_ros1(file: BinaryIO, size: int) -> None:
    if file.read(len(_ROS1_MAGIC)) != _ROS1_MAGIC:
        raise InputError("byte 0: not a ROS 1 bag of version 2.0")
    position = len(_ROS1_MAGIC)
    while position < size:
        file.seek(position)
        header = _ros1_part(file, size)
        fields = _ros1_fields(header, position)
        if fields.get(b"op") == _ROS1_CHUNK:
            claimed = fields.get(b"size", b"")
            _check_chunk(int.from_bytes(claimed, "little"), position)
        at = file.tell()
        (length,) = struct.unpack("<I", _exactly(file, 4, at))
        if length > size - at - 4:
            raise InputError(
                f"byte {at}: a record claims {length} bytes of data, {size - at - 4} are left"
            )
        position = at + 4 + length


def _ros1_part(file: BinaryIO, size: int) -> bytes:
    """The header of a record, whose length stands before it."""
    at = file.tell()
    (length,) = struct.unpack("<I", _exactly(file, 4, at))
    if length > size - at - 4:
        raise InputError(
            f"byte {at}: a record's header claims {length} bytes, {size - at - 4} are left"
        )
    return file.read(length)


def _ros1_fields(header: bytes, at: int) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    position = 0
    while position + 4 <= len(header):
        (length,) = struct.unpack_from("<I", header, position)
        name, equals, value = header[position + 4 : position + 4 + length].partition(b"=")
        if not equals or position + 4 + length > len(header):
            raise InputError(f"byte {at}: the header of a record is damaged")
        fields[name] = value
        position += 4 + length
    return fields


def _check_sqlite(file: BinaryIO, size: int, path: Path) -> None:
    header = file.read(100)
    if header[:16] != _SQLITE_MAGIC or len(header) < 100:
        raise InputError("byte 0: not an SQLite file")
    page, pages = struct.unpack_from(">H10xI", header, 16)
    page = 65536 if page == 1 else page
    # The number of pages is valid where it was written with the last change.
    if header[24:28] == header[92:96] and page * pages > size:
        raise InputError(
            f"truncated: byte 28 promises {pages} pages of {page} bytes, the file has {size}"
        )
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size > 0:
        raise InputError(
            f"its recording was not closed: messages are still in {log.name}; "
            f"`sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'` brings them in"
        )


def _check_chunk(unpacked: int, position: int) -> None:
    if unpacked > _LARGEST_CHUNK:
        raise InputError(f"byte {position}: a chunk claims {unpacked} bytes unpacked")


def _exactly(file: BinaryIO, count: int, position: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise InputError(f"byte {position}: the file ends within a record")
    return data
