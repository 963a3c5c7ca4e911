"""`node.py`, which needs ROS, against a stand-in as strict as rclpy about names and types."""

from __future__ import annotations

import importlib.util
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cg3d_training.render.depth_camera import DepthCamera, tour
from cg3d_training.shapes.rooms import furnished_room

pytest.importorskip("rosbags", reason="pip install rosbags")
from support.ros_stand_in import Ros, ros_stand_in

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "ros2"
NODE = EXAMPLES / "cg3d_ros2" / "cg3d_ros2" / "node.py"
QUERY = EXAMPLES / "cg3d_interfaces" / "srv" / "Query.srv"
sys.path.insert(0, str(EXAMPLES / "cg3d_ros2"))
from cg3d_ros2.scene_node import Answer, Detection  # noqa: E402

FRAME = "camera_depth_optical_frame"
SHARP = {"engine": "cpu", "threads": 1, "min_score": 0.0, "cut_every": 4}


@pytest.fixture
def ros() -> Iterator[Ros]:
    with ros_stand_in(QUERY) as own:
        yield own


def loaded(source: str | None = None) -> ModuleType:
    """node.py as a module of its own, or another text in its place."""
    spec = importlib.util.spec_from_file_location("cg3d_ros2_node_under_test", NODE)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    text = NODE.read_text(encoding="utf-8") if source is None else source
    exec(compile(text, str(NODE), "exec"), vars(module))
    return module


