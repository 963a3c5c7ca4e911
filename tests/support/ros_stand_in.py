"""What `examples/ros2` uses of ROS 2, by hand: as strict as rclpy, and no message is ever sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from support.ros_message_classes import TRIGGER, VISION, Messages, service


class Ros:
    """One run of a node: what it was given, and what it made of it.

    Attributes:
        messages: classes of messages.
        overrides: parameters from the command line.
        transforms: (target, source) -> transform message.
        script: what happens while the executor spins; its return ends the spin as Ctrl-C does.
        published: messages by topic; warnings, infos: what was logged.
        node: that was made; down: whether it was shut down in order.
    """

    def __init__(self) -> None:
        self.messages = Messages()
        self.overrides: dict[str, Any] = {}
        self.transforms: dict[tuple[str, str], Any] = {}
        self.script: Callable[[], None] = lambda: None
        self.published: dict[str, list[Any]] = {}
        self.subscriptions: dict[str, tuple[type, Callable[[Any], None]]] = {}
        self.services: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {}
        self.warnings: list[str] = []
        self.infos: list[str] = []
        self.parameters: dict[str, Any] = {}
        self.node: Any = None
        self.down = False

    def send(self, topic: str, message: Any) -> None:
        """To the subscription of a topic."""
        kind, callback = self.subscriptions[topic]
        assert isinstance(message, kind)
        callback(message)

    def call(self, service: str, **request: Any) -> Any:
        """The response of a service."""
        kind, callback = self.services[service]
        response = callback(kind.Request(**request), kind.Response())
        assert isinstance(response, kind.Response), "a service returns its response"
        return response


class Time:
    """rclpy.time.Time, as far as it is used."""

    def __init__(self, nanoseconds: int, message: type) -> None:
        self.nanoseconds, self._message = nanoseconds, message

    def to_msg(self) -> Any:
        sec, nanosec = divmod(self.nanoseconds, 10**9)
        return self._message(sec=sec, nanosec=nanosec)


class Duration:
    """rclpy.duration.Duration."""

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        self.nanoseconds = int(seconds * 1e9) + nanoseconds


class TransformException(Exception):  # noqa: N818 - its name in tf2
    """tf2_ros.TransformException."""


class ExternalShutdownException(Exception):  # noqa: N818 - its name in rclpy
    """rclpy.executors.ExternalShutdownException."""


class QoSProfile:
    """rclpy.qos.QoSProfile."""

    def __init__(self, *, history: str, depth: int, reliability: str) -> None:
        assert history in vars(HISTORY).values()
        assert reliability in vars(RELIABILITY).values()
        self.depth = depth


HISTORY = SimpleNamespace(KEEP_LAST="keep last", KEEP_ALL="keep all")
RELIABILITY = SimpleNamespace(RELIABLE="reliable", BEST_EFFORT="best effort")


class Group:
    """A callback group."""


def _modules(ros: Ros, query: str) -> dict[str, dict[str, Any]]:
    messages = ros.messages
    stamp = messages["builtin_interfaces/msg/Time"]

    class Logger:
        def warning(self, message: str, *, throttle_duration_sec: float = 0.0) -> None:
            ros.warnings.append(message)

        def info(self, message: str, *, throttle_duration_sec: float = 0.0) -> None:
            ros.infos.append(message)

    class Node:
        def __init__(self, node_name: str) -> None:
            assert node_name.isidentifier()
            ros.node = self

        def declare_parameter(self, name: str, value: Any) -> Any:
            assert name not in ros.parameters, f"{name} is declared twice"
            kinds = (bool, int, float, str)
            listed = isinstance(value, list) and value and isinstance(value[0], kinds)
            assert isinstance(value, kinds) or listed, f"{name}: ROS has no type for {value!r}"
            own = ros.overrides.get(name, value)
            assert type(own) is type(value), f"{name}: {own!r} is of another type"
            ros.parameters[name] = own
            return SimpleNamespace(name=name, value=own)

        def create_publisher(self, msg_type: type, topic: str, qos_profile: Any) -> Any:
            assert isinstance(qos_profile, (int, QoSProfile))
            sent = ros.published.setdefault(topic, [])

            def publish(message: Any) -> None:
                assert isinstance(message, msg_type)
                sent.append(message)

            return SimpleNamespace(publish=publish)

        def create_subscription(
            self, msg_type: type, topic: str, callback: Any, qos_profile: Any,
            *, callback_group: Group | None = None,
        ) -> None:  # fmt: skip
            assert isinstance(qos_profile, (int, QoSProfile))
            ros.subscriptions[topic] = (msg_type, callback)

        def create_service(
            self, srv_type: Any, srv_name: str, callback: Any,
            *, callback_group: Group | None = None,
        ) -> None:  # fmt: skip
            ros.services[srv_name] = (srv_type, callback)

        def get_logger(self) -> Logger:
            return Logger()

        def get_clock(self) -> Any:
            return SimpleNamespace(now=lambda: Time(5_000_000_007, stamp))

        def destroy_node(self) -> None:
            ros.node = None

    class Buffer:
        def lookup_transform(
            self, target_frame: str, source_frame: str, time: Time, timeout: Duration
        ) -> Any:
            assert isinstance(time, Time)
            assert isinstance(timeout, Duration)
            if (target_frame, source_frame) not in ros.transforms:
                raise TransformException(f"{source_frame} is not known")
            transform = messages["geometry_msgs/msg/TransformStamped"]()
            transform.transform = ros.transforms[target_frame, source_frame]
            return transform

    class TransformListener:
        def __init__(self, buffer: Buffer, node: Node) -> None:
            assert isinstance(buffer, Buffer)
            assert isinstance(node, Node)

    class MultiThreadedExecutor:
        def __init__(self, num_threads: int | None = None) -> None:
            self.nodes: list[Node] = []

        def add_node(self, node: Node) -> None:
            self.nodes.append(node)

        def spin(self) -> None:
            assert self.nodes == [ros.node]
            ros.script()
            raise KeyboardInterrupt

    def down() -> None:
        ros.down = True

    def of_message(message: Any) -> Time:
        assert isinstance(message, stamp)
        return Time(message.sec * 10**9 + message.nanosec, stamp)

    def of(package: str, *names: str) -> dict[str, Any]:
        return {name: messages[f"{package}/msg/{name}"] for name in names}

    return {
        "rclpy": {"init": lambda: None, "try_shutdown": down},
        "rclpy.callback_groups": {
            "MutuallyExclusiveCallbackGroup": Group, "ReentrantCallbackGroup": Group,
        },
        "rclpy.duration": {"Duration": Duration},
        "rclpy.executors": {
            "ExternalShutdownException": ExternalShutdownException,
            "MultiThreadedExecutor": MultiThreadedExecutor,
        },
        "rclpy.node": {"Node": Node},
        "rclpy.qos": {
            "QoSProfile": QoSProfile, "HistoryPolicy": HISTORY, "ReliabilityPolicy": RELIABILITY,
        },
        "rclpy.time": {"Time": SimpleNamespace(from_msg=of_message)},
        "tf2_ros": {
            "Buffer": Buffer, "TransformListener": TransformListener,
            "TransformException": TransformException,
        },
        "geometry_msgs.msg": of("geometry_msgs", "Point", "Pose", "Quaternion", "Vector3"),
        "sensor_msgs.msg": of("sensor_msgs", "PointCloud2"),
        "std_msgs.msg": of("std_msgs", "Header"),
        "vision_msgs.msg": of("vision_msgs", *VISION),
        "std_srvs.srv": {"Trigger": service(messages, "std_srvs/Trigger", TRIGGER)},
        "cg3d_interfaces.srv": {"Query": service(messages, "cg3d_interfaces/Query", query)},
    }  # fmt: skip


@contextmanager
def ros_stand_in(query: Path) -> Iterator[Ros]:
    """`import rclpy` and what goes with it, until the end of the block.

    Args:
        query: Query.srv of cg3d_interfaces.
    """
    ros = Ros()
    modules: dict[str, ModuleType] = {}
    for name, contents in _modules(ros, query.read_text(encoding="utf-8")).items():
        package = name.partition(".")[0]
        for own in (package, name):
            modules.setdefault(own, ModuleType(own))
        vars(modules[name]).update(contents)
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield ros
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
