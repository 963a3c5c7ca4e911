"""Classes of ROS 2 messages as strict as those that rosidl generates: their fields and no others.

Definitions: those that `rosbags` ships (ROS 2 Humble), and below those of vision_msgs 4 and
std_srvs, https://github.com/ros-perception/vision_msgs (branch ros2),
https://github.com/ros2/common_interfaces.
"""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.base import Nodetype

VISION = {
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id"
    ),
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
}
TRIGGER = "---\nbool success\nstring message"

_PLAIN: dict[str, tuple[type, Any]] = {
    "string": (str, ""), "bool": (bool, False), "float64": (float, 0.0), "float32": (float, 0.0),
}  # fmt: skip


class Messages:
    """Classes of messages by "package/msg/Name", made when they are asked for."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {
            name: fields
            for name, (_, fields) in get_typestore(Stores.ROS2_HUMBLE).fielddefs.items()
        }
        self._made: dict[str, type] = {}
        for name, text in VISION.items():
            self.define(f"vision_msgs/msg/{name}", text)

    def define(self, name: str, text: str) -> None:
        """Add a definition as .msg files have it."""
        for own, (_, fields) in get_types_from_msg(text, name).items():
            self._fields[own] = fields

    def __getitem__(self, name: str) -> type:
        if name not in self._made:
            self._made[name] = self._class(name, dict(self._fields[name]))
        return self._made[name]

    def _class(self, name: str, fields: dict[str, Any]) -> type:
        messages = self

        class Message:
            __slots__ = tuple(f"_{field}" for field in fields)

            def __init__(self, **given: Any) -> None:
                unknown = set(given) - set(fields)
                assert not unknown, f"{name} has no field {sorted(unknown)}"
                for field, kind in fields.items():
                    setattr(self, field, given.get(field, messages._default(kind)))

        for field, kind in fields.items():
            setattr(Message, field, messages._property(name, field, kind))
        Message.__name__ = name.rpartition("/")[2]
        return Message

    def _property(self, owner: str, field: str, kind: Any) -> property:
        def write(message: Any, value: Any) -> None:
            assert self._fits(kind, value), f"{owner}.{field} cannot be {value!r}"
            setattr(message, f"_{field}", value)

        return property(lambda message: getattr(message, f"_{field}"), write)

    def _default(self, kind: Any) -> Any:
        node, what = kind
        if node is Nodetype.NAME:
            return self[what]()
        if node is Nodetype.BASE:
            return _PLAIN.get(what[0], (int, 0))[1]
        return [] if node is Nodetype.SEQUENCE else [self._default(what[0])] * what[1]

    def _fits(self, kind: Any, value: Any) -> bool:
        node, what = kind
        if node is Nodetype.NAME:
            return isinstance(value, self[what])
        if node is Nodetype.BASE:
            own = _PLAIN.get(what[0], (int, 0))[0]
            return type(value) is own
        if isinstance(value, array):
            return bool(what[0] == (Nodetype.BASE, ("uint8", 0)) and value.typecode == "B")
        return isinstance(value, (list, tuple)) and all(self._fits(what[0], v) for v in value)


def service(messages: Messages, name: str, text: str) -> Any:
    request, _, response = text.partition("---")
    package, _, short = name.partition("/")
    for part, fields in (("Request", request), ("Response", response)):
        messages.define(f"{package}/msg/{short}_{part}", fields)
    return SimpleNamespace(
        Request=messages[f"{package}/msg/{short}_Request"],
        Response=messages[f"{package}/msg/{short}_Response"],
    )
