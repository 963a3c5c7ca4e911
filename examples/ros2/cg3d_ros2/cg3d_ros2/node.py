"""The node: topics, services and transforms around `SceneNode`. All that needs ROS is here."""

from __future__ import annotations

from dataclasses import fields

import rclpy
from cg3d_interfaces.srv import Query
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tf2_ros import Buffer, TransformException, TransformListener
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from cg3d_ros2.scene_node import Detection, Parameters, SceneNode
from cg3d_runtime.sensors.frames import pose
from cg3d_sdk import Cg3dError

#: The transform of a cloud may come a little after it.
_PATIENCE = Duration(seconds=0.2)


class CG3DNode(Node):
    """Subscribes to `cloud`, publishes `detections`, serves `query` and `save_map`."""

    def __init__(self) -> None:
        super().__init__("cg3d")
        self.logic = SceneNode(self._parameters())
        self.transforms = Buffer()
        self.listener = TransformListener(self.transforms, self)
        self.detections = self.create_publisher(Detection3DArray, "detections", 10)
        # Clouds one after the other, questions meanwhile. The queue of one keeps the newest cloud.
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT
        )
        clouds, others = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
        self.create_subscription(PointCloud2, "cloud", self._cloud, qos, callback_group=clouds)
        self.create_service(Query, "query", self._query, callback_group=others)
        self.create_service(Trigger, "save_map", self._save, callback_group=others)

    def _parameters(self) -> Parameters:
        given = {}
        for own in fields(Parameters):
            # An empty list has no type for ROS, so no labels are a list of one empty string.
            default = [""] if own.name == "labels" else own.default
            given[own.name] = self.declare_parameter(own.name, default).value
        given["labels"] = tuple(label for label in given["labels"] if label)
        return Parameters(**given)

    def _cloud(self, message: PointCloud2) -> None:
        frame = self.logic.parameters.map_frame
        try:
            found = self.transforms.lookup_transform(
                frame, message.header.frame_id, Time.from_msg(message.header.stamp), _PATIENCE
            ).transform
        except TransformException as error:
            self.get_logger().warning(f"cloud left out: {error}", throttle_duration_sec=5.0)
            return
        at, turn = found.translation, found.rotation
        matrix = pose([at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w])
        detections = self.logic.on_cloud(message, matrix)
        if detections is None:
            self.get_logger().warning(self.logic.counts.why, throttle_duration_sec=5.0)
            return
        header = Header(stamp=message.header.stamp, frame_id=frame)
        entries = [_detection(header, one) for one in detections]
        self.detections.publish(Detection3DArray(header=header, detections=entries))

    def _query(self, request: Query.Request, response: Query.Response) -> Query.Response:
        answer = self.logic.on_query(request.text, max(1, request.top))
        now = self.get_clock().now().to_msg()
        header = Header(stamp=now, frame_id=self.logic.parameters.map_frame)
        response.found, response.message = answer.found, answer.message
        response.detections.header = header
        response.detections.detections = [_detection(header, one) for one in answer.detections]
        return response

    def _save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message, response.success = self.logic.save(), True
        except Cg3dError as error:
            response.message, response.success = str(error), False
        return response


def _detection(header: Header, found: Detection) -> Detection3D:
    centre = Pose(
        position=Point(**dict(zip("xyz", found.centre.tolist(), strict=True))),
        orientation=Quaternion(**dict(zip("xyzw", found.orientation.tolist(), strict=True))),
    )
    result = ObjectHypothesisWithPose(
        hypothesis=ObjectHypothesis(class_id=found.label, score=found.score)
    )
    result.pose.pose = centre
    size = Vector3(**dict(zip("xyz", found.size.tolist(), strict=True)))
    return Detection3D(
        header=header,
        id=str(found.id),
        results=[result],
        bbox=BoundingBox3D(center=centre, size=size),
    )


def main() -> None:
    """`ros2 run cg3d_ros2 node`."""
    rclpy.init()
    node = CG3DNode()
    executor = MultiThreadedExecutor(num_threads=2)
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node.logic.parameters.map_folder:
            node.get_logger().info(node.logic.save())
        node.destroy_node()
        rclpy.try_shutdown()
