"""Depth images in bags: written by rosbags, read as clouds through the camera's intrinsics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_bags import read_changed_bags, write_bag
from support.made_depth_bags import Picture, camera_info, write_depth_bag
from support.ros_messages import ROS1, ROS2, simple

from cg3d_runtime.errors import Cg3dError, InputError
from cg3d_runtime.sensors import (
    CloudTopic,
    DepthImage,
    Intrinsics,
    cloud_topics,
    depth_to_points,
    read_frames,
)

SIZE = (6, 9)
MATRIX = [7.5, 0, 4.25, 0, 7.0, 2.5, 0, 0, 1]
CAMERA = Intrinsics(7.5, 7.0, 4.25, 2.5, 9, 6)
RNG = np.random.default_rng(5)
MILLIMETRES = [RNG.integers(0, 5000, SIZE).astype(np.uint16) for _ in range(3)]
IMAGES = "/camera/depth/image_rect_raw"
INFO = "/camera/depth/camera_info"
COLOUR = Picture(RNG.integers(0, 255, (*SIZE, 3)).astype(np.uint8), "rgb8")


def expected(depth: np.ndarray, camera: Intrinsics = CAMERA) -> np.ndarray:
    """Pixel by pixel, as the pinhole says."""
    points = np.full((*depth.shape, 3), np.nan)
    for v, u in np.argwhere(depth > 0):
        z = depth[v, u] / 1000
        points[v, u] = (u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z
    return points.reshape(-1, 3)


@pytest.mark.parametrize("kind", ["ros1", "db3", "mcap"])
def test_depth_images_are_read_as_clouds(tmp_path: Path, kind: str) -> None:
    pictures = {
        IMAGES: [Picture(image, "16UC1") for image in MILLIMETRES],
        "/camera/color/image_raw": [COLOUR],
    }
    cameras = {INFO: [(MATRIX, SIZE)], "/camera/color/camera_info": [(MATRIX, SIZE)]}
    path = write_depth_bag(kind, tmp_path, pictures, cameras)
    assert cloud_topics(path) == (CloudTopic(IMAGES, 3, "depth"),)
    frames = list(read_frames(path))
    assert len(frames) == 3
    for i, (frame, image) in enumerate(zip(frames, MILLIMETRES, strict=True)):
        np.testing.assert_allclose(frame.points, expected(image), atol=1e-5)
        assert (frame.height, frame.width) == SIZE
        assert (frame.frame_id, frame.stamp, frame.rgb) == ("camera_depth_optical_frame", i, None)
    assert len(list(read_frames(path, IMAGES))) == 3


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
def test_encodings_byte_orders_and_padding(encoding: str, big: bool) -> None:
    image = MILLIMETRES[0]
    pixels = image if encoding != "32FC1" else np.where(image > 0, image / 1000, np.nan)
    pixels = pixels.astype(np.float32) if encoding == "32FC1" else pixels
    picture = Picture(pixels, encoding, padding=6, big=big)
    for store, read in ((ROS2, DepthImage.from_cdr), (ROS1, DepthImage.from_ros1)):
        message = picture.message(store, 12)
        name = "sensor_msgs/msg/Image"
        raw = store.serialize_cdr(message, name) if store is ROS2 else store.serialize_ros1(
            message, name
        )  # fmt: skip
        for found in (read(bytes(raw)), DepthImage.from_message(message)):
            np.testing.assert_array_equal(found.depth, pixels)
            np.testing.assert_allclose(found.frame(CAMERA).points, expected(image), atol=1e-5)


def test_intrinsics_of_serialised_messages_are_those_of_the_message() -> None:
    for store in (ROS1, ROS2):
        message = camera_info(store, 3, MATRIX, SIZE)
        name = "sensor_msgs/msg/CameraInfo"
        if store is ROS2:
            raws = [store.serialize_cdr(message, name, little_endian=b) for b in (True, False)]
            found = [Intrinsics.from_cdr(bytes(raw)) for raw in raws]
        else:
            found = [Intrinsics.from_ros1(bytes(store.serialize_ros1(message, name)))]
        assert all(one == CAMERA == Intrinsics.from_message(message) for one in found)


def test_intrinsics_that_change_hold_from_then_on(tmp_path: Path) -> None:
    wide = [15.0, 0, 4.25, 0, 7.0, 2.5, 0, 0, 1]
    path = write_depth_bag(
        "mcap", tmp_path, {IMAGES: [Picture(MILLIMETRES[0], "16UC1")] * 2},
        {INFO: [(MATRIX, SIZE), (wide, SIZE)]},
    )  # fmt: skip
    one, two = read_frames(path)
    np.testing.assert_allclose(one.points[:, 0], 2 * two.points[:, 0], atol=1e-5)


def test_images_without_intrinsics_or_of_another_size_are_refused(tmp_path: Path) -> None:
    pictures = {IMAGES: [Picture(MILLIMETRES[0], "16UC1")]}
    alone = write_depth_bag("mcap", tmp_path, pictures, {})
    with pytest.raises(InputError, match=r"with a camera_info beside; it holds: sensor_msgs"):
        next(read_frames(alone))
    colour = write_depth_bag("ros1", tmp_path, {IMAGES: [COLOUR]}, {INFO: [(MATRIX, SIZE)]})
    assert cloud_topics(colour) == ()
    scaled = write_depth_bag("db3", tmp_path, pictures, {INFO: [(MATRIX, (12, 18))]})
    with pytest.raises(InputError, match=r"message 0 of .*image_rect_raw: the depth image is"):
        next(read_frames(scaled))


def test_clouds_go_first_and_several_images_are_listed(tmp_path: Path) -> None:
    pictures = {f"/{side}/depth/image": [Picture(MILLIMETRES[0], "16UC1")] for side in "ab"}
    cameras = {f"/{side}/depth/camera_info": [(MATRIX, SIZE)] for side in "ab"}
    path = write_depth_bag("mcap", tmp_path, pictures, cameras)
    with pytest.raises(InputError, match=r"choose one: /a/depth/image \(1 messages\), /b/"):
        next(read_frames(path))
    assert len(list(read_frames(path, "/b/depth/image"))) == 1
    clouds = write_bag("db3", tmp_path, {"/points": [simple(np.zeros((4, 3)))]})
    assert [t.kind for t in cloud_topics(clouds)] == ["cloud"]


def test_the_cloud_is_that_of_depth_to_points() -> None:
    image = DepthImage.from_message(Picture(MILLIMETRES[1], "16UC1").message(ROS2, 0))
    points = image.frame(CAMERA).points
    found = depth_to_points(MILLIMETRES[1], CAMERA, unit="mm")
    np.testing.assert_array_equal(points[np.isfinite(points[:, 0])], found.points)


@pytest.mark.parametrize(
    "lie",
    [{"height": 7}, {"step": 17}, {"width": 0}, {"encoding": "8UC1"}, {"step": 1 << 31}],
    ids=str,
)
def test_sizes_that_contradict_each_other(lie: dict[str, object]) -> None:
    message = Picture(MILLIMETRES[0], "16UC1").message(ROS2, 0)
    for name, value in lie.items():
        object.__setattr__(message, name, value)
    with pytest.raises(InputError, match="depth"):
        DepthImage.from_message(message)
    with pytest.raises(InputError, match="not a sensor_msgs/Image"):
        DepthImage.from_message(object())


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["image", "camera"]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
def test_changed_bytes_of_messages(
    what: str, packed: bool, changes: list[tuple[int, int]], kept: int
) -> None:
    store = ROS1 if packed else ROS2
    if what == "image":
        name, message = "Image", Picture(MILLIMETRES[0], "16UC1").message(store, 5)
    else:
        name, message = "CameraInfo", camera_info(store, 5, MATRIX, SIZE)
    serialise = store.serialize_ros1 if packed else store.serialize_cdr
    raw = bytearray(serialise(message, f"sensor_msgs/msg/{name}"))[:kept]
    for place, value in changes:
        if place < len(raw):
            raw[place] = value
    kind = DepthImage if what == "image" else Intrinsics
    try:
        found = kind.from_ros1(bytes(raw)) if packed else kind.from_cdr(bytes(raw))
        if isinstance(found, DepthImage) and (found.height, found.width) == SIZE:
            assert len(found.frame(CAMERA).points) == 54
    except Cg3dError:
        pass


@pytest.mark.parametrize("kind", ["ros1", "db3", "mcap"])
def test_changed_bytes_of_bags_of_images(tmp_path: Path, kind: str) -> None:
    pictures = {IMAGES: [Picture(MILLIMETRES[0], "16UC1")] * 2}
    bag = write_depth_bag(kind, tmp_path, pictures, {INFO: [(MATRIX, SIZE)]})
    read_changed_bags(bag, tmp_path, 1)
