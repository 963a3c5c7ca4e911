"""Shards from elsewhere: the same samples and the same training, in bounded memory and disk."""

from __future__ import annotations

import dataclasses
import io
import multiprocessing
import os
import pickle
import signal
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
import webdataset
from click.testing import CliRunner
from PIL import Image

from cg3d_runtime.errors import DependencyError, TrainingError
from cg3d_training.cli.main import main
from cg3d_training.config import OptimiserConfig
from cg3d_training.data import storage
from cg3d_training.data.augment import Augmentation
from cg3d_training.data.samples import Sample, encode_sample
from cg3d_training.data.shard_index import OBJECTS, SUMS
from cg3d_training.data.shards import ShardFolder, write_index, write_shard
from cg3d_training.data.storage import Cache, RemoteStorage
from cg3d_training.data.triplet_set import CaptionTable, PictureForm, TripletSet
from cg3d_training.triplets.batches import Batch, Loading, TripletBatches, Wanted
from cg3d_training.triplets.config import TripletConfig, TripletDataConfig

FORM = PictureForm((16, 16), (0.5,) * 3, (0.25,) * 3)
BOTH = Wanted(points=True, pictures=True)


def write_set(
    folder: Path, count: int, in_shard: int, points: int = 80, order: str = "furthest point"
) -> Path:
    """Objects whose records say that their points are in order; they are in none."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(count)
    views = []
    for _ in range(8):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(buffer, "PNG")
        views.append(buffer.getvalue())

    def sample(i: int) -> bytes:
        record = {"name": f"thing {i % 5}", "caption": f"thing {i}", "captions": [], "order": order}
        cloud = rng.normal(size=(points, 6)).astype(np.float16)
        return encode_sample(Sample(f"{i:08d}", cloud, (views[i % 8], views[i // 8 % 8]), record))

    for shard in range(-(-count // in_shard)):
        rows = range(shard * in_shard, min((shard + 1) * in_shard, count))
        write_shard(folder / f"shard-{shard:06d}.tar", map(sample, rows))
    write_index(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty objects in ten shards of 38 kB."""
    return write_set(tmp_path_factory.mktemp("local"), 60, 6)


@pytest.fixture
def stored(folder: Path) -> Iterator[str]:
    """The same in an object store."""
    files = fsspec.filesystem("memory")
    for path in folder.iterdir():
        files.pipe_file(f"/bucket/run/{path.name}", path.read_bytes())
    yield "memory://bucket/run/"
    files.rm("/bucket", recursive=True)


def batches(
    source: Path | str, share: slice = slice(0, 8), cache: Cache | None = None, workers: int = 0,
    **data: object,
) -> TripletBatches:  # fmt: skip
    config = TripletConfig(
        data=TripletDataConfig(str(source), captions="templates", orders=3, **data),  # type: ignore[arg-type]
        optimiser=OptimiserConfig(batch_size=8),
    )
    objects = TripletSet(source, 64, True, cache)
    captions = CaptionTable(objects, "templates")
    return TripletBatches(objects, captions, config, 64, FORM, share, Loading(workers, cache=cache))


def equal(one: Batch, other: Batch) -> bool:
    assert one.points is not None
    assert one.pictures is not None
    return (
        torch.equal(one.points, other.points)
        and torch.equal(one.pictures, other.pictures)
        and np.array_equal(one.rows, other.rows)
        and np.array_equal(one.captions, other.captions)
        and np.array_equal(one.classes, other.classes)
    )


def test_the_same_samples_wherever_they_lie(folder: Path, stored: str, tmp_path: Path) -> None:
    """Against webdataset's own reading of the shards."""
    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    loaded = list(webdataset.WebDataset(tars, shardshuffle=False).decode())
    for source in (stored, f"file://{folder}"):
        shards = ShardFolder(source, Cache(tmp_path / source[:4], 10**6))
        assert len(shards) == len(loaded) == 60
        for row in (59, 0, 17, 31):
            sample, item = shards[row], loaded[row]
            assert sample.key == item["__key__"]
            np.testing.assert_array_equal(sample.points, item["points.npy"])
            assert sample.record == item["json"]
        assert [s.key for s in shards] == [item["__key__"] for item in loaded]


