"""Shards: what is written is read back, by us and by webdataset; what is damaged is refused."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.samples import Sample, decode_sample, decode_view, encode_sample
from cg3d_training.data.shards import INDEX, ShardFolder, write_index, write_shard


def picture(seed: int, kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def sample(i: int) -> Sample:
    rng = np.random.default_rng(i)
    points = rng.uniform(0, 1, (20 + i, 6)).astype(np.float16)
    record = {"name": f"thing {i}", "caption": "a thing", "captions": ["ä thing"], "radius": 0.5}
    return Sample(f"{i:06d}", points, (picture(i), picture(i + 50, "PNG")), record)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, rows in enumerate((range(3), range(3, 7))):
        write_shard(tmp_path / f"shard-{n:06d}.tar", (encode_sample(sample(i)) for i in rows))
    write_index(tmp_path)
    return tmp_path


def same(one: Sample, other: Sample) -> bool:
    return (
        one.key == other.key
        and np.array_equal(one.points, other.points)
        and one.views == other.views
        and one.record == other.record
    )


def test_read_by_row_and_in_order(folder: Path) -> None:
    shards = ShardFolder(folder)
    assert len(shards) == 7
    for i in (6, 0, 3, 2):
        assert same(shards[i], sample(i))
    assert all(same(got, sample(i)) for i, got in enumerate(shards))
    view = decode_view(shards[1].views[1])
    assert view.shape == (16, 16, 3)
    np.testing.assert_array_equal(view, np.asarray(Image.open(io.BytesIO(picture(51, "PNG")))))


def test_webdataset_reads_them(folder: Path) -> None:
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    loaded = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert [item["__key__"] for item in loaded] == [f"{i:06d}" for i in range(7)]
    for i, item in enumerate(loaded):
        np.testing.assert_array_equal(item["points.npy"], sample(i).points)
        np.testing.assert_array_equal(item["view1.png"], decode_view(sample(i).views[1]))
        assert item["view0.jpg"].shape == (16, 16, 3)
        assert item["json"] == sample(i).record


def test_we_read_what_webdataset_writes(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for i in range(3):
            s = sample(i)
            writer.write({"__key__": s.key, "points.npy": s.points, "view0.jpg": s.views[0],
                          "view1.png": s.views[1], "json": dict(s.record)})  # fmt: skip
    write_index(tmp_path)
    assert all(same(got, sample(i)) for i, got in enumerate(ShardFolder(tmp_path)))


def test_tarfile_reads_them_and_bytes_are_stable(folder: Path) -> None:
    with tarfile.open(folder / "shard-000000.tar") as tar:
        assert tar.getnames()[:4] == [
            "000000.points.npy", "000000.view0.jpg", "000000.view1.png", "000000.json",
        ]  # fmt: skip
        assert {(m.mtime, m.uid, m.uname) for m in tar.getmembers()} == {(0, 0, "")}
    assert encode_sample(sample(1)) == encode_sample(sample(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "../evil"}, "no key"),
        ({"key": "a.b"}, "no key"),
        ({"points": np.zeros((3, 6), np.float32)}, "float16"),
        ({"points": np.zeros((3, 3), np.float16)}, "float16"),
        ({"points": np.full((3, 6), np.inf, np.float16)}, "not finite"),
        ({"views": (b"GIF89a",)}, "neither JPEG nor PNG"),
        ({"record": {"name": "a", "caption": "b"}}, "captions"),
        ({"record": {"captions": []}}, "name and caption"),
    ],
)
def test_samples_that_are_none_are_not_written(change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        encode_sample(replace(sample(0), **change))  # type: ignore[arg-type]


def tar_of(files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def npy_that_promises(shape: str) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((1, 6), np.float16))
    return buffer.getvalue().replace(b"(1, 6), ", shape.encode())


RECORD = json.dumps({"name": "a", "caption": "b", "captions": []}).encode()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.json": RECORD}, "not one sample"),
        ({"a.json": RECORD, "b.points.npy": b""}, "not one sample"),
        ({"x/a.json": RECORD}, "not the name"),
        ({"a.json": RECORD, "a.points.npy": b"\x93NUMPY"}, "points.npy is damaged"),
        ({"a.json": RECORD, "a.points.npy": npy_that_promises("(10**12, 6), ")}, "damaged"),
        ({"a.json": RECORD, "a.points.npy": npy_that_promises("(99, 6),")}, "damaged"),
        ({"a.json": b"[" * 100000, "a.points.npy": npy_that_promises("(1, 6), ")}, "not JSON"),
        ({"a.json": b"[]", "a.points.npy": npy_that_promises("(1, 6), ")}, "captions"),
        (
            {"a.json": RECORD, "a.points.npy": npy_that_promises("(1, 6), "), "a.view3.jpg": b"."},
            r"numbered \[3\]",
        ),
    ],
)
def test_damaged_samples_are_refused(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        decode_sample(tar_of(files), "here")


def test_links_and_false_sizes_are_refused() -> None:
    with pytest.raises(TrainingError, match="no plain file"):
        decode_sample(tar_of({"a.json": b""}, tarfile.SYMTYPE), "here")
    header = tarfile.TarInfo("a.json")
    header.size = 1 << 40
    with pytest.raises(TrainingError, match="promises 1099511627776 bytes"):
        decode_sample(header.tobuf(tarfile.GNU_FORMAT), "here")
    with pytest.raises(TrainingError, match="no tar header"):
        decode_sample(b"x" * 1024, "here")


def test_any_flipped_byte_of_a_header_is_noticed_or_harmless() -> None:
    whole = encode_sample(sample(0))
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        try:
            decode_sample(bytes(damaged), "here")
        except TrainingError:
            continue
    for cut in rng.integers(0, len(whole), 50):
        with pytest.raises(TrainingError):
            decode_sample(whole[:cut], "here")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "not JSON"),
        ('{"key": "a"}', "should hold"),
        ('{"key": "a", "shard": "../x.tar", "offset": 0, "size": 512}', "not the name of a shard"),
        ('{"key": "a", "shard": "none.tar", "offset": 0, "size": 512}', "not there"),
        ('{"key": "a", "shard": "shard-000000.tar", "offset": 7, "size": 512}', "no sample"),
        ('{"key": "a", "shard": "shard-000001.tar", "offset": 0, "size": 99999999}', "has only"),
        ('{"key": "000000", "shard": "shard-000001.tar", "offset": 0, "size": 512}', "two samples"),
        ('{"key": "a", "shard": "shard-000000.tar", "offset": 0, "size": 512}', "not together"),
    ],
)
def test_damaged_indices_are_refused(folder: Path, line: str, message: str) -> None:
    with (folder / INDEX).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(TrainingError, match=message):
        ShardFolder(folder)


def test_an_index_that_points_elsewhere_is_noticed(folder: Path) -> None:
    lines = (folder / INDEX).read_text().splitlines()
    first, second = json.loads(lines[0]), json.loads(lines[1])
    first["key"], second["key"] = second["key"], first["key"]
    (folder / INDEX).write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    with pytest.raises(TrainingError, match="points to 000000"):
        ShardFolder(folder)[0]


def test_missing_index_and_truncated_shard(folder: Path) -> None:
    shard = folder / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:-3000])
    with pytest.raises(TrainingError, match=r"promises|has only"):
        write_index(folder)
    (folder / INDEX).unlink()
    with pytest.raises(TrainingError, match="is missing"):
        ShardFolder(folder)


def test_views_that_are_none() -> None:
    for data in (b"", b"\xff\xd8\xff" + b"\0" * 50, picture(0)[:200]):
        with pytest.raises(TrainingError):
            decode_view(data)
