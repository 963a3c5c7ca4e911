"""One door for every file format: the suffix picks the reader."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files.arrays import read_npy, read_npz
from cg3d_runtime.files.cloud import FileCloud
from cg3d_runtime.files.kitti import read_kitti
from cg3d_runtime.files.las import read_las
from cg3d_runtime.files.mesh import read_mesh
from cg3d_runtime.files.pcd import read_pcd
from cg3d_runtime.files.ply import read_ply
from cg3d_runtime.files.text import read_text
from cg3d_runtime.sensors.bags import is_bag

# A reader takes the file's bytes and its path, and gives (n, 3) points and the number of
# triangles they were sampled from. It raises InputError with the reason; the path is added here.
Reader = Callable[[bytes, Path], tuple[NDArray[np.floating], int]]

READERS: dict[str, Reader] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".xyz": read_text,
    ".txt": read_text,
    ".pts": read_text,
    ".csv": read_text,
    ".pcd": read_pcd,
    ".ply": read_ply,
    ".las": read_las,
    ".laz": read_las,
    ".bin": read_kitti,
    ".obj": read_mesh,
    ".off": read_mesh,
    ".stl": read_mesh,
    ".glb": read_mesh,
    ".gltf": read_mesh,
}


def read_points(path: str | PathLike[str]) -> FileCloud:
    """Read the points of a file, or sample the surface of a mesh.

    Formats by suffix: .npy and .npz (never pickled), .xyz, .txt, .pts and .csv text, .pcd (ascii,
    binary, binary_compressed), .ply, .las and .laz through laspy, .bin as KITTI has it, and .obj,
    .off, .stl, .glb, .gltf through trimesh. A mesh is sampled evenly over its surface, the same
    way every time; a file without faces gives its vertices. Recordings hold many clouds:
    `cg3d_runtime.sensors.read_frames` reads those.

    Args:
        path: the file.

    Returns:
        The points as the file has them: its axes, its unit, its NaN rows.

    Raises:
        InputError: the file is missing, unreadable, damaged, empty or of a format not read.
        DependencyError: the format needs a package of the extra [files] or [las] that is not
            installed.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        if is_bag(path):
            raise InputError(
                f"{path}: a recording holds many clouds: cg3d_runtime.sensors.read_frames(path) "
                "gives them one by one"
            )
        _check_there(path)
        what = f"files ending in {path.suffix!r}" if path.suffix else "files without a suffix"
        raise InputError(f"{path}: {what} are not read; these are: {' '.join(READERS)}")
    data = _file_bytes(path)
    try:
        points, faces = reader(data, path)
        if len(points) == 0:
            raise InputError("it holds no points")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    kind = path.suffix.lower().lstrip(".")
    return FileCloud(np.ascontiguousarray(points), path, kind, faces)


def is_point_file(path: Path) -> bool:
    """Whether `read_points` takes a file by its name; a .bin beside a .gltf is a part of that."""
    suffix = path.suffix.lower()
    if suffix == ".bin" and any(path.parent.glob("*.gltf")):
        return False
    return suffix in READERS


def _file_bytes(path: Path) -> bytes:
    _check_there(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise InputError(f"{path}: the file is empty")
    return data


def _check_there(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(
                f"{path}: is a folder, not a file of points; name the files in it, or put all of "
                "them into an index with `cg3d index build`"
            )
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if not path.is_file():
            raise InputError(f"{path}: is a device or pipe, not a file of points")
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise InputError(f"{path}: cannot be read ({error})") from error
