"""`ros2 launch cg3d_ros2 cg3d.launch.py cloud:=/camera/depth/color/points`."""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """The node, with the topic of the clouds as an argument."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("cloud", default_value="/camera/depth/color/points"),
            DeclareLaunchArgument("map_frame", default_value="map"),
            Node(
                package="cg3d_ros2",
                executable="node",
                name="cg3d",
                remappings=[("cloud", LaunchConfiguration("cloud"))],
                parameters=[
                    {
                        "map_frame": LaunchConfiguration("map_frame"),
                        "labels": ["chair", "table", "sofa", "bed", "bookcase", "mug"],
                    }
                ],
            ),
        ]
    )
