"""PCD files: written here by a small encoder of the published format, and real scans."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import read_points
from cg3d_runtime.files.lzf import decompress

HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS {fields}
SIZE {sizes}
TYPE {types}
COUNT {counts}
WIDTH {width}
HEIGHT {height}
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {data}
"""


def lzf_compress(data: bytes) -> bytes:
    """LZF by its description: literal runs up to 32, references up to 8192 back and 264 long."""
    out, literals, position = bytearray(), bytearray(), 0
    seen: dict[bytes, int] = {}

    def flush() -> None:
        for start in range(0, len(literals), 32):
            run = literals[start : start + 32]
            out.append(len(run) - 1)
            out.extend(run)
        literals.clear()

    while position < len(data):
        key = data[position : position + 3]
        found = seen.get(key, -1)
        seen[key] = position
        distance = position - found - 1
        if found < 0 or distance >= 8192 or len(key) < 3:
            literals.append(data[position])
            position += 1
            continue
        length = 3
        while (
            length < 264
            and position + length < len(data)
            and data[found + length] == data[position + length]
        ):
            length += 1
        flush()
        if length - 2 < 7:
            out.append(((length - 2) << 5) | (distance >> 8))
        else:
            out.append((7 << 5) | (distance >> 8))
            out.append(length - 9)
        out.append(distance & 0xFF)
        position += length
    flush()
    return bytes(out)


def pcd(
    cloud: NDArray[np.generic], data: str, *, width: int | None = None, points: int | None = None
) -> bytes:
    """A PCD file of a structured array, written as the format's description says."""
    dtype = cloud.dtype
    assert dtype.names is not None
    bases = [dtype[name].base for name in dtype.names]
    counts = [int(np.prod(dtype[name].shape)) for name in dtype.names]
    kinds = {"f": "F", "i": "I", "u": "U"}
    header = HEADER.format(
        fields=" ".join(dtype.names),
        sizes=" ".join(str(base.itemsize) for base in bases),
        types=" ".join(kinds[base.kind] for base in bases),
        counts=" ".join(map(str, counts)),
        width=len(cloud) if width is None else width,
        height=1,
        points=len(cloud) if points is None else points,
        data=data,
    ).encode()
    if data == "ascii":
        rows = [" ".join(str(v) for name in dtype.names for v in np.ravel(r[name])) for r in cloud]
        return header + "\n".join(rows).encode() + b"\n"
    if data == "binary":
        return header + cloud.tobytes()
    plain = b"".join(np.ascontiguousarray(cloud[name]).tobytes() for name in dtype.names)
    packed = lzf_compress(plain)
    return header + struct.pack("<II", len(packed), len(plain)) + packed


def structured(n: int = 60, seed: int = 1) -> NDArray[np.generic]:
    """Fields in an order that no reader may take for granted, one of them of several numbers."""
    rng = np.random.default_rng(seed)
    fields = [("normal", "<f4", (3,)), ("y", "<f4"), ("x", "<f8"), ("z", "<i2"), ("ring", "u1")]
    cloud = np.zeros(n, dtype=fields)
    cloud["x"], cloud["y"] = rng.normal(size=n), rng.normal(size=n)
    cloud["z"] = rng.integers(-300, 300, n)
    cloud["ring"] = np.arange(n) // 20
    return cloud


@pytest.mark.parametrize("data", ["ascii", "binary", "binary_compressed"])
def test_every_encoding(tmp_path: Path, data: str) -> None:
    cloud = structured()
    (tmp_path / "a.pcd").write_bytes(pcd(cloud, data))

    read = read_points(tmp_path / "a.pcd")

    expected = np.stack([cloud[axis] for axis in "xyz"], axis=1)
    # As text a float32 has its shortest digits, which are not exactly it.
    np.testing.assert_array_equal(read.points.astype(np.float32), expected.astype(np.float32))
    assert read.points.dtype == np.float64
    assert (read.kind, read.faces) == ("pcd", 0)


def test_older_versions_and_nan(tmp_path: Path) -> None:
    text = "COLUMNS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA ascii\n"
    (tmp_path / "a.pcd").write_text(text + "1 2 3\nnan nan nan\n")
    points = read_points(tmp_path / "a.pcd").points
    np.testing.assert_array_equal(points, [[1, 2, 3], [np.nan] * 3])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_lzf_undoes_our_own_compression(pattern: bytes, times: int) -> None:
    data = pattern * times  # repeats, so that references of every length come up
    assert decompress(lzf_compress(data), len(data)) == data


