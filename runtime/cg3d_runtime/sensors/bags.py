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
from typing import Any, Literal

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import Cg3dError, InputError, first_line
from cg3d_runtime.sensors.bag_check import check_bag
from cg3d_runtime.sensors.depth import Intrinsics
from cg3d_runtime.sensors.depth_image import DEPTH_ENCODINGS, DepthImage, encoding_of
from cg3d_runtime.sensors.pointcloud2 import CloudFrame, PointCloud2
from cg3d_runtime.sensors.serialised import Cursor

BAG_SUFFIXES = (".bag", ".db3", ".mcap")

# rosbags gives ROS 1 types their ROS 2 names.
_CLOUD, _IMAGE = "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/Image"
_CAMERA = "sensor_msgs/msg/CameraInfo"

#: What a topic holds: point clouds, or depth images with the intrinsics beside them.
TopicKind = Literal["cloud", "depth"]


@dataclass(frozen=True)
class CloudTopic:
    """A topic of point clouds or of depth images.

    Attributes:
        name: e.g. "/camera/depth/points".
        messages: how many it holds, as the bag's index says.
        kind: "cloud" or "depth".
    """

    name: str
    messages: int
    kind: TopicKind = "cloud"


def is_bag(path: str | PathLike[str]) -> bool:
    """Whether a path looks like a recording: by its suffix, or as a folder with metadata.yaml."""
    path = Path(path)
    return path.suffix.lower() in BAG_SUFFIXES or (path / "metadata.yaml").is_file()


def cloud_topics(path: str | PathLike[str]) -> tuple[CloudTopic, ...]:
    """The topics of `sensor_msgs/PointCloud2` in a bag, then those of depth images, by name.

    An image counts as depth if its first message is 16UC1, mono16 or 32FC1 and the intrinsics are
    where ROS has them: for "/camera/depth/image_rect" in "/camera/depth/camera_info".

    Raises:
        InputError: the bag is missing, damaged or of a kind that is not read.
        DependencyError: rosbags is not installed (the extra [bags]).
    """
    path = Path(path)
    with _opened(path) as reader, _translated(str(path)):
        return _topics(reader, path)


def read_frames(path: str | PathLike[str], topic: str | None = None) -> Iterator[CloudFrame]:
    """The clouds of a bag in the order they were recorded, one in memory at a time.

    Args:
        path: a .bag, .db3 or .mcap file, or the folder of a ROS 2 bag.
        topic: which topic, of clouds or of depth images; None for the only one that holds clouds,
            or where none does, for the only one of depth images.

    Yields:
        Each message as a `CloudFrame`, in the frame it names. A depth image gives an organised
        cloud in the camera's optical frame, with NaN where nothing was measured.

    Raises:
        InputError: the bag is missing or damaged; it has no such topic, or several and none was
            chosen (they are listed with their counts); or a message is damaged.
        DependencyError: rosbags is not installed (the extra [bags]).
    """
    path = Path(path)
    with _opened(path) as reader:
        with _translated(str(path)):
            chosen = _chosen(reader, topic, path)
            name = str(chosen[0].topic)
            camera = None
            if chosen[0].msgtype == _IMAGE:
                chosen += _connections(reader, _info_of(name), _CAMERA)
                camera = _intrinsics(*_first(reader, chosen[-1]), path)
        messages = reader.messages(connections=chosen)
        number = 0
        while True:
            with _translated(f"{path}: message {number} of {name}"):
                found = next(messages, None)
                if found is None:
                    return
                connection, _, data = found
                if connection.msgtype == _CAMERA:
                    camera = _intrinsics(connection, data, path)
                    continue
                frame = _decode(connection, data, path, camera)
            yield frame
            number += 1


def _decode(connection: Any, data: bytes, path: Path, camera: Intrinsics | None) -> CloudFrame:
    packed = _is_ros1(connection, path)
    if camera is None:
        kind = PointCloud2
        return (kind.from_ros1(data) if packed else kind.from_cdr(data)).frame()
    image = DepthImage.from_ros1(data) if packed else DepthImage.from_cdr(data)
    return image.frame(camera)


def _intrinsics(connection: Any, data: bytes, path: Path) -> Intrinsics:
    packed = _is_ros1(connection, path)
    return Intrinsics.from_ros1(data) if packed else Intrinsics.from_cdr(data)


def _is_ros1(connection: Any, path: Path) -> bool:
    """Whether its messages are serialised as ROS 1 does; else as CDR."""
    if path.suffix.lower() == ".bag":
        return True
    encoding = connection.ext.serialization_format
    if encoding != "cdr":
        raise InputError(f"serialised as {encoding!r}, only 'cdr' is read")
    return False


def _chosen(reader: Any, topic: str | None, path: Path) -> list[Any]:
    """The connections of the topic that is meant; a topic may have several publishers."""
    topics = _topics(reader, path)
    listed = ", ".join(f"{t.name} ({t.messages} messages)" for t in topics)
    if not topics:
        others = Counter(str(c.msgtype) for c in reader.connections)
        kinds = ", ".join(sorted(others)[:8]) or "nothing"
        raise InputError(
            "no topic of sensor_msgs/PointCloud2 in it, nor of depth images with a camera_info "
            f"beside; it holds: {kinds}"
        )
    usual = [t for t in topics if t.kind == topics[0].kind]
    if topic is None and len(usual) > 1:
        raise InputError(f"several topics hold clouds, choose one: {listed}")
    name = usual[0].name if topic is None else topic
    kind = next((t.kind for t in topics if t.name == name), None)
    if kind is None:
        raise InputError(f"no clouds on the topic {name!r}; there are: {listed}")
    return _connections(reader, name, _CLOUD if kind == "cloud" else _IMAGE)


def _topics(reader: Any, path: Path) -> tuple[CloudTopic, ...]:
    counts: dict[str, Counter[str]] = {_CLOUD: Counter(), _IMAGE: Counter()}
    for connection in reader.connections:
        if connection.msgtype in counts:
            counts[connection.msgtype][str(connection.topic)] += int(connection.msgcount)
    clouds = [CloudTopic(name, counts[_CLOUD][name]) for name in sorted(counts[_CLOUD])]
    return tuple(clouds) + tuple(
        CloudTopic(name, counts[_IMAGE][name], "depth")
        for name in sorted(counts[_IMAGE])
        if name not in counts[_CLOUD] and _is_depth(reader, name, path)
    )


def _is_depth(reader: Any, topic: str, path: Path) -> bool:
    """Whether there are intrinsics beside a topic of images, and its first one is depth."""
    cameras = _connections(reader, _info_of(topic), _CAMERA)
    images = [c for c in _connections(reader, topic, _IMAGE) if c.msgcount]
    if not images or not any(c.msgcount for c in cameras):
        return False
    connection, data = _first(reader, images[0])
    cursor = Cursor.of_ros1(data) if _is_ros1(connection, path) else Cursor.of_cdr(data)
    return encoding_of(cursor) in DEPTH_ENCODINGS


def _info_of(topic: str) -> str:
    """Where the intrinsics of a topic of images are, by the convention of image_transport."""
    return topic.rpartition("/")[0] + "/camera_info"


def _connections(reader: Any, topic: str, kind: str) -> list[Any]:
    return [c for c in reader.connections if c.topic == topic and c.msgtype == kind]


def _first(reader: Any, connection: Any) -> tuple[Any, bytes]:
    found = next(reader.messages(connections=[connection]), None)
    if found is None:
        raise InputError(f"no message on the topic {connection.topic}")
    return found[0], found[2]


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
