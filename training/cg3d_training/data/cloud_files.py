"""Files of points without faces, for training: scans, upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.files import READERS, read_points
from cg3d_runtime.points.normalize import Up, upright
from cg3d_training.data.meshes import SUFFIXES as MESH_SUFFIXES

#: Files that hold points and never faces, by their suffix in small letters. `.ply` may hold either.
SUFFIXES = tuple(suffix for suffix in READERS if suffix not in MESH_SUFFIXES)
#: Of these, files that a folder is searched for; the others are more often something else.
SEARCHED = tuple(suffix for suffix in SUFFIXES if suffix not in (".txt", ".csv", ".bin"))


def is_cloud(path: Path) -> bool:
    """Whether a file holds points without faces.

    Raises:
        InputError: a .ply file cannot be read.
    """
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or (suffix == ".ply" and read_points(path).faces == 0)


def load_cloud(path: Path, up: Up = "y") -> NDArray[np.float32]:
    """(n, 3) float32 points of a file, y up, in the file's unit; rows that are not finite left out.

    Args:
        path: a file that `cg3d_runtime.files.read_points` reads. Colours are not read.
        up: the axis that points up in the file.

    Raises:
        InputError: the file cannot be read, or has no finite point.
    """
    points = read_points(path).points
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        raise InputError("it holds no finite point")
    return upright(finite, up).astype(np.float32)