def test_lzf_by_hand() -> None:
    assert decompress(b"\x02abc", 3) == b"abc"
    assert decompress(b"\x00a\x80\x00", 7) == b"aaaaaaa"  # overlapping: 6 more of the last byte
    assert decompress(b"\x00a\xe0\x05\x00", 15) == b"a" * 15  # long form: 7 + 5 + 2 more
    for broken in (b"\x20\x05", b"\x05ab", b"\x00a\xe0", b"\x00a\x20"):
        with pytest.raises(InputError):
            decompress(broken, 3)


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pcd"
    cloud = structured()
    good = pcd(cloud, "binary").decode("latin1")
    packed = pcd(cloud, "binary_compressed")
    cases: list[tuple[bytes, str]] = [
        (good[:-1].encode("latin1"), "truncated: 60 points"),
        (packed[:-1], "truncated: 60 points"),
        (packed[: packed.index(b"compressed\n") + 12], "truncated"),
        (pcd(cloud, "binary", width=10**12, points=10**12), "truncated: 1000000000000 points"),
        (pcd(cloud, "ascii", width=61, points=61), "promises 61 points, 60 lines"),
        (pcd(cloud, "binary_compressed", width=61, points=61), "promises 1"),
        (pcd(cloud, "binary", width=30), "contradicts itself"),
        (pcd(cloud, "binary", width=0, points=0), "0 points"),
        (good.replace(" x ", " q ", 1).encode("latin1"), "no field 'x'"),
        (good.replace("TYPE F", "TYPE Q").encode("latin1"), "unknown type Q"),
        (good.replace("SIZE 4", "SIZE 3").encode("latin1"), "unknown type F of 3"),
        (good.replace("COUNT 3 1 1", "COUNT 3 1 2").encode("latin1"), "'x' has 2 numbers"),
        (good.replace("WIDTH 60", "WIDTH -60").encode("latin1"), "WIDTH line"),
        (good.replace("DATA binary", "DATA zip").encode("latin1"), "'zip'"),
        (b"VERSION 0.7\nFIELDS x y z\n", "no DATA line"),
        (b"hello\nDATA ascii\n", "line 1 begins with 'hello'"),
        (b"\0" * 100, "not a PCD"),
    ]
    for content, reason in cases:
        path.write_bytes(content)
        with pytest.raises(InputError, match=reason):
            read_points(path)


def test_a_bad_ascii_line_is_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    content = pcd(structured(), "ascii").replace(b"\n", b"\r\n").decode().splitlines()
    content[13] = content[13].replace(content[13].split()[3], "oops", 1)
    (tmp_path / "a.pcd").write_text("\n".join(content))
    with pytest.raises(InputError, match="line 14: 'oops'"):
        read_points(tmp_path / "a.pcd")


def test_an_impossible_compressed_size(tmp_path: Path) -> None:
    cloud = np.zeros(1, dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    header = pcd(cloud, "binary_compressed", width=10**8, points=10**8)
    start = header.index(b"compressed\n") + len(b"compressed\n")
    (tmp_path / "a.pcd").write_bytes(
        header[:start] + struct.pack("<II", 4, 12 * 10**8) + b"\0\0\0\0"
    )
    with pytest.raises(InputError, match="cannot hold 1200000000"):
        read_points(tmp_path / "a.pcd")


def test_real_scans(shared: Path) -> None:
    expected = {
        "five_people": (307200, 239075),
        "milk_cartoon_all_small_clorox": (307200, 241407),
        "milk_color": (13704, 13704),
        "office1": (307200, 254456),
        "table_scene_mug_stereo_textured": (307200, 209280),
    }
    for name, (total, valid) in expected.items():
        points = read_points(shared / "data" / "scans" / "pcl" / f"{name}.pcd").points
        finite = np.isfinite(points).all(axis=1)
        assert (len(points), int(finite.sum())) == (total, valid)
        depth = points[finite, 2]  # metres before the camera
        assert 0.3 < depth.min() < depth.max() < 10.0


def test_real_scan_agrees_with_its_ascii_copy(shared: Path, tmp_path: Path) -> None:
    points = read_points(shared / "data" / "scans" / "pcl" / "milk_color.pcd").points
    records = np.zeros(len(points), dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    for axis, name in enumerate("xyz"):
        records[name] = points[:, axis]
    rows = random.Random(0).sample(range(len(points)), 500)
    (tmp_path / "a.pcd").write_bytes(pcd(records[rows], "ascii"))
    np.testing.assert_array_equal(read_points(tmp_path / "a.pcd").points, points[rows])