def cloud(ros: Ros, points: np.ndarray, number: int, frame_id: str = FRAME) -> Any:
    """(h, w, 3) as a driver sends it."""
    of = ros.messages
    stamp = of["builtin_interfaces/msg/Time"](sec=100, nanosec=number)
    fields = [
        of["sensor_msgs/msg/PointField"](name=n, offset=4 * i, datatype=7, count=1)
        for i, n in enumerate("xyz")
    ]
    height, width = points.shape[:2]
    return of["sensor_msgs/msg/PointCloud2"](
        header=of["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id),
        height=height, width=width, fields=fields, is_bigendian=False, point_step=12,
        row_step=12 * width, data=array("B", points.astype("<f4").tobytes()), is_dense=False,
    )  # fmt: skip


def transform(ros: Ros, matrix: np.ndarray) -> Any:
    from test_ros2_node import quaternion

    of = ros.messages
    x, y, z = matrix[:3, 3].tolist()
    a, b, c, d = quaternion(matrix[:3, :3])
    return of["geometry_msgs/msg/Transform"](
        translation=of["geometry_msgs/msg/Vector3"](x=x, y=y, z=z),
        rotation=of["geometry_msgs/msg/Quaternion"](x=a, y=b, z=c, w=d),
    )


def test_the_node_publishes_answers_and_saves(ros: Ros, tmp_path: Path) -> None:
    room, rng = furnished_room(4), np.random.default_rng(0)
    camera = DepthCamera(width=160, height=120, fx=145.0, fy=145.0, cx=79.5, cy=59.5)
    ros.overrides = {
        **SHARP,
        "labels": ["chair", "table", "sofa"],
        "map_folder": str(tmp_path / "m"),
    }
    answers: list[Any] = []

    def script() -> None:
        ros.send("cloud", cloud(ros, np.zeros((1, 4, 3)), 0, "elsewhere"))
        for i, pose in enumerate(tour(room, 48)[:12]):
            ros.transforms["map", FRAME] = transform(ros, pose)
            ros.send("cloud", cloud(ros, camera.look(room, pose, rng).organised, i))
        broken = cloud(ros, np.zeros((2, 2, 3)), 99)
        broken.point_step = 4
        ros.send("cloud", broken)
        answers.append(ros.call("query", text="where can I sit?", top=2))
        answers.append(ros.call("query", text="xyzzy", top=0))
        answers.append(ros.call("save_map"))

    ros.script = script
    loaded().main()
    sent = ros.published["detections"]
    assert len(sent) == 12
    assert sent[-1].header.frame_id == "map"
    assert (sent[-1].header.stamp.sec, sent[-1].header.stamp.nanosec) == (100, 11)
    assert len(sent[-1].detections) >= 2
    for one in sent[-1].detections:
        assert one.id.isdecimal()
        assert one.results[0].hypothesis.class_id in ("chair", "table", "sofa")
        assert 0 <= one.results[0].hypothesis.score <= 1
        assert min(one.bbox.size.x, one.bbox.size.y, one.bbox.size.z) > 0
        assert one.results[0].pose.pose is one.bbox.center
        turn = one.bbox.center.orientation
        assert turn.z**2 + turn.w**2 == pytest.approx(1)
    found, refused, saved = answers
    assert 1 <= len(found.detections.detections) <= 2
    assert found.detections.header.frame_id == "map"
    assert found.detections.header.stamp.sec == 5
    assert (refused.found, len(refused.detections.detections)) == (False, 0)
    assert "xyzzy" in refused.message
    assert saved.success
    assert any("elsewhere" in line for line in ros.warnings)
    assert any("point_step" in line or "leaves" in line for line in ros.warnings)
    assert any("saved to" in line for line in ros.infos)
    assert ros.node is None
    assert ros.down


class Known:
    """The logic, with one thing that it always tells of."""

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters
        self.counts = type("Counts", (), {"why": "bad"})()
        centre, turn = np.array([1.0, 2, 3]), np.array([0.0, 0, 0, 1])
        self.thing = Detection(7, "chair", 0.5, centre, np.array([0.4, 0.5, 0.9]), turn)

    def on_cloud(self, message: Any, matrix: np.ndarray) -> tuple[Detection, ...] | None:
        assert matrix.shape == (4, 4)
        return None if message.width == 1 else (self.thing,)

    def on_query(self, text: str, top: int) -> Answer:
        assert (text, top) == ("chair", 1)
        return Answer(True, (self.thing,), "chair: found")

    def save(self) -> str:
        return "saved"


def run(ros: Ros, source: str | None = None) -> None:
    """Every callback of the node once, with the logic above."""
    module = loaded(source)
    vars(module)["SceneNode"] = Known
    ros.overrides = {"map_folder": "somewhere"}
    ros.transforms["map", FRAME] = transform(ros, np.eye(4))

    def script() -> None:
        ros.send("cloud", cloud(ros, np.zeros((1, 3, 3)), 0, "elsewhere"))
        ros.send("cloud", cloud(ros, np.zeros((1, 1, 3)), 1))
        ros.send("cloud", cloud(ros, np.zeros((1, 3, 3)), 2))
        answer = ros.call("query", text="chair", top=0)
        assert (answer.found, answer.message) == (True, "chair: found")
        box = answer.detections.detections[0].bbox
        assert (box.center.position.z, box.size.z) == (3.0, 0.9)
        assert ros.call("save_map").message == "saved"

    ros.script = script
    module.main()
    assert [message.detections[0].id for message in ros.published["detections"]] == ["7"]
    assert ros.infos == ["saved"]
    assert len(ros.warnings) == 2
    assert ros.node is None
    assert ros.down


def test_every_callback_runs(ros: Ros) -> None:
    run(ros)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("class_id=", "id="),
        ("bbox=", "box="),
        ("center=", "centre="),
        ("id=str(found.id)", "id=found.id"),
        ("score=found.score", "score=1"),
        ("result.pose.pose", "result.pose.position"),
        ("results=[result]", "results=result"),
        ("request.text", "request.question"),
        ("response.success", "response.succeeded"),
        ("response.detections.header", "response.header"),
        ("found.translation", "found.position"),
        ("Time.from_msg(message.header.stamp)", "message.header.stamp"),
        ("self.detections.publish", "self.detections.send"),
        ("throttle_duration_sec", "throttle"),
        ("reliability=", "reliable="),
        ("Detection3DArray, \"detections\"", "Detection3D, \"detections\""),
        ("self.get_clock().now().to_msg()", "self.get_clock().now()"),
        ("executor.add_node(node)", "executor.add(node)"),
        ("node.destroy_node()", "node.destroy()"),
        ("rclpy.try_shutdown()", "rclpy.shutdown()"),
        ("[\"\"] if own.name", "[] if own.name"),
        ("return response\n\n    def _save", "return None\n\n    def _save"),
    ],
)  # fmt: skip
def test_a_wrong_name_or_type_is_noticed(ros: Ros, right: str, wrong: str) -> None:
    source = NODE.read_text(encoding="utf-8")
    assert right in source
    with pytest.raises((AssertionError, AttributeError, TypeError, NameError)):
        run(ros, source.replace(right, wrong))
