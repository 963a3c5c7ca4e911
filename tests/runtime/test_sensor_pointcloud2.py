"""PointCloud2: messages packed by `struct`, serialised by rosbags, decoded by us."""

from __future__ import annotations

import struct
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ros_messages import CODES, ROS1, XYZ, XYZRGB, Layout, Made, make, simple

from cg3d_runtime.errors import Cg3dError, InputError
from cg3d_runtime.sensors import PointCloud2, PointField

RANGES = {1: (-128, 127), 2: (0, 255), 3: (-(2**15), 2**15 - 1), 4: (0, 2**16 - 1)}
RANGES |= {5: (-(2**31), 2**31 - 1), 6: (0, 2**32 - 1)}


def numbers(datatype: int) -> st.SearchStrategy[Any]:
    if datatype in RANGES:
        return st.integers(*RANGES[datatype])
    return st.floats(width=32 if datatype == 7 else 64)  # NaN and infinity among them


@st.composite
def messages(draw: st.DrawFn) -> Made:
    """Fields of every type in any order with gaps, both byte orders, rows, and colour."""
    names = draw(st.permutations(["x", "y", "z", "intensity", "normal", "ring"]))
    offset, fields = draw(st.integers(0, 5)), []
    for name in names:
        datatype = draw(st.sampled_from(sorted(CODES)))
        count = draw(st.integers(2, 3)) if name == "normal" else draw(st.integers(0, 1))
        fields.append((name, offset, datatype, count))
        offset += struct.calcsize(CODES[datatype]) * max(count, 1) + draw(st.integers(0, 9))
    layout = Layout(fields, offset, draw(st.booleans()), draw(st.integers(0, 7)))
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    values = {
        name: [
            draw(st.tuples(*[numbers(datatype)] * count) if count > 1 else numbers(datatype))
            for _ in range(height * width)
        ]
        for name, _, datatype, count in fields
    }
    frame = draw(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9))
    return make(layout, values, height, width, frame, draw(st.integers(0, 10**9 * 2**31 - 1)))


@settings(max_examples=150, deadline=None)
@given(messages())
def test_every_layout_by_every_way_in(made: Made) -> None:
    wanted = np.array([made.values[axis] for axis in "xyz"], np.float64).T
    for cloud in (
        PointCloud2.from_message(made.message),
        PointCloud2.from_message(made.ros1),
        PointCloud2.from_cdr(made.cdr),
        PointCloud2.from_cdr(made.cdr_big),
        PointCloud2.from_ros1(made.ros1_bytes),
    ):
        frame = cloud.frame()
        np.testing.assert_array_equal(frame.points, wanted)
        assert frame.frame_id == made.message.header.frame_id
        stamp = made.message.header.stamp
        assert frame.stamp == stamp.sec * 10**9 + stamp.nanosec
        assert (frame.height, frame.width) == (made.message.height, made.message.width)
        for name, given_values in made.values.items():
            column = cloud.field(name)
            np.testing.assert_array_equal(column, np.array(given_values, column.dtype))
            assert column.dtype.isnative


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=1, max_size=5),
    st.sampled_from([("rgb", 7), ("rgb", 6), ("rgba", 6), ("rgba", 5)]),
    st.booleans(),
)
def test_packed_colours(
    colours: list[tuple[int, int, int, int]], kind: tuple[str, int], bigendian: bool
) -> None:
    name, datatype = kind
    # As PCL packs them: the bits of a uint32, declared as whatever number the driver likes.
    packed = [struct.pack("<I", a << 24 | r << 16 | g << 8 | b) for r, g, b, a in colours]
    values: dict[str, list[Any]] = {axis: [1.0] * len(colours) for axis in "xyz"}
    layout = Layout([*XYZRGB.fields[:3], (name, 16, 6, 1)], 32, bigendian)
    values[name] = [struct.unpack("<I", p)[0] for p in packed]
    made = make(layout, values, 1, len(colours))
    message = PointCloud2.from_message(made.message)
    fields = (*message.fields[:3], PointField(name, 16, datatype))
    frame = replace(message, fields=fields).frame()
    assert frame.rgb is not None
    assert frame.rgb.tolist() == [[r, g, b] for r, g, b, _ in colours]


