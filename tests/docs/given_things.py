"""What the documents take for granted: names like `points`, files like scan.pcd, and needs.

A page's code runs as it stands. A name that it uses and nobody has defined is made from `NAMES`,
a path that it mentions from `FILES`; what is in neither has to come from the page itself. A block
that cannot run everywhere has a comment in the line before its fence, `<!-- needs: a GPU -->`: it
is left out only where `NEEDS` finds that this machine really lacks it.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.cuda import cuda_device_count
from cg3d_runtime.engines.plan import plan_folders
from cg3d_sdk import Recognizer
from cg3d_sdk.shipped import default_bundle


def chair() -> NDArray[np.float32]:
    """(N, 3) metres, z up: a chair that ships as a sample."""
    sample = Path(str(resources.files("cg3d_sdk") / "samples" / "chair.npz"))
    with np.load(sample, allow_pickle=False) as archive:
        return archive["points"].astype(np.float32)


def room() -> NDArray[np.float32]:
    """(N, 3) metres, z up: two chairs on a floor."""
    rng = np.random.default_rng(0)
    floor = rng.uniform((-2, -2, 0), (2, 2, 0.004), (6000, 3))
    one = chair()[::2]
    one = one - [*one[:, :2].mean(axis=0), one[:, 2].min() - 0.02]
    return np.concatenate([floor, one - np.array([1, 0, 0]), one + np.array([1, 0.5, 0])]).astype(
        np.float32
    )


def _pcd(path: Path, points: NDArray[np.float32]) -> None:
    header = (
        "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {len(points)}\nHEIGHT 1\nPOINTS {len(points)}\nDATA binary\n"
    )
    path.write_bytes(header.encode() + points.astype("<f4").tobytes())


def _ply(path: Path, points: NDArray[np.float32]) -> None:
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
        "property float x\nproperty float y\nproperty float z\nend_header\n"
    )
    path.write_bytes(header.encode() + points.astype("<f4").tobytes())


def _mesh(path: Path) -> None:
    import trimesh

    trimesh.creation.box((0.4, 0.9, 0.4)).export(path)


def _meshes(path: Path) -> None:
    path.mkdir()
    for name in ("chair.glb", "box.glb"):
        _mesh(path / name)


def _picture(path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(path)


def _messages() -> list[Any]:
    from support.ros_messages import simple

    # As a camera would see it: x right, y down, z forward.
    x, y, z = chair()[:800].T
    optical = np.stack([-y, -z, x + 2], axis=1)
    return [simple(optical), simple(optical[::2])]


def _bag(path: Path) -> None:
    from support.made_bags import storage_file, write_bag

    folder = path.with_suffix(".made")
    folder.mkdir()
    storage_file(write_bag("mcap", folder, {"/points": _messages()})).rename(path)


def _bundle(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(default_bundle())


def _ros_package(path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(root / path)


#: A name that pages use without defining it -> what makes it.
NAMES: dict[str, Callable[[], Any]] = {
    "points": chair,
    "cloud": chair,
    "room": room,
    "message": lambda: _messages()[0].message,
    "recognizer": lambda: Recognizer(engine="cpu", threads=1),
}

#: A path that pages mention, from the folder they run in or below the home -> what makes it.
FILES: dict[str, Callable[[Path], None]] = {
    "scan.pcd": lambda path: _pcd(path, chair()),
    "room.pcd": lambda path: _pcd(path, room()),
    "chair.ply": lambda path: _ply(path, chair()),
    "run.mcap": _bag,
    "pose.txt": lambda path: np.savetxt(path, np.eye(4)),
    "cloud.npy": lambda path: np.save(path, chair()),
    "chair.glb": _mesh,
    "meshes": _meshes,
    "photo.jpg": _picture,
    "my_bundle": _bundle,
    "household": _bundle,
    "bundles/official": _bundle,
    "runs/calibrated": _bundle,
    "examples/ros2/cg3d_ros2": _ros_package,
}


def _reads_any_text(bundle: Bundle) -> bool:
    encoder = bundle.manifest.text.encoder
    return encoder is not None and encoder.open_vocabulary


def _reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


#: What a block may need -> whether it is here.
NEEDS: dict[str, Callable[[], bool]] = {
    "a GPU": lambda: cuda_device_count() > 0,
    "a TensorRT plan": lambda: bool(plan_folders(Bundle.open(default_bundle()))),
    "a calibrated bundle": lambda: Bundle.open(default_bundle()).calibration() is not None,
    "an image encoder": lambda: Bundle.open(default_bundle()).manifest.image is not None,
    "CLIP's text tower": lambda: _reads_any_text(Bundle.open(default_bundle())),
    "a Qdrant server": lambda: _reachable("robots", 6333),
    "ROS 2": lambda: importlib.util.find_spec("rclpy") is not None,
    "ScanObjectNN": lambda: Path("h5_files").is_dir(),
    "shards": lambda: Path("shards").is_dir(),
}
