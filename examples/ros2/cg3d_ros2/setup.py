from setuptools import setup

setup(
    name="cg3d_ros2",
    version="0.1.0",
    packages=["cg3d_ros2"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/cg3d_ros2"]),
        ("share/cg3d_ros2", ["package.xml"]),
        ("share/cg3d_ros2/launch", ["launch/cg3d.launch.py"]),
    ],
    # From PyPI or a checkout, by pip: ROS has no package of it.
    install_requires=["setuptools", "cg3d-sdk"],
    license="Apache-2.0",
    entry_points={"console_scripts": ["node = cg3d_ros2.node:main"]},
)