def test_colours_in_fields_of_their_own_and_none() -> None:
    fields = [*XYZ.fields, ("r", 12, 2, 1), ("g", 13, 2, 1), ("b", 14, 2, 1)]
    values: dict[str, list[Any]] = {axis: [1.0] for axis in "xyz"} | {"r": [9], "g": [8], "b": [7]}
    rgb = PointCloud2.from_message(make(Layout(fields, 16), values, 1, 1).message).frame().rgb
    assert rgb is not None
    assert rgb.tolist() == [[9, 8, 7]]
    assert PointCloud2.from_message(simple(np.zeros((2, 3))).message).frame().rgb is None


def test_an_organised_cloud_keeps_its_nan_rows_and_float32() -> None:
    points = np.arange(18, dtype=np.float64).reshape(6, 3)
    points[2] = np.nan
    frame = PointCloud2.from_cdr(simple(points, height=2).cdr).frame()
    assert (frame.height, frame.width, frame.points.dtype) == (2, 3, np.float32)
    np.testing.assert_array_equal(frame.points, points)


def test_an_empty_cloud() -> None:
    frame = PointCloud2.from_ros1(simple(np.empty((0, 3))).ros1_bytes).frame()
    assert frame.points.shape == (0, 3)


SOUND = PointCloud2.from_message(simple(np.ones((6, 3)), height=2).message)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 4}, "row_step 48 is less than a row"),
        ({"height": 3}, "need 144 bytes of data, it has 96"),
        ({"height": 2**32 - 1, "width": 2**32 - 1, "row_step": 2**64}, "need"),
        ({"point_step": 0}, "point_step is 0"),
        ({"width": -1}, "negative"),
        ({"data": b"123"}, "it has 3"),
    ],
)
def test_sizes_that_contradict_each_other(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        replace(SOUND, **change)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((), "no field 'x'; it has: none"),
        ((PointField("x", 13, 7),), r"'x' \(offset 13, 4 bytes\) leaves its point of 16"),
        ((PointField("x", 2**32 - 4, 7),), "leaves its point"),
        ((PointField("x", 0, 7, 2**32 - 1),), "leaves its point"),
        ((PointField("x", -4, 7),), "leaves its point"),
        ((PointField("x", 0, 9),), "datatype 9"),
        ((PointField("x", 0, 7, 2),), "'x' has 2 numbers a point"),
    ],
)
def test_fields_that_cannot_be_read(fields: tuple[PointField, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        replace(SOUND, fields=fields).frame()


def test_objects_that_are_no_message() -> None:
    for thing in (None, SimpleNamespace(data=b"", height=1)):
        with pytest.raises(InputError, match="not a sensor_msgs/PointCloud2"):
            PointCloud2.from_message(thing)


def test_rospy_times_have_other_names() -> None:
    message = simple(np.ones((1, 3))).message
    stamp = SimpleNamespace(secs=3, nsecs=5)
    header = SimpleNamespace(stamp=stamp, frame_id="map")
    assert PointCloud2.from_message(replace(message, header=header)).stamp == 3_000_000_005


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_changed_and_cut_bytes(data: st.DataObject) -> None:
    made = simple(np.ones((4, 3)))
    for parse, sound in (
        (PointCloud2.from_cdr, made.cdr),
        (PointCloud2.from_ros1, made.ros1_bytes),
    ):
        content = bytearray(sound)
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(content)))
        try:
            points = parse(bytes(content[:cut])).frame().points
        except Cg3dError:
            continue
        assert points.shape[1] == 3
        assert len(points) <= 6


def test_the_offset_of_a_fault_is_told() -> None:
    sound = simple(np.ones((4, 3))).cdr
    with pytest.raises(InputError, match=r"truncated: stamp.sec is at byte 4, the message ends at"):
        PointCloud2.from_cdr(sound[:6])
    broken = bytearray(sound)
    broken[12:16] = struct.pack("<I", 2**31)
    with pytest.raises(InputError, match="byte 12: 2147483648 characters of frame_id are claimed"):
        PointCloud2.from_cdr(bytes(broken))
    with pytest.raises(InputError, match="not plain CDR: its header begins 00 07"):
        PointCloud2.from_cdr(b"\x00\x07" + sound[2:])


def test_rosbags_reads_the_same_numbers_back() -> None:
    """Our oracle is sound: rosbags' own reader finds the data we packed."""
    made = simple(np.ones((4, 3)))
    read = ROS1.deserialize_ros1(made.ros1_bytes, "sensor_msgs/msg/PointCloud2")
    np.testing.assert_array_equal(read.data, made.ros1.data)