def test_the_same_batches_wherever_shards_lie_and_whoever_reads(
    folder: Path, stored: str, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache", 160_000)  # about four of the ten shards
    sources = [
        batches(folder, window=12), batches(stored, cache=cache, window=12),
        batches(folder, window=12, workers=2),
    ]  # fmt: skip
    for epoch in range(2):
        found = [list(source.epoch(epoch, 0, lambda _: BOTH)) for source in sources]
        assert [len(f) for f in found] == [7, 7, 7]
        for one, two, three in zip(*found, strict=True):
            assert equal(one, two)
            assert equal(one, three)
    assert not equal(found[0][0], next(sources[0].epoch(0, 0, lambda _: BOTH)))
    held = [path.stat().st_size for path in cache.folder.glob("*.tar")]
    assert 2 <= len(held) < 10
    assert sum(held) <= cache.size
    assert not list(cache.folder.glob("*.part"))


def test_an_epoch_goes_on_without_reading_what_was_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(batches(folder).epoch(1, 0, lambda _: BOTH))
    read: list[int] = []
    get = ShardFolder.__getitem__

    def noted(self: ShardFolder, row: int) -> Sample:
        read.append(row)
        return get(self, row)

    monkeypatch.setattr(ShardFolder, "__getitem__", noted)
    rest = list(batches(folder).epoch(1, 5, lambda _: BOTH))
    assert all(equal(a, b) for a, b in zip(whole[5:], rest, strict=True))
    assert read == [row for batch in whole[5:] for row in batch.rows]


@pytest.mark.parametrize("lanes", [1, 2])
def test_two_processes_share_the_batches_of_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    """And with two lanes hardly a shard is read by both."""
    whole = list(batches(folder, window=12, lanes=lanes).epoch(0, 0, lambda _: BOTH))
    opened: list[set[str]] = []
    open_shard = ShardFolder._open

    def noted(self: ShardFolder, shard: str) -> object:
        opened[-1].add(shard)
        return open_shard(self, shard)

    monkeypatch.setattr(ShardFolder, "_open", noted)
    parts = []
    for rank in range(2):
        opened.append(set())
        own = batches(folder, slice(4 * rank, 4 * rank + 4), window=12, lanes=lanes)
        parts.append(list(own.epoch(0, 0, lambda _: BOTH)))
    for one, a, b in zip(whole, *parts, strict=True):
        joined = [torch.cat([getattr(a, k), getattr(b, k)]) for k in ("points", "pictures")]
        assert equal(one, dataclasses.replace(a, points=joined[0], pictures=joined[1]))
        assert np.array_equal(a.captions, b.captions)
    assert len(opened[0] & opened[1]) <= (1 if lanes == 2 else 10)
    assert (len(opened[0]) > 6) == (lanes == 1)


def test_memory_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 objects: under 500 bytes each at the start, and one at a time after that."""
    folder = write_set(tmp_path / "set", 2000, 250, points=64)
    assert sum(path.stat().st_size for path in folder.glob("*.tar")) > 2000 * 3000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    source = batches(folder, window=500)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2000 * 500
    alive: weakref.WeakSet[Sample] = weakref.WeakSet()
    get, most = ShardFolder.__getitem__, [0]

    def noted(self: ShardFolder, row: int) -> Sample:
        sample = get(self, row)
        alive.add(sample)
        most[0] = max(most[0], len(alive))
        return sample

    monkeypatch.setattr(ShardFolder, "__getitem__", noted)
    for _, _batch in zip(range(25), source.epoch(0, 0, lambda _: BOTH), strict=False):
        pass
    assert most[0] <= 2


def test_clouds_are_kept_as_far_as_they_fit(folder: Path) -> None:
    config = TripletConfig(data=TripletDataConfig(str(folder)), optimiser=OptimiserConfig(8))
    config = dataclasses.replace(config, optimiser=OptimiserConfig(batch_size=8))
    objects = TripletSet(folder, 64, True)
    found = []
    for loading in (Loading(), Loading(keep_mb=0)):
        made = TripletBatches(
            objects, CaptionTable(objects, "photo"), config, 64, FORM, slice(0, 8), loading
        )
        for epoch in range(2):
            found.append([b.points for b in made.epoch(epoch, 0, lambda _: BOTH)])
    for kept, anew in zip(found[:2], found[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(kept, anew, strict=True))


def test_points_as_prepared(folder: Path, tmp_path: Path) -> None:
    """The first 64 of the 80, turned and scaled by nothing; refused where they are in no order."""
    still = Augmentation(0.0, scale=(1.0, 1.0), shift=0.0)
    older = write_set(tmp_path, 8, 8, order="")

    def first_epoch(source: Path) -> Iterator[Batch]:
        config = TripletConfig(
            data=TripletDataConfig(str(source), orders=0), augmentation=still,
            optimiser=OptimiserConfig(batch_size=8),
        )  # fmt: skip
        objects = TripletSet(source, 64, True)
        captions = CaptionTable(objects, "photo")
        made = TripletBatches(objects, captions, config, 64, FORM, slice(0, 8), Loading())
        return made.epoch(0, 0, lambda _: Wanted(points=True, pictures=False))

    shards = ShardFolder(folder)
    for batch in first_epoch(folder):
        assert batch.points is not None
        for row, points in zip(batch.rows, batch.points, strict=True):
            expected = shards[int(row)].points[:64, :3].astype(np.float32)
            np.testing.assert_array_equal(points.numpy(), expected)
    with pytest.raises(TrainingError, match=r"data.orders is 0.*made before"):
        next(first_epoch(older))


def test_damage_on_the_way_is_noticed(stored: str, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    data = bytearray(files.cat_file("/bucket/run/shard-000003.tar"))
    data[2000] ^= 1
    files.pipe_file("/bucket/run/shard-000003.tar", bytes(data))
    shards = ShardFolder(stored, Cache(tmp_path, 10**6))
    assert shards[0].key == "00000000"
    with pytest.raises(TrainingError, match=r"shard-000003.tar is not what shards.json says"):
        shards[18]
    files.pipe_file("/bucket/run/shard-000003.tar", bytes(data[:-600]))
    with pytest.raises(TrainingError, match="is not what"):
        shards[18]
    files.rm("/bucket/run/shard-000003.tar")
    with pytest.raises(TrainingError, match="cannot be fetched"):
        shards[18]
    assert len(list(tmp_path.glob("*.tar"))) == 1
    files.rm("/bucket/run/shards.json")
    with pytest.raises(TrainingError, match=r"shard-000000.tar is not there"):
        ShardFolder(stored, Cache(tmp_path, 10**6))


def test_a_connection_that_breaks_is_tried_again(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))
    download, broken = RemoteStorage._download, [2]

    def breaks(*arguments: object) -> None:
        broken[0] -= 1
        if broken[0] >= 0:
            raise (ConnectionResetError if broken[0] else ValueError)("gone")
        download(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RemoteStorage, "_download", breaks)
    shards = ShardFolder(stored, Cache(tmp_path, 10**6))
    assert shards[7].key == "00000007"
    broken[0] = 3
    with pytest.raises(TrainingError, match="cannot be fetched"):
        shards[59]
    (tmp_path / "0.part").write_bytes(bytes(990_000))  # of a process that was killed
    assert shards[59].key == "00000059"
    assert not list(tmp_path.glob("*.part"))


def test_mistakes_are_named(
    folder: Path, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError, match=r"larger --cache-gb or a smaller data.window"):
        batches(stored, cache=Cache(tmp_path, 50_000))
    with pytest.raises(TrainingError, match="a divisor of"):
        batches(folder, lanes=3)
    config = TripletConfig(data=TripletDataConfig(str(folder), orders=-1))
    objects = TripletSet(folder, 64, True)
    captions = CaptionTable(objects, "photo")
    with pytest.raises(TrainingError, match="0 is for the order of the shards"):
        TripletBatches(objects, captions, config, 64, FORM, slice(0, 32), Loading())
    with pytest.raises(TrainingError, match="does not fit a cache"):
        ShardFolder(stored, Cache(tmp_path, 100))[0]
    with pytest.raises(TrainingError, match=r"index.jsonl is missing"):
        ShardFolder("memory://bucket/other")
    with pytest.raises(TrainingError, match="Protocol not known"):
        ShardFolder("nonsense://bucket/other")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DependencyError, match="s3fs"):
        ShardFolder("s3://bucket/run")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(DependencyError, match=r"cg3d-sdk\[stream\]"):
        ShardFolder(stored)


def test_the_storage_can_be_sent_to_another_process(stored: str, tmp_path: Path) -> None:
    shards = ShardFolder(stored, Cache(tmp_path, 10**6))
    shards[0]
    assert pickle.loads(pickle.dumps(shards))[9].key == "00000009"


def test_lines_are_those_of_the_file(folder: Path, stored: str, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    remote = RemoteStorage(stored, Cache(tmp_path, 10**6))
    for text in ("", "one", "one\n", "\n\n", "a" * 999_999 + "\n" + "ä" * 400_000 + "\nend"):
        files.pipe_file("/bucket/run/some.txt", text.encode())
        assert list(remote.lines("some.txt")) == text.splitlines(keepends=True)
    files.pipe_file("/bucket/run/some.txt", b"x" * 3_000_000)
    with pytest.raises(TrainingError, match="a line of over"):
        list(remote.lines("some.txt"))


def test_the_index_command(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for path in folder.glob("*.tar"):
        (old / path.name).write_bytes(path.read_bytes())
    (old / "index.jsonl").write_bytes((folder / "index.jsonl").read_bytes())
    with pytest.raises(TrainingError, match=r"objects.jsonl is missing.*cg3d-train index"):
        TripletSet(old, 64)
    result = CliRunner().invoke(main, ["index", str(old)])
    assert result.exit_code == 0, result.output
    assert "60 objects in 10 shards" in result.output
    for name in ("index.jsonl", OBJECTS, SUMS):
        assert (old / name).read_bytes() == (folder / name).read_bytes()
    lines = (old / OBJECTS).read_text().splitlines()
    (old / OBJECTS).write_text("\n".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(TrainingError, match="another sample there"):
        TripletSet(old, 64)
    (old / OBJECTS).write_text("\n".join(lines[:9]))
    with pytest.raises(TrainingError, match="has 9 lines"):
        TripletSet(old, 64)
    with (old / "shard-000000.tar").open("ab") as file:
        file.write(bytes(512))
    with pytest.raises(TrainingError, match="changed after it was indexed"):
        ShardFolder(old)[0]
    (tmp_path / "empty").mkdir()
    assert "no .tar files" in CliRunner().invoke(main, ["index", str(tmp_path / "empty")]).output


def test_reading_goes_on_after_a_sigterm(folder: Path) -> None:
    """Clusters send it to all processes; the run's own takes what it needs and ends the others."""
    before = set(multiprocessing.active_children())
    source = batches(folder, window=12, workers=2)
    coming = source.epoch(0, 0, lambda _: BOTH)
    found = [next(coming), next(coming)]  # one of each process: both have begun
    readers = set(multiprocessing.active_children()) - before
    assert len(readers) == 2
    for reader in readers:
        assert reader.pid
        os.kill(reader.pid, signal.SIGTERM)
    found += coming
    expected = list(batches(folder, window=12).epoch(0, 0, lambda _: BOTH))
    assert len(found) == len(expected) == 7
    assert all(equal(one, two) for one, two in zip(found, expected, strict=True))
    source.close()
    assert not any(reader.is_alive() for reader in readers)
