"""Sets of clouds with one class each, for fine-tuning and for zero-shot evaluation.

A set is one module with a function `(folder, split) -> LabelledClouds` and one line in `READERS`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.reading import read_arrays, read_text

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class LabelledClouds:
    """Clouds and their classes.

    Attributes:
        classes: (C) class names, as the set writes them, in the order of its labels.
        clouds: (n, N, 3) float32, y up, as the set stores them: neither centred nor scaled.
        labels: (n,) int64 indices into the classes.
    """

    classes: tuple[str, ...]
    clouds: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.clouds.ndim != 3 or self.clouds.shape[2] != 3 or len(self.clouds) == 0:
            raise TrainingError(f"clouds should be (n, N, 3) with n > 0, not {self.clouds.shape}")
        if self.labels.shape != (len(self.clouds),):
            raise TrainingError(f"{len(self.clouds)} clouds, but labels {self.labels.shape}")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise TrainingError(
                f"labels run from {self.labels.min()} to {self.labels.max()}, but there are "
                f"{len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.clouds)


#: set -> module and reader.
READERS = {
    "npz": ("cg3d_training.data.labelled", "read_npz"),
    "household": ("cg3d_training.data.household", "read_household_classes"),
    "modelnet40": ("cg3d_training.data.modelnet", "read_modelnet40"),
    "modelnet10": ("cg3d_training.data.modelnet", "read_modelnet10"),
    "scanobjectnn": ("cg3d_training.data.scanobjectnn", "read_hardest"),
    "scanobjectnn_obj_bg": ("cg3d_training.data.scanobjectnn", "read_obj_bg"),
    "scanobjectnn_obj_only": ("cg3d_training.data.scanobjectnn", "read_obj_only"),
}


def load_labelled(name: str, folder: Path, split: Split) -> LabelledClouds:
    """Read a split of a labelled set.

    Args:
        name: a key of `READERS`.
        folder: where the user keeps the set, in its published layout.

    Raises:
        TrainingError: an unknown set, or files that are missing or damaged.
    """
    if name not in READERS:
        near = difflib.get_close_matches(name, READERS, n=1)
        raise TrainingError(
            f"no labelled set is called {name!r}."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + f" There are: {', '.join(READERS)}."
        )
    module, function = READERS[name]
    reader: Callable[[Path, Split], LabelledClouds] = getattr(
        importlib.import_module(module), function
    )
    return reader(folder, split)


def every_class(clouds: LabelledClouds, source: Path) -> LabelledClouds:
    """The clouds themselves, if each class has one: a benchmark with an empty class is incomplete.

    Raises:
        TrainingError: a class has no cloud; it is named, with the file.
    """
    empty = np.flatnonzero(np.bincount(clouds.labels, minlength=len(clouds.classes)) == 0)
    if len(empty):
        raise TrainingError(
            f"{source}: the class {clouds.classes[empty[0]]!r} has no cloud ({len(empty)} of "
            f"{len(clouds.classes)} classes are empty); the set is incomplete, fetch it again"
        )
    return clouds


def read_npz(folder: Path, split: Split) -> LabelledClouds:
    """A folder of our own: `classes.txt`, one name a line, and `train.npz` and `test.npz` with
    `points` (n, N, 3+) of any number type and `labels` (n,) integers.

    Raises:
        TrainingError: a file is missing, or its arrays are not these.
    """
    names, file = folder / "classes.txt", folder / f"{split}.npz"
    for needed in (names, file):
        if not needed.is_file():
            raise TrainingError(f"{needed} is missing; a set is classes.txt, train.npz, test.npz")
    classes = tuple(read_text(names).split("\n"))
    classes = tuple(c.strip() for c in classes if c.strip())
    points, labels = read_arrays(file, "points", "labels")
    if points.dtype.kind not in "fiu" or labels.dtype.kind not in "iu":
        raise TrainingError(f"{file}: points are {points.dtype} and labels {labels.dtype}")
    if points.ndim != 3:
        raise TrainingError(f"{file}: points should be (n, N, 3), not {points.shape}")
    clouds = np.ascontiguousarray(points[..., :3], dtype=np.float32)
    return LabelledClouds(classes, clouds, labels.astype(np.int64))
