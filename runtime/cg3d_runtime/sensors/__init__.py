"""What sensors give: PointCloud2 messages, depth images, bags, and the frames they are in."""

from __future__ import annotations

from cg3d_runtime.sensors.bags import CloudTopic, cloud_topics, is_bag, read_frames
from cg3d_runtime.sensors.depth import DepthCloud, Intrinsics, depth_to_points
from cg3d_runtime.sensors.depth_image import DepthImage
from cg3d_runtime.sensors.frames import (
    OPTICAL_TO_BODY,
    Axes,
    as_transform,
    pose,
    to_body,
    transform_points,
)
from cg3d_runtime.sensors.pointcloud2 import CloudFrame, PointCloud2, PointField

__all__ = [
    "OPTICAL_TO_BODY",
    "Axes",
    "CloudFrame",
    "CloudTopic",
    "DepthCloud",
    "DepthImage",
    "Intrinsics",
    "PointCloud2",
    "PointField",
    "as_transform",
    "cloud_topics",
    "depth_to_points",
    "is_bag",
    "pose",
    "read_frames",
    "to_body",
    "transform_points",
]
