"""KITTI's .bin files: four float32 a point (x, y, z, reflectance), and nuScenes' .pcd.bin: five.

They have no header. x is forward, y left, z up, in metres.
Format: A. Geiger et al., "Vision meets Robotics: The KITTI Dataset" (2013), development kit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

#: No laser scanner sees so far; other .bin files soon have such a "coordinate".
_FURTHEST = 1e5  # metres


def read_kitti(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points of a scan; other .bin files are told apart by their length and their numbers."""
    columns = 5 if path.name.lower().endswith(".pcd.bin") else 4
    size = 4 * columns
    if len(data) % size:
        raise InputError(
            f"not a scan of KITTI's kind: {len(data)} bytes are no multiple of {size}, "
            f"{columns} float32 a point; byte {len(data) // size * size} begins a broken one"
        )
    points = np.frombuffer(data, "<f4").reshape(-1, columns)[:, :3]
    with np.errstate(invalid="ignore"):
        sound = (np.abs(points) < _FURTHEST).all(axis=1)
    if not sound.all():
        row = int(np.argmin(sound))
        raise InputError(
            f"not a scan of KITTI's kind: byte {row * size} would be the point {points[row]}"
        )
    return points.astype(np.float32), 0
