"""A ROS 2 node around `cg3d_sdk.SceneMap`: logic in `scene_node`, ROS in `node`."""
