"""Bags written by rosbags, read back message by message; and bags with faults."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_bags import KINDS, read_changed_bags, storage_file, write_bag
from support.ros_messages import Made, simple

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import read_points
from cg3d_runtime.sensors import CloudTopic, PointCloud2, cloud_topics, read_frames

RNG = np.random.default_rng(3)
CLOUDS = [
    simple(RNG.normal(size=(12, 3)).astype(np.float32), frame_id=f"f{i}", stamp=i, height=2)
    for i in range(3)
]


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bags")
    return {kind: write_bag(kind, folder, {"/points": CLOUDS}) for kind in KINDS}


def same(path: Path, made: list[Made], topic: str | None = None) -> None:
    frames = list(read_frames(path, topic))
    assert len(frames) == len(made)
    for frame, cloud in zip(frames, made, strict=True):
        wanted = PointCloud2.from_message(cloud.message).frame()
        np.testing.assert_array_equal(frame.points, wanted.points)
        assert (frame.frame_id, frame.stamp, frame.height) == (
            wanted.frame_id,
            wanted.stamp,
            wanted.height,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_only_topic_of_clouds_is_found(bags: dict[str, Path], kind: str) -> None:
    same(bags[kind], CLOUDS)
    assert cloud_topics(bags[kind]) == (CloudTopic("/points", 3),)


@pytest.mark.parametrize("kind", ["db3", "mcap", "mcap-zstd"])
def test_the_file_without_its_folder(bags: dict[str, Path], kind: str, tmp_path: Path) -> None:
    file = shutil.copy(storage_file(bags[kind]), tmp_path)
    same(Path(file), CLOUDS)


@pytest.mark.parametrize("kind", ["ros1", "db3", "mcap"])
def test_several_topics_are_listed_with_their_counts(tmp_path: Path, kind: str) -> None:
    path = write_bag(kind, tmp_path, {"/front": CLOUDS[:1], "/rear": CLOUDS[1:]})
    with pytest.raises(InputError, match=r"/front \(1 messages\), /rear \(2 messages\)"):
        next(read_frames(path))
    same(path, CLOUDS[1:], "/rear")
    with pytest.raises(InputError, match=r"no clouds on the topic '/top'; there are: /front"):
        next(read_frames(path, "/top"))


@pytest.mark.parametrize("kind", ["ros1", "db3", "mcap"])
def test_a_bag_without_clouds_says_what_it_holds(tmp_path: Path, kind: str) -> None:
    path = write_bag(kind, tmp_path, {})
    with pytest.raises(InputError, match=r"no topic of .*it holds: std_msgs/msg/String"):
        next(read_frames(path))


@pytest.mark.parametrize("kind", ["ros1", "db3", "mcap"])
def test_a_damaged_message_is_named(tmp_path: Path, kind: str) -> None:
    class Cut(Made):
        cdr = CLOUDS[0].cdr[:40]
        ros1_bytes = CLOUDS[0].ros1_bytes[:40]

    cut = Cut(CLOUDS[0].message, CLOUDS[0].ros1)
    path = write_bag(kind, tmp_path, {"/points": [CLOUDS[0], cut]})
    frames = read_frames(path)
    next(frames)
    with pytest.raises(InputError, match=r"message 1 of /points: byte 2[68]: 3 fields"):
        next(frames)


def test_a_bag_is_read_frame_by_frame_not_as_one_cloud(bags: dict[str, Path]) -> None:
    for path in (bags["ros1"], bags["mcap"], storage_file(bags["db3"])):
        with pytest.raises(InputError, match="read_frames"):
            read_points(path)


def test_paths_that_are_no_bag(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        next(read_frames(tmp_path / "run.mcap"))
    with pytest.raises(InputError, match="not a bag"):
        next(read_frames(tmp_path))
    for suffix in (".bag", ".db3", ".mcap"):
        path = tmp_path / f"empty{suffix}"
        path.touch()
        with pytest.raises(InputError, match="is empty"):
            next(read_frames(path))
        (tmp_path / f"folder{suffix}").mkdir()
        with pytest.raises(InputError):
            next(read_frames(tmp_path / f"folder{suffix}"))


def test_faults_tell_their_offset(bags: dict[str, Path], tmp_path: Path) -> None:
    cases = {
        "mcap": (slice(9, 17), b"\xff" * 8, "byte 8: a record claims 18446744073709551615 bytes"),
        "ros1": (slice(13, 17), b"\xff" * 4, "byte 13: a record's header claims 4294967295"),
        "db3": (slice(28, 32), b"\x7f\xff\xff\xff", "byte 28 promises 2147483647 pages"),
    }
    for kind, (place, lie, reason) in cases.items():
        file = storage_file(bags[kind])
        content = bytearray(file.read_bytes())
        content[place] = lie
        path = tmp_path / file.name
        path.write_bytes(content)
        with pytest.raises(InputError, match=reason):
            next(read_frames(path))


@pytest.mark.parametrize("kind", ["ros1", "db3", "mcap"])
def test_a_recording_that_was_cut_off(bags: dict[str, Path], kind: str, tmp_path: Path) -> None:
    file = storage_file(bags[kind])
    content = file.read_bytes()
    path = tmp_path / file.name
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match=r"byte|truncated"):
        list(read_frames(path))


def test_a_database_that_was_not_closed(bags: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "run.db3"
    shutil.copy(storage_file(bags["db3"]), path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("DELETE FROM messages")
    connection.commit()
    with pytest.raises(InputError, match=r"not closed: messages are still in run\.db3-wal"):
        next(read_frames(path))
    connection.close()  # brings the log in
    with pytest.raises(StopIteration):
        next(read_frames(path))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["ros1", "ros1-lz4", "db3", "mcap", "mcap-zstd"]),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=4),
)
def test_any_clouds_come_back(
    tmp_path_factory: pytest.TempPathFactory, kind: str, sizes: list[tuple[int, int]]
) -> None:
    rng = np.random.default_rng(len(sizes))
    made = [
        simple(rng.normal(size=(max(height, 1) * width, 3)), height=max(height, 1), stamp=i)
        for i, (height, width) in enumerate(sizes)
    ]
    folder = tmp_path_factory.mktemp("any")
    same(write_bag(kind, folder, {"/a": made}), made)


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_of_bags(bags: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """Thousands of these: `python -m support.mutations`."""
    read_changed_bags(bags[kind], tmp_path, 0)
