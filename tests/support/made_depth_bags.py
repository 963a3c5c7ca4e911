"""Bags of depth images with their intrinsics, written by rosbags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags import rosbag1, rosbag2
from support.ros_messages import ROS1, ROS2

_IMAGE, _CAMERA = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"


@dataclass
class Picture:
    """An image as a driver sends it.

    Attributes:
        pixels: (h, w) or (h, w, 3).
        encoding: of the message.
        padding: bytes behind each row.
        big: whether the highest byte comes first.
    """

    pixels: NDArray[Any]
    encoding: str
    padding: int = 0
    big: bool = False

    def message(self, store: Any, stamp: int) -> Any:
        """Of a typestore of rosbags."""
        order = ">" if self.big else "<"
        rows = self.pixels.astype(self.pixels.dtype.newbyteorder(order)).reshape(
            len(self.pixels), -1
        )
        data = b"".join(row.tobytes() + b"\xa5" * self.padding for row in rows)
        height, width = self.pixels.shape[:2]
        return store.types[_IMAGE](
            header(store, stamp, "camera_depth_optical_frame"), height, width, self.encoding,
            int(self.big), len(data) // height, np.frombuffer(data, np.uint8),
        )  # fmt: skip


def header(store: Any, stamp: int, frame_id: str) -> Any:
    time = store.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    sequence = () if store is ROS2 else (7,)
    return store.types["std_msgs/msg/Header"](*sequence, time, frame_id)


def camera_info(store: Any, stamp: int, matrix: Sequence[float], size: tuple[int, int]) -> Any:
    """`size` is (height, width)."""
    roi = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return store.types[_CAMERA](
        header(store, stamp, "camera_depth_optical_frame"), *size, "plumb_bob", np.zeros(5),
        np.array(matrix, np.float64), np.eye(3).reshape(-1), np.zeros(12), 0, 0, roi,
    )  # fmt: skip


def write_depth_bag(
    kind: str,
    folder: Path,
    pictures: dict[str, Sequence[Picture]],
    cameras: dict[str, Sequence[tuple[Sequence[float], tuple[int, int]]]],
) -> Path:
    """Topics of images, and of intrinsics as (matrix, size); messages alternate by their places.

    Returns:
        What to open: a .bag file, or the folder of a ROS 2 bag.
    """
    store: Any = ROS1 if kind.startswith("ros1") else ROS2
    writer: Any
    if store is ROS1:
        path = folder / f"{kind}.bag"
        writer = rosbag1.Writer(path)
    else:
        path = folder / kind
        plugin = rosbag2.StoragePlugin.MCAP if kind == "mcap" else rosbag2.StoragePlugin.SQLITE3
        writer = rosbag2.Writer(path, version=9, storage_plugin=plugin)
    with writer:
        entries = []
        for topic, shown in pictures.items():
            to = writer.add_connection(topic, _IMAGE, typestore=store)
            entries += [(2 * i + 1, to, _IMAGE, p.message(store, i)) for i, p in enumerate(shown)]
        for topic, given in cameras.items():
            to = writer.add_connection(topic, _CAMERA, typestore=store)
            entries += [
                (2 * i, to, _CAMERA, camera_info(store, i, *one)) for i, one in enumerate(given)
            ]
        for at, to, name, message in sorted(entries, key=lambda entry: entry[0]):
            serialise = store.serialize_ros1 if store is ROS1 else store.serialize_cdr
            writer.write(to, 10**9 + at, serialise(message, name))
    return path
