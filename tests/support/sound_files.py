"""A small sound file of every kind that is read, to be damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import plyfile
import pypcd4
import trimesh
from numpy.typing import NDArray
from support.made_bags import storage_file, write_bag
from support.made_depth_bags import Picture, write_depth_bag
from support.ros_messages import simple

POINTS = np.random.default_rng(0).normal(size=(24, 3))

_PCD = {
    "pcd-ascii": pypcd4.Encoding.ASCII,
    "pcd-binary": pypcd4.Encoding.BINARY,
    "pcd-compressed": pypcd4.Encoding.BINARY_COMPRESSED,
}
_BAGS = {"ros1": ".bag", "ros1-bz2": ".bag", "ros1-lz4": ".bag", "db3": ".db3"}
_BAGS |= {"db3-zstd": "", "mcap": ".mcap", "mcap-zstd": ".mcap"}
_DEPTH_BAGS = {"ros1-depth": ".bag", "mcap-depth": ".mcap"}  # images and intrinsics

#: Kind -> the suffix of its file; "" for kinds that are no single file of a known suffix.
KINDS: dict[str, str] = {
    **{kind: f".{kind}" for kind in ("npy", "npz", "xyz", "csv", "las", "laz", "bin")},
    **dict.fromkeys(_PCD, ".pcd"),
    **dict.fromkeys(("ply-ascii", "ply-little", "ply-big", "ply-mesh"), ".ply"),
    **{kind: f".{kind}" for kind in ("obj", "off", "stl", "glb", "gltf")},
    **_BAGS,
    **_DEPTH_BAGS,
    "metadata": ".yaml",  # of a ROS 2 bag
    "cdr": "",  # serialised messages
    "ros1-message": "",
}

#: Kinds whose file says how much there is: what is cut off is an error or did not matter.
COUNTED = KINDS.keys() - {"xyz", "csv", "bin", "obj", "metadata"}


#: Kinds of text: a last number that was cut is still a number.
TEXT = {"pcd-ascii", "ply-ascii", "off"}


def sound_file(kind: str, folder: Path) -> bytes:
    """The content of the file of a kind."""
    path = folder / f"sound{KINDS[kind]}"
    if kind in _BAGS or kind == "metadata":
        return _bag(kind, folder)
    if kind in _DEPTH_BAGS:
        return _depth_bag(kind, folder)
    if kind == "cdr":
        return simple(POINTS).cdr
    if kind == "ros1-message":
        return simple(POINTS).ros1_bytes
    if kind in _PCD:
        cloud = pypcd4.PointCloud.from_xyz_points(POINTS.astype(np.float32))
        cloud.save(path, encoding=_PCD[kind])
    elif kind.startswith("ply"):
        _ply(kind, path)
    elif kind in ("las", "laz"):
        _las(path)
    else:
        _WRITERS[kind](path)
    return path.read_bytes()


def _bag(kind: str, folder: Path) -> bytes:
    clouds = {"/points": [simple(POINTS[:8], stamp=i) for i in range(3)]}
    storage = "mcap" if kind == "metadata" else kind
    shutil.rmtree(folder / storage, ignore_errors=True)
    bag = write_bag(storage, folder, clouds)
    return (bag / "metadata.yaml" if kind == "metadata" else storage_file(bag)).read_bytes()


def _depth_bag(kind: str, folder: Path) -> bytes:
    storage = kind.removesuffix("-depth")
    place = folder / "depth"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    depth = np.arange(24, dtype=np.uint16).reshape(4, 6) * 100
    bag = write_depth_bag(
        storage,
        place,
        {"/camera/depth/image": [Picture(depth, "16UC1")] * 3},
        {"/camera/depth/camera_info": [([5.0, 0, 2.5, 0, 5.0, 1.5, 0, 0, 1], (4, 6))]},
    )
    return storage_file(bag).read_bytes()


def _ply(kind: str, path: Path) -> None:
    box = trimesh.creation.box()
    if kind == "ply-mesh":
        box.export(path)
        return
    rows = np.array([tuple(p) for p in POINTS], [("x", "f4"), ("y", "f4"), ("z", "f4")])
    order = ">" if kind == "ply-big" else "<"
    element = plyfile.PlyElement.describe(rows, "vertex")
    text = kind == "ply-ascii"
    plyfile.PlyData([element], text=text, byte_order="=" if text else order).write(path)


def _las(path: Path) -> None:
    las = laspy.LasData(laspy.LasHeader(version="1.4", point_format=6))
    las.x, las.y, las.z = POINTS.T
    las.write(path)


def _gltf(path: Path) -> None:
    scene = trimesh.Scene(trimesh.creation.box())
    path.write_bytes(trimesh.exchange.gltf.export_gltf(scene, embed_buffers=True)["model.gltf"])


def _kitti(path: Path) -> None:
    rows: NDArray[Any] = np.concatenate([POINTS, np.ones((24, 1))], axis=1)
    rows.astype("<f4").tofile(path)


_WRITERS: dict[str, Callable[[Path], object]] = {
    "npy": lambda path: np.save(path, POINTS),
    "npz": lambda path: np.savez_compressed(path, points=POINTS),
    "xyz": lambda path: np.savetxt(path, POINTS),
    "csv": lambda path: np.savetxt(path, POINTS, delimiter=",", header="x,y,z", comments=""),
    "bin": _kitti,
    "gltf": _gltf,
    **{
        kind: lambda path: trimesh.creation.box().export(path)
        for kind in ("obj", "off", "stl", "glb")
    },
}
