"""`sensor_msgs/PointCloud2`, decoded without ROS.

Message: https://docs.ros.org/en/rolling/p/sensor_msgs/ (msg/PointCloud2, msg/PointField). A message
of rclpy, rospy or rosbags goes in by its attributes, a serialised one by its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.sensors.serialised import Cursor

#: numpy's code for each PointField datatype: INT8 is 1, FLOAT64 is 8.
DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}

#: More fields than any driver sends; a message that claims more is damaged.
_MOST_FIELDS = 1 << 10


@dataclass(frozen=True)
class PointField:
    """One field of a point.

    Attributes:
        name: "x", "intensity", "rgb", ...
        offset: bytes from the start of the point.
        datatype: 1 to 8: int8, uint8, int16, uint16, int32, uint32, float32, float64.
        count: how many such numbers; some drivers write 0 for one.
    """

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True, eq=False)
class CloudFrame:
    """One cloud of a sensor, as it was sent: no axis is turned, no row is dropped.

    Attributes:
        points: (n, 3) float32, or float64 where a coordinate came as another type, metres. Rows
            with NaN are pixels of an organised cloud that saw nothing; `Recognizer` drops them.
        rgb: (n, 3) uint8 red, green, blue; None where the message has no colour.
        frame_id: the name of the frame that `points` are in. Names that end in "optical_frame"
            have x right, y down, z forward: see `cg3d_runtime.sensors.frames`.
        stamp: nanoseconds since 1970, of the header.
        height, width: the rows and columns of an organised cloud; height 1 where it has none.
    """

    points: NDArray[np.floating]
    rgb: NDArray[np.uint8] | None
    frame_id: str
    stamp: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class PointCloud2:
    """The raw message, checked when it is made: every field lies within `data`.

    Attributes:
        height, width: rows and columns; height 1 for a cloud that is not organised.
        fields: what a point holds.
        is_bigendian: whether the numbers in `data` have their highest byte first.
        point_step: bytes from one point to the next; padding is normal.
        row_step: bytes from one row to the next; ignored where there is one row.
        data: the bytes.
        frame_id, stamp: of the header; the stamp in nanoseconds.

    Raises:
        InputError: sizes that contradict each other or the bytes there are.
    """

    height: int
    width: int
    fields: tuple[PointField, ...]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: bytes | memoryview
    frame_id: str = ""
    stamp: int = 0

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.point_step, self.row_step) < 0:
            raise InputError(
                f"PointCloud2: a size is negative (height {self.height}, width {self.width}, "
                f"point_step {self.point_step}, row_step {self.row_step})"
            )
        if self.height * self.width == 0:
            return
        if self.point_step == 0:
            raise InputError("PointCloud2: point_step is 0")
        row = self.width * self.point_step
        if self.height > 1 and self.row_step < row:
            raise InputError(
                f"PointCloud2: row_step {self.row_step} is less than a row, {self.width} points "
                f"of {self.point_step} bytes"
            )
        needed = (self.height - 1) * self.row_step + row
        if needed > len(self.data):
            raise InputError(
                f"PointCloud2: {self.height} x {self.width} points of {self.point_step} bytes "
                f"need {needed} bytes of data, it has {len(self.data)}"
            )

    @classmethod
    def from_message(cls, message: Any) -> PointCloud2:
        """A message object of rclpy, rospy or rosbags.

        Raises:
            InputError: it has not the attributes of a PointCloud2, or it contradicts itself.
        """
        try:
            data = memoryview(message.data).cast("B")
            stamp = message.header.stamp
            return cls(
                int(message.height),
                int(message.width),
                tuple(
                    PointField(str(f.name), int(f.offset), int(f.datatype), int(f.count))
                    for f in message.fields
                ),
                bool(message.is_bigendian),
                int(message.point_step),
                int(message.row_step),
                data,
                str(message.header.frame_id),
                nanoseconds(stamp),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"not a sensor_msgs/PointCloud2 message ({error})") from error

    @classmethod
    def from_cdr(cls, data: bytes) -> PointCloud2:
        """A message as ROS 2 serialises it (CDR with its 4 byte header), e.g. out of a bag.

        Raises:
            InputError: the bytes are no such message; with the offset of the fault.
        """
        return cls._parse(Cursor.of_cdr(data))

    @classmethod
    def from_ros1(cls, data: bytes) -> PointCloud2:
        """A message as ROS 1 serialises it.

        Raises:
            InputError: the bytes are no such message; with the offset of the fault.
        """
        return cls._parse(Cursor.of_ros1(data))

    @classmethod
    def _parse(cls, cursor: Cursor) -> PointCloud2:
        stamp, frame_id = cursor.header()
        height, width = cursor.uint32("height"), cursor.uint32("width")
        count = cursor.length("fields", smallest=10, most=_MOST_FIELDS)
        fields = tuple(
            PointField(
                cursor.string("a field's name"),
                cursor.uint32("a field's offset"),
                cursor.uint8("a field's datatype"),
                cursor.uint32("a field's count"),
            )
            for _ in range(count)
        )
        bigendian = cursor.uint8("is_bigendian") != 0
        point_step, row_step = cursor.uint32("point_step"), cursor.uint32("row_step")
        data = cursor.octets("data")
        cursor.uint8("is_dense")
        return cls(
            height, width, fields, bigendian, point_step, row_step, data, frame_id, stamp
        )  # fmt: skip

    def __len__(self) -> int:
        return self.height * self.width

    def field(self, name: str) -> NDArray[np.generic]:
        """The numbers of one field in the machine's byte order.

        Returns:
            (n,), or (n, count) where the field has several numbers a point; a copy.

        Raises:
            InputError: no such field, a datatype that does not exist, or a field that leaves its
                point.
        """
        field = next((f for f in self.fields if f.name == name), None)
        if field is None:
            names = ", ".join(f.name for f in self.fields)
            raise InputError(f"PointCloud2: no field {name!r}; it has: {names or 'none'}")
        if field.datatype not in DATATYPES:
            raise InputError(f"PointCloud2: field {name!r} has the datatype {field.datatype}")
        return self._column(field, DATATYPES[field.datatype])

    def frame(self) -> CloudFrame:
        """Points and colours.

        Raises:
            InputError: x, y or z is missing or no single number, or colour is of a kind that is
                not read.
        """
        columns = [self._axis(name) for name in "xyz"]
        single = all(c.dtype == np.float32 for c in columns)
        points = np.empty((len(self), 3), np.float32 if single else np.float64)
        for axis, column in enumerate(columns):
            points[:, axis] = column
        return CloudFrame(
            points, self._colours(), self.frame_id, self.stamp, self.height, self.width
        )

    def _axis(self, name: str) -> NDArray[np.generic]:
        column = self.field(name)
        if column.ndim != 1:
            raise InputError(f"PointCloud2: field {name!r} has {column.shape[1]} numbers a point")
        return column

    def _colours(self) -> NDArray[np.uint8] | None:
        """Colours packed as 0xAARRGGBB into four bytes, whatever number they are declared as."""
        named = {f.name: f for f in self.fields}
        packed = named.get("rgb") or named.get("rgba")
        if packed is not None and packed.datatype in (5, 6, 7) and packed.count in (0, 1):
            bits = self._column(packed, "u4")
            channels = [(bits >> np.uint32(shift)) & np.uint32(255) for shift in (16, 8, 0)]
            return np.stack(channels, axis=1).astype(np.uint8)
        if {"r", "g", "b"} <= named.keys() and all(
            named[c].datatype == 2 and named[c].count in (0, 1) for c in "rgb"
        ):
            return np.stack([self._column(named[c], "u1") for c in "rgb"], axis=1)
        return None

    def _column(self, field: PointField, code: str) -> NDArray[Any]:
        count = max(field.count, 1)
        dtype = np.dtype((">" if self.is_bigendian else "<") + code)
        size = dtype.itemsize * count
        if field.offset < 0 or field.offset + size > self.point_step:
            raise InputError(
                f"PointCloud2: field {field.name!r} (offset {field.offset}, {size} bytes) leaves "
                f"its point of {self.point_step} bytes"
            )
        shape = (len(self),) if count == 1 else (len(self), count)
        if len(self) == 0:
            return np.empty(shape, dtype.newbyteorder("="))
        rows_of = self.row_step if self.height > 1 else self.width * self.point_step
        view: NDArray[Any] = np.ndarray(
            (self.height, self.width, count),
            dtype,
            self.data,
            field.offset,
            (rows_of, self.point_step, dtype.itemsize),
        )
        return view.astype(dtype.newbyteorder("=")).reshape(shape)


def nanoseconds(stamp: Any) -> int:
    """Of a stamp: builtin_interfaces/Time (ROS 2) or rospy's time (ROS 1)."""
    if hasattr(stamp, "nanosec"):
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)
    return int(stamp.secs) * 10**9 + int(stamp.nsecs)
