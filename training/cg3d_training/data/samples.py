"""One triplet as files of a tar shard, in the layout of webdataset.

KEY.points.npy   (n, 6) float16: x, y, z in the unit sphere, y up; r, g, b from 0 to 1
KEY.view0.jpg    pictures, JPEG or PNG, numbered from 0
KEY.json         name, caption, captions, and where the object comes from
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle.arrays import decode_array, encode_array
from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import BundleError, TrainingError

#: Bytes of a tar's blocks.
BLOCK = tarfile.BLOCKSIZE
#: Bytes of the largest file that is believed to be in a shard.
LARGEST_FILE = 1 << 28

#: What a record says under "order" where every prefix of the points is a furthest point sample.
FURTHEST_FIRST = "furthest point"

_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
_VIEW = re.compile(r"view(\d{1,3})\.(jpg|png)")
_MAGIC = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n"}
_LARGEST_VIEW = 4096


@dataclass(frozen=True, eq=False)
class Sample:
    """A triplet.

    Attributes:
        key: its name in the set: letters, digits, "_" and "-".
        points: (n, 6) float16, n >= 1, finite: position in the unit sphere, colour from 0 to 1.
        views: JPEG or PNG files; `decode_view` makes pixels of them.
        record: has "name" and "caption" (str) and "captions" (list of str: those that were given,
            not made from templates). What `prepare` writes has also source, licence, creator,
            order (`FURTHEST_FIRST`), centroid and radius: position * radius + centroid is where
            the mesh has the point.
    """

    key: str
    points: NDArray[np.float16]
    views: tuple[bytes, ...]
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One file in a tar.

    Attributes:
        name: its name there.
        offset: where its bytes begin.
        size: how many they are.
        end: where the next header begins.
    """

    name: str
    offset: int
    size: int
    end: int


def encode_sample(sample: Sample) -> bytes:
    """The sample as a run of whole tar blocks; the same sample always gives the same bytes.

    Raises:
        TrainingError: the sample is not as `Sample` says.
    """
    _check(sample, sample.key)
    files = {"points.npy": encode_array(sample.points)}
    for i, view in enumerate(sample.views):
        files[f"view{i}.{_kind(view, sample.key)}"] = view
    text = json.dumps(dict(sample.record), ensure_ascii=False, sort_keys=True)
    files["json"] = text.encode()
    parts = []
    for name, data in files.items():
        header = tarfile.TarInfo(f"{sample.key}.{name}")
        header.size = len(data)  # no time, no owner: bytes depend on the content alone
        parts += [header.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % BLOCK)]
    return b"".join(parts)


def decode_sample(data: bytes, where: str) -> Sample:
    """Read what `encode_sample` wrote, trusting nothing.

    Args:
        data: the blocks of one sample.
        where: shard and key, for errors.

    Raises:
        TrainingError: it is not the files of one sound sample.
    """
    files: dict[str, bytes] = {}
    keys = set()
    for member in members(io.BytesIO(data), len(data), where):
        key, name = split_name(member.name, where)
        if name in files:
            raise TrainingError(f"{where}: {member.name} is there twice")
        keys.add(key)
        files[name] = data[member.offset : member.offset + member.size]
    if len(keys) != 1 or not {"points.npy", "json"} <= files.keys():
        raise TrainingError(f"{where}: holds {sorted(files)} of {sorted(keys)}, not one sample")
    try:
        points = decode_array(files["points.npy"], f"{where}: points.npy")
    except BundleError as error:
        raise TrainingError(f"{where}: points.npy is damaged") from error
    try:
        record = json.loads(files["json"])
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where}: its record is not JSON ({error})") from error
    numbered = {}
    for name, content in files.items():
        if found := _VIEW.fullmatch(name):
            numbered[int(found[1])] = content
    if sorted(numbered) != list(range(len(numbered))):
        raise TrainingError(f"{where}: its views are numbered {sorted(numbered)}")
    views = tuple(numbered[i] for i in range(len(numbered)))
    sample = Sample(keys.pop(), points, views, record)
    _check(sample, where)
    return sample


def decode_view(view: bytes) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 sRGB of a JPEG or PNG file.

    Raises:
        TrainingError: it is neither, is damaged, or is over 4096 pixels on a side.
    """
    image = require("PIL.Image", "train", "Reading views")
    _kind(view, "view")
    try:
        with image.open(io.BytesIO(view), formats=("JPEG", "PNG")) as picture:
            if max(picture.size) > _LARGEST_VIEW:
                raise TrainingError(f"a view of {picture.size[0]} x {picture.size[1]} pixels")
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise TrainingError(f"a view cannot be decoded ({error})") from error


def members(file: IO[bytes], end: int, where: str, start: int = 0) -> Iterator[Member]:
    """The files of a tar, header by header, without reading what is in them.

    Args:
        file: can seek.
        end: bytes in it.
        where: its name, for errors.
        start: where the first header is.

    Raises:
        TrainingError: a header is damaged, or promises more bytes than there are.
    """
    while start + BLOCK <= end:
        file.seek(start)
        try:
            header = tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # missing in typeshed
            return  # two blocks of zeros close a tar
        except tarfile.HeaderError as error:
            raise TrainingError(f"{where}: no tar header at byte {start} ({error})") from error
        offset = start + BLOCK
        after = offset + header.size + -header.size % BLOCK
        if not 0 <= header.size <= LARGEST_FILE or after > end:
            raise TrainingError(
                f"{where}: {header.name!r:.80} promises {header.size} bytes at byte {offset} "
                f"of {end}"
            )
        if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield Member(header.name, offset, header.size, after)
        elif header.type not in (tarfile.XHDTYPE, tarfile.XGLTYPE):  # notes, of times for example
            raise TrainingError(f"{where}: {header.name!r:.80} is no plain file")
        start = after


def split_name(name: str, where: str) -> tuple[str, str]:
    """Key and rest of a file's name in a shard.

    Raises:
        TrainingError: it has none, or a folder in it.
    """
    key, dot, rest = name.partition(".")
    if not dot or not _KEY.fullmatch(key):
        raise TrainingError(f"{where}: {name!r:.80} is not the name of a sample's file")
    return key, rest


def _kind(view: bytes, where: str) -> str:
    for kind, magic in _MAGIC.items():
        if view.startswith(magic):
            return kind
    raise TrainingError(f"{where}: a view is neither JPEG nor PNG")


def _check(sample: Sample, where: str) -> None:
    points, record = sample.points, sample.record
    if not _KEY.fullmatch(sample.key):
        raise TrainingError(f"{where}: {sample.key!r:.80} is no key (letters, digits, _ and -)")
    if points.dtype != np.float16 or points.ndim != 2 or points.shape[1] != 6 or not len(points):
        raise TrainingError(
            f"{where}: points are {points.dtype} {points.shape}, not float16 (n, 6)"
        )
    if not np.isfinite(points).all():
        raise TrainingError(f"{where}: a point is not finite")
    for view in sample.views:
        _kind(view, where)
    captions = record.get("captions") if isinstance(record, Mapping) else None
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        raise TrainingError(f"{where}: its record has no list of captions")
    if not isinstance(record.get("name"), str) or not isinstance(record.get("caption"), str):
        raise TrainingError(f"{where}: its record has no name and caption")
