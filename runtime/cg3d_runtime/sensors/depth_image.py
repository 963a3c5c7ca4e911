"""`sensor_msgs/Image` of a depth camera, decoded without ROS, and the cloud that it holds.

Message: https://docs.ros.org/en/rolling/p/sensor_msgs/ (msg/Image); the encodings of depth images:
https://www.ros.org/reps/rep-0118.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.sensors.depth import DepthUnit, Intrinsics, depth_to_points
from cg3d_runtime.sensors.pointcloud2 import CloudFrame, nanoseconds
from cg3d_runtime.sensors.serialised import Cursor

#: numpy's code and the unit of each encoding that is depth; some drivers call 16UC1 mono16.
DEPTH_ENCODINGS: dict[str, tuple[str, DepthUnit]] = {
    "16UC1": ("u2", "mm"),
    "mono16": ("u2", "mm"),
    "32FC1": ("f4", "m"),
}


@dataclass(frozen=True, eq=False)
class DepthImage:
    """The raw message, checked when it is made: all rows lie within `data`.

    Attributes:
        height, width: pixels.
        encoding: one of `DEPTH_ENCODINGS`.
        is_bigendian: whether the numbers in `data` have their highest byte first.
        step: bytes from one row to the next.
        data: the bytes.
        frame_id, stamp: of the header; the stamp in nanoseconds.

    Raises:
        InputError: an encoding that is no depth, or sizes that contradict the bytes there are.
    """

    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: bytes | memoryview
    frame_id: str = ""
    stamp: int = 0

    def __post_init__(self) -> None:
        if self.encoding not in DEPTH_ENCODINGS:
            known = ", ".join(DEPTH_ENCODINGS)
            raise InputError(f"an image of the encoding {self.encoding!r} is no depth: {known}")
        if min(self.height, self.width, self.step) < 1:
            raise InputError(
                f"no depth image has {self.height} rows of {self.width} pixels, {self.step} bytes "
                "apart"
            )
        row = self.width * self._type.itemsize
        needed = (self.height - 1) * self.step + row
        if self.step < row or needed > len(self.data):
            raise InputError(
                f"a depth image of {self.height} x {self.width} {self.encoding}, rows {self.step} "
                f"bytes apart, needs {row} bytes a row and {needed} in all, it has {len(self.data)}"
            )

    @classmethod
    def from_message(cls, message: Any) -> DepthImage:
        """A message object of rclpy, rospy or rosbags.

        Raises:
            InputError: it has not the attributes of an Image, or is no depth image.
        """
        try:
            return cls(
                int(message.height),
                int(message.width),
                str(message.encoding),
                bool(message.is_bigendian),
                int(message.step),
                memoryview(message.data).cast("B"),
                str(message.header.frame_id),
                nanoseconds(message.header.stamp),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"not a sensor_msgs/Image message ({error})") from error

    @classmethod
    def from_cdr(cls, data: bytes) -> DepthImage:
        """A message as ROS 2 serialises it (CDR with its 4 byte header), e.g. out of a bag.

        Raises:
            InputError: the bytes are no such message, or of no depth image.
        """
        return cls._parse(Cursor.of_cdr(data))

    @classmethod
    def from_ros1(cls, data: bytes) -> DepthImage:
        """A message as ROS 1 serialises it.

        Raises:
            InputError: the bytes are no such message, or of no depth image.
        """
        return cls._parse(Cursor.of_ros1(data))

    @classmethod
    def _parse(cls, cursor: Cursor) -> DepthImage:
        stamp, frame_id, height, width, encoding = _head(cursor)
        bigendian, step = cursor.uint8("is_bigendian") != 0, cursor.uint32("step")
        data = cursor.octets("data")
        return cls(height, width, encoding, bigendian, step, data, frame_id, stamp)

    @property
    def _type(self) -> np.dtype[Any]:
        return np.dtype((">" if self.is_bigendian else "<") + DEPTH_ENCODINGS[self.encoding][0])

    @property
    def depth(self) -> NDArray[Any]:
        """(height, width) as it was sent, in the machine's byte order; a copy."""
        view: NDArray[Any] = np.ndarray(
            (self.height, self.width), self._type, self.data, 0, (self.step, self._type.itemsize)
        )
        return view.astype(self._type.newbyteorder("="))

    def frame(self, intrinsics: Intrinsics) -> CloudFrame:
        """The cloud, organised as the image is: pixels without a depth are rows of NaN.

        Args:
            intrinsics: of the camera, for an image of this size.

        Raises:
            InputError: they are for an image of another size.
        """
        found = depth_to_points(self.depth, intrinsics, unit=DEPTH_ENCODINGS[self.encoding][1])
        points = np.full((self.height * self.width, 3), np.nan, np.float32)
        points[found.pixels] = found.points
        return CloudFrame(points, None, self.frame_id, self.stamp, self.height, self.width)


def encoding_of(cursor: Cursor) -> str:
    """The encoding of a serialised `sensor_msgs/Image`, whatever it is.

    Raises:
        InputError: the bytes are no such message.
    """
    return _head(cursor)[-1]


def _head(cursor: Cursor) -> tuple[int, str, int, int, str]:
    """Stamp, frame, height, width and encoding."""
    stamp, frame_id = cursor.header()
    height, width = cursor.uint32("height"), cursor.uint32("width")
    return stamp, frame_id, height, width, cursor.string("encoding")
