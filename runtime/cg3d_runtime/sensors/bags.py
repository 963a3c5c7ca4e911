"""Recordings of ROS 1 (.bag) and ROS 2 (.db3, .mcap, or the folder around them), without ROS.

rosbags finds the messages in the file, `PointCloud2` reads them: so a bag that carries no message
definitions is read like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import Cg3dError, InputError, first_line
from cg3d_runtime.sensors.bag_check import check_bag
from cg3d_runtime.sensors.pointcloud2 import CloudFrame, PointCloud2

BAG_SUFFIXES = (".bag", ".db3", ".mcap")

_CLOUD = "sensor_msgs/msg/PointCloud2"  # rosbags gives ROS 1 types their ROS 2 names


@dataclass(frozen=True)
class CloudTopic:
    """A topic of point clouds.

    Attributes:
        name: e.g. "/camera/depth/points".
        messages: how many clouds it holds, as the bag's index says.
    """

    name: str
    messages: int


def is_bag(path: str | PathLike[str]) -> bool:
    """Whether a path looks like a recording: by its suffix, or as a folder with metadata.yaml."""
    path = Path(path)
    return path.suffix.lower() in BAG_SUFFIXES or (path / "metadata.yaml").is_file()


def cloud_topics(path: str | PathLike[str]) -> tuple[CloudTopic, ...]:
    """The topics of `sensor_msgs/PointCloud2` in a bag, by name.

    Raises:
        InputError: the bag is missing, damaged or of a kind that is not read.
        DependencyError: rosbags is not installed (the extra [bags]).
    """
    with _opened(Path(path)) as reader:
        return _topics(reader)


def read_frames(path: str | PathLike[str], topic: str | None = None) -> Iterator[CloudFrame]:
    """The clouds of a bag in the order they were recorded, one in memory at a time.

    Args:
        path: a .bag, .db3 or .mcap file, or the folder of a ROS 2 bag.
        topic: which topic; None for the only one that holds clouds.

    Yields:
        Each message as a `CloudFrame`, in the frame it names.

    Raises:
        InputError: the bag is missing or damaged; it has no topic of clouds, or several and none
            was chosen (they are listed with their counts); or a message is damaged.
        DependencyError: rosbags is not installed (the extra [bags]).
    """
    path = Path(path)
    with _opened(path) as reader:
        chosen = _chosen(reader, topic, path)
        messages = reader.messages(connections=chosen)
        number = 0
        while True:
            with _translated(f"{path}: message {number} of {chosen[0].topic}"):
                found = next(messages, None)
                if found is None:
                    return
                connection, _, data = found
                frame = _decode(connection, data, path)
            yield frame
            number += 1


def _decode(connection: Any, data: bytes, path: Path) -> CloudFrame:
    if path.suffix.lower() == ".bag":
        return PointCloud2.from_ros1(data).frame()
    encoding = connection.ext.serialization_format
    if encoding != "cdr":
        raise InputError(f"serialised as {encoding!r}, only 'cdr' is read")
    return PointCloud2.from_cdr(data).frame()


def _chosen(reader: Any, topic: str | None, path: Path) -> list[Any]:
    """The connections of the topic that is meant; a topic may have several publishers."""
    clouds = _topics(reader)
    listed = ", ".join(f"{t.name} ({t.messages} messages)" for t in clouds)
    if not clouds:
        others = Counter(str(c.msgtype) for c in reader.connections)
        kinds = ", ".join(sorted(others)[:8]) or "nothing"
        raise InputError(f"{path}: no topic of sensor_msgs/PointCloud2 in it; it holds: {kinds}")
    if topic is None and len(clouds) > 1:
        raise InputError(f"{path}: several topics hold clouds, choose one: {listed}")
    name = clouds[0].name if topic is None else topic
    chosen = [c for c in reader.connections if c.topic == name and c.msgtype == _CLOUD]
    if not chosen:
        raise InputError(f"{path}: no clouds on the topic {name!r}; there are: {listed}")
    return chosen


def _topics(reader: Any) -> tuple[CloudTopic, ...]:
    counts: Counter[str] = Counter()
    for connection in reader.connections:
        if connection.msgtype == _CLOUD:
            counts[str(connection.topic)] += int(connection.msgcount)
    return tuple(CloudTopic(name, counts[name]) for name in sorted(counts))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The bag's reader of rosbags, open."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not is_bag(path):
        raise InputError(
            f"{path}: not a bag: those are {' '.join(BAG_SUFFIXES)} files and folders that hold a "
            "metadata.yaml"
        )
    module = "rosbags.rosbag1" if path.suffix.lower() == ".bag" else "rosbags.rosbag2"
    rosbags = require(module, "bags", "Reading bags")
    with _translated(str(path)):
        check_bag(path)
        reader = rosbags.Reader(path)
        reader.open()
    try:
        yield reader
    finally:
        with _translated(str(path)):
            reader.close()


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Whatever a parser trips over in a damaged file, as an InputError that says where."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except Cg3dError:
        raise
    except Exception as error:
        raise InputError(f"{where}: not a sound bag ({first_line(error)})") from error
