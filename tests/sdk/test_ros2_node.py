"""The ROS 2 node's logic, fed from a bag that a simulated depth camera made in a generated room."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.scene.boxes import oriented_box
from cg3d_runtime.sensors import pose as pose_matrix
from cg3d_sdk import Cg3dError, Recognizer
from cg3d_training.render.depth_camera import DepthCamera, DepthFrame, tour
from cg3d_training.render.seen import SeenSurface
from cg3d_training.shapes.rooms import Room, furnished_room

pytest.importorskip("rosbags", reason="pip install rosbags")

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples" / "ros2" / "cg3d_ros2" / "cg3d_ros2"
sys.path.insert(0, str(PACKAGE.parent))
from cg3d_ros2.scene_node import Detection, Parameters, SceneNode  # noqa: E402

CAMERA = DepthCamera()
FRAMES = 64  # the last cut is in frame 60; what it finds is looked at after it


@pytest.fixture(scope="module")
def room() -> Room:
    return furnished_room(4)


@pytest.fixture(scope="module")
def frames(room: Room) -> list[DepthFrame]:
    rng = np.random.default_rng(0)
    return [CAMERA.look(room, pose, rng) for pose in tour(room, FRAMES)]


@pytest.fixture(scope="module")
def bag(frames: list[DepthFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Organised clouds in the optical frame, and the pose of the camera for each."""
    from rosbags import rosbag2, typesys

    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    types = store.types
    cloud, posed = "sensor_msgs/msg/PointCloud2", "geometry_msgs/msg/PoseStamped"
    folder = tmp_path_factory.mktemp("bags") / "walk"
    offsets = [types["sensor_msgs/msg/PointField"](n, 4 * i, 7, 1) for i, n in enumerate("xyz")]
    with rosbag2.Writer(folder, version=9) as writer:
        clouds = writer.add_connection("/camera/points", cloud, typestore=store)
        poses = writer.add_connection("/camera/pose", posed, typestore=store)
        for i, frame in enumerate(frames):
            time = types["builtin_interfaces/msg/Time"](100 + i // 10, i % 10 * 10**8)
            header = types["std_msgs/msg/Header"](time, "camera_depth_optical_frame")
            h, w = frame.depth.shape
            data = frame.organised.astype("<f4").tobytes()
            message = types[cloud](
                header, h, w, offsets, False, 12, 12 * w, np.frombuffer(data, np.uint8), False
            )
            stamp = time.sec * 10**9 + time.nanosec
            at = types["geometry_msgs/msg/Point"](*frame.pose[:3, 3].tolist())
            turn = types["geometry_msgs/msg/Quaternion"](*quaternion(frame.pose[:3, :3]))
            where = types[posed](header, types["geometry_msgs/msg/Pose"](at, turn))
            writer.write(poses, stamp, store.serialize_cdr(where, posed))
            writer.write(clouds, stamp, store.serialize_cdr(message, cloud))
    return folder


def quaternion(turn: np.ndarray) -> list[float]:
    """x, y, z, w of a rotation, by the eigenvector of its symmetric matrix (Bar-Itzhack 2000)."""
    (a, b, c), (d, e, f), (g, h, i) = turn.tolist()
    k = [[a - e - i, d + b, g + c, h - f], [d + b, e - a - i, h + f, c - g],
         [g + c, h + f, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]]  # fmt: skip
    return [float(v) for v in np.linalg.eigh(np.array(k) / 3)[1][:, -1]]


@pytest.fixture(scope="module")
def replay(
    bag: Path, room: Room, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SceneNode, list[tuple[Detection, ...]]]:
    """The node after the bag, and what it published after each cloud."""
    from rosbags.highlevel import AnyReader

    names = sorted({room.names[i] for i in room.furniture})
    folder = str(tmp_path_factory.mktemp("maps") / "map")
    parameters = Parameters(
        engine="cpu", threads=1, labels=tuple(names), min_score=0.0, map_folder=folder,
        views_per_frame=1,
    )  # fmt: skip
    node = SceneNode(parameters)
    published, matrix = [], np.eye(4)
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == "/camera/pose":
                at, turn = message.pose.position, message.pose.orientation
                matrix = pose_matrix([at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w])
            else:
                detections = node.on_cloud(message, matrix)
                assert detections is not None, node.counts.why
                published.append(detections)
    return node, published


def near(detections: tuple[Detection, ...], room: Room, number: int) -> list[Detection]:
    """What was published within 10 cm of a thing's middle."""
    middle = oriented_box(room.things[number].mesh.vertices).centre
    return [d for d in detections if np.linalg.norm(d.centre - middle) < 0.1]


def test_objects_are_found_within_ten_centimetres(
    room: Room, frames: list[DepthFrame], replay: tuple[SceneNode, list[tuple[Detection, ...]]]
) -> None:
    node, published = replay
    assert node.counts.added == FRAMES
    surface = SeenSurface(room, node.parameters.range)
    for frame in frames:
        surface.add(frame)
    # The backs and undersides that nobody can see count too, so a third is most of what there is.
    shares = surface.shares(node.map.settings.sure)
    shown = [i for i in room.furniture if shares[i] >= 1 / 3]
    missed = [i for i in shown if not near(published[-1], room, i)]
    assert len(shown) >= 8
    assert len(missed) <= 1, [room.names[i] for i in missed]
    half = [i for i in shown if shares[i] >= 0.5]
    assert len(half) >= 4
    assert not set(half) & set(missed)


def test_identities_stay(room: Room, replay: tuple[SceneNode, list[tuple[Detection, ...]]]) -> None:
    _, published = replay
    ids: dict[int, set[int]] = defaultdict(set)
    for detections in published:
        assert len({d.id for d in detections}) == len(detections)
        for number in room.furniture:
            ids[number] |= {d.id for d in near(detections, room, number)}
    told = [number for number in room.furniture if ids[number]]
    assert len(told) >= 8
    for number in told:
        assert len(ids[number]) == 1, (room.names[number], ids[number])
    every = [i for one in ids.values() for i in one]
    assert len(set(every)) == len(every), "no two things share an id"


def test_questions_are_answered_or_told_why(
    replay: tuple[SceneNode, list[tuple[Detection, ...]]],
) -> None:
    node, published = replay
    answer = node.on_query("where can I sit?", 2)
    assert 1 <= len(answer.detections) <= 2
    assert {d.id for d in answer.detections} <= {d.id for d in published[-1]}
    assert answer.message.startswith("chair")
    refused = node.on_query("xyzzy")
    assert (refused.found, refused.detections) == (False, ())
    assert "xyzzy" in refused.message
    turn = published[-1][0].orientation
    assert np.linalg.norm(turn) == pytest.approx(1.0)


def test_a_bad_cloud_is_counted_and_a_saved_map_goes_on(
    replay: tuple[SceneNode, list[tuple[Detection, ...]]],
) -> None:
    node, published = replay
    assert node.on_cloud(object(), np.eye(4)) is None
    assert node.counts.refused == 1
    assert node.counts.why
    assert "saved" in node.save()
    again = SceneNode(node.parameters, Recognizer(engine="cpu", threads=1))
    assert [d.id for d in again.detections()] == [d.id for d in published[-1]]
    assert again.map.frames == FRAMES
    with pytest.raises(Cg3dError, match="map_folder"):
        SceneNode(Parameters(), again.map.recognizer).save()


def test_only_the_thin_file_needs_ros_and_every_parameter_is_documented() -> None:
    for file in PACKAGE.parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        roots = {
            name.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for name in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        ros = roots & {"rclpy", "tf2_ros", "sensor_msgs", "vision_msgs", "geometry_msgs"}
        assert bool(ros) == (file.name == "node.py"), file
    documented = (ROOT / "docs" / "ros2.md").read_text(encoding="utf-8")
    for own in fields(Parameters):
        assert f"`{own.name}`" in documented, own.name
