"""PointCloud2 messages packed number by number with `struct`, and serialised by rosbags."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

#: PointField datatype -> struct's code, the two tables that ROS itself keeps.
CODES = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}

ROS1 = get_typestore(Stores.ROS1_NOETIC)
ROS2 = get_typestore(Stores.ROS2_HUMBLE)


@dataclass
class Layout:
    """Fields as (name, offset, datatype, count), and how points and rows are spaced."""

    fields: list[tuple[str, int, int, int]]
    point_step: int
    bigendian: bool = False
    row_padding: int = 0


XYZ = Layout([("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1)], 16)
XYZRGB = Layout([("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("rgb", 16, 7, 1)], 32)


@dataclass
class Made:
    """A message object of rosbags and what it should decode to."""

    message: Any
    ros1: Any
    values: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def cdr(self) -> bytes:
        return bytes(ROS2.serialize_cdr(self.message, "sensor_msgs/msg/PointCloud2"))

    @property
    def cdr_big(self) -> bytes:
        name = "sensor_msgs/msg/PointCloud2"
        return bytes(ROS2.serialize_cdr(self.message, name, little_endian=False))

    @property
    def ros1_bytes(self) -> bytes:
        return bytes(ROS1.serialize_ros1(self.ros1, "sensor_msgs/msg/PointCloud2"))


def make(
    layout: Layout,
    values: dict[str, list[Any]],
    height: int,
    width: int,
    frame_id: str = "camera",
    stamp: int = 1_700_000_000_123_456_789,
) -> Made:
    """Values by field, a number (or a tuple of `count`) for each of height * width points."""
    order = ">" if layout.bigendian else "<"
    row_step = width * layout.point_step + layout.row_padding
    data = bytearray(b"\xa5" * (row_step * height))  # padding is not zero, so it must be skipped
    for name, offset, datatype, count in layout.fields:
        if name not in values:
            continue
        for i, value in enumerate(values[name]):
            place = (i // width) * row_step + (i % width) * layout.point_step + offset
            numbers = value if count > 1 else (value,)
            struct.pack_into(f"{order}{max(count, 1)}{CODES[datatype]}", data, place, *numbers)
    made = []
    for store in (ROS2, ROS1):
        types = store.types
        time = types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
        sequence = () if store is ROS2 else (7,)
        header = types["std_msgs/msg/Header"](*sequence, time, frame_id)
        point_field = types["sensor_msgs/msg/PointField"]
        made.append(
            types["sensor_msgs/msg/PointCloud2"](
                header,
                height,
                width,
                [point_field(*f) for f in layout.fields],
                layout.bigendian,
                layout.point_step,
                row_step,
                np.frombuffer(bytes(data), np.uint8),
                False,
            )
        )
    return Made(made[0], made[1], values)


def simple(
    points: NDArray[np.floating], *, frame_id: str = "camera", stamp: int = 0, height: int = 1
) -> Made:
    """(n, 3) points as a driver sends them, float32 with padding."""
    values = {axis: [float(v) for v in points[:, i]] for i, axis in enumerate("xyz")}
    return make(XYZ, values, height, len(points) // height, frame_id, stamp)
