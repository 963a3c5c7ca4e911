"""Bags of every kind, written by rosbags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rosbags import rosbag1, rosbag2
from support.ros_messages import ROS1, ROS2, Made

from cg3d_runtime.errors import Cg3dError
from cg3d_runtime.sensors import read_frames

#: What `write_bag` writes, by name.
KINDS = ("ros1", "ros1-bz2", "ros1-lz4", "db3", "db3-zstd", "mcap", "mcap-zstd")

_CLOUD, _TEXT = "sensor_msgs/msg/PointCloud2", "std_msgs/msg/String"


def write_bag(
    kind: str,
    folder: Path,
    clouds: dict[str, Sequence[Made]],
    texts: Sequence[str] = ("hello",),
) -> Path:
    """A bag with the clouds of each topic, and a topic of text beside.

    Returns:
        What to open: a .bag file, or the folder of a ROS 2 bag.
    """
    if kind.startswith("ros1"):
        return _write_ros1(kind, folder / f"{kind}.bag", clouds, texts)
    storage, _, compression = kind.partition("-")
    plugin = rosbag2.StoragePlugin.MCAP if storage == "mcap" else rosbag2.StoragePlugin.SQLITE3
    writer = rosbag2.Writer(folder / kind, version=9, storage_plugin=plugin)
    if compression:
        mode = "STORAGE" if storage == "mcap" else "MESSAGE"
        writer.set_compression(
            rosbag2.CompressionMode[mode], rosbag2.CompressionFormat[compression.upper()]
        )
    with writer:
        for topic, messages in clouds.items():
            connection = writer.add_connection(topic, _CLOUD, typestore=ROS2)
            for i, made in enumerate(messages):
                writer.write(connection, 10**9 + i, made.cdr)
        connection = writer.add_connection("/rosout_text", _TEXT, typestore=ROS2)
        for i, text in enumerate(texts):
            message = ROS2.types[_TEXT](text)
            writer.write(connection, 10**9 + i, ROS2.serialize_cdr(message, _TEXT))
    return folder / kind


def _write_ros1(
    kind: str, path: Path, clouds: dict[str, Sequence[Made]], texts: Sequence[str]
) -> Path:
    writer = rosbag1.Writer(path)
    if "-" in kind:
        writer.set_compression(rosbag1.Writer.CompressionFormat[kind.split("-")[1].upper()])
    with writer:
        for topic, messages in clouds.items():
            connection = writer.add_connection(topic, _CLOUD, typestore=ROS1)
            for i, made in enumerate(messages):
                writer.write(connection, 10**9 + i, made.ros1_bytes)
        connection = writer.add_connection("/rosout_text", _TEXT, typestore=ROS1)
        for i, text in enumerate(texts):
            message = ROS1.types[_TEXT](text)
            writer.write(connection, 10**9 + i, ROS1.serialize_ros1(message, _TEXT))
    return path


def storage_file(bag: Path) -> Path:
    """The file in the folder of a ROS 2 bag."""
    if bag.is_file():
        return bag
    (file,) = [f for f in bag.iterdir() if f.name != "metadata.yaml"]
    return file


def read_changed_bags(bag: Path, folder: Path, seed: int) -> None:
    """Read a bag twelve times with six bytes changed: clouds of points, or an error of ours."""
    file = storage_file(bag)
    sound = file.read_bytes()
    rng = np.random.default_rng(seed)
    for number in range(12):
        content = bytearray(sound)
        for place in rng.integers(0, len(content), 6):
            content[place] = rng.integers(0, 256)
        path = folder / f"{number}{file.suffix}"
        path.write_bytes(content)
        try:
            for frame in read_frames(path):
                assert frame.points.shape[1] == 3
        except Cg3dError:
            pass
