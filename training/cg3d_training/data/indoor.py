"""Indoor scenes with every object known: S3DIS, ScanNet, and furnished worlds in .npz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, TrainingError

#: A file above this is none of these sets', bytes; the largest room of S3DIS has 0.5 GB.
LARGEST_FILE = 4 << 30

#: Classes that are the room itself or nothing in particular; nobody asks where they are.
ROOM = frozenset(("floor", "ceiling", "wall", "beam", "column", "stairs", "clutter"))


@dataclass(frozen=True, eq=False)
class IndoorScene:
    """A room.

    Attributes:
        name: e.g. "Area_1/office_1".
        xyz: (n, 3) float32, metres, z up.
        rgb: (n, 3) uint8.
        instance: (n,) int32, which object each point is of; -1: not annotated.
        classes: of every object, lower case, as the set says it.
    """

    name: str
    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    instance: NDArray[np.int32]
    classes: tuple[str, ...]

    def rows_of(self, words: set[str]) -> NDArray[np.bool_]:
        """(n,) which points are of objects of these classes."""
        of = np.array([name in words for name in self.classes] + [False])
        found: NDArray[np.bool_] = of[self.instance]
        return found


@dataclass(frozen=True)
class SceneFile:
    """A room that can be read.

    Attributes:
        name: of the room.
        read: reads it.

    `read` raises TrainingError, with file and reason, where the files are not as published.
    """

    name: str
    read: Callable[[], IndoorScene]


def find_scenes(dataset: str, path: Path) -> tuple[SceneFile, ...]:
    """The rooms of a set, by name.

    Args:
        dataset: "s3dis", "scannet", "worlds" or "tabletop".
        path: the folder of the set, or of one area, room or scan of it.

    Raises:
        TrainingError: no such set, or there is no room.
    """
    from cg3d_training.data.s3dis import find_rooms
    from cg3d_training.data.scannet import find_scans
    from cg3d_training.data.tabletop import find_views
    from cg3d_training.data.worlds import find_worlds

    finders = {
        "s3dis": find_rooms, "scannet": find_scans, "worlds": find_worlds, "tabletop": find_views,
    }  # fmt: skip
    if dataset not in finders:
        raise TrainingError(f"no set of scenes is called {dataset!r}: {', '.join(finders)}")
    if not path.exists():
        raise TrainingError(f"{path}: no such folder")
    return finders[dataset](path)


def file_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        TrainingError: no such file, or one that is too large.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise TrainingError(f"{path} has {size} bytes, more than any file of the set")
        return path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}") from error


def made_scene(
    name: str,
    xyz: NDArray[np.floating],
    rgb: NDArray[np.floating] | NDArray[np.uint8] | None,
    instance: NDArray[np.integer],
    classes: tuple[str, ...],
) -> IndoorScene:
    """A scene of numbers that were read, checked.

    Raises:
        InputError: a coordinate is not finite, a colour beyond 0 to 255, or there is no point.
    """
    if len(xyz) == 0:
        raise InputError("holds no points")
    if not np.isfinite(xyz).all():
        raise InputError("holds coordinates that are not finite")
    if rgb is None:
        rgb = np.full((len(xyz), 3), 128)
    if not ((rgb >= 0) & (rgb <= 255)).all():
        raise InputError("holds colours beyond 0 to 255")
    return IndoorScene(
        name, xyz.astype(np.float32), rgb.astype(np.uint8), instance.astype(np.int32), classes
    )
