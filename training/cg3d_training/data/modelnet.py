"""ModelNet40 and ModelNet10 (Wu et al., CVPR 2015): CAD models, in the three published layouts.

- Meshes: `CLASS/train/CLASS_0001.off` and `CLASS/test/...`, z up; 8,192 points are sampled.
- Text (`modelnet40_normal_resampled`): `modelnet40_shape_names.txt`, `modelnet40_train.txt`,
  `modelnet40_test.txt` (and the same for 10) and `CLASS/CLASS_0001.txt`, 10,000 lines of
  x,y,z,nx,ny,nz; y up. The normals are left out.
- HDF5 (`modelnet40_ply_hdf5_2048`): `shape_names.txt`, `train_files.txt`, `test_files.txt` and
  `ply_data_train0.h5` ...; 2,048 points; y up.

ModelNet10 is ten of the forty classes with as many objects in its splits, so that its reader also
takes a folder of ModelNet40 in the first and third layout. Its own meshes, unlike those, are all
turned to the same front.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_runtime.files import read_points
from cg3d_runtime.files.surface import SURFACE_POINTS
from cg3d_runtime.points.normalize import upright
from cg3d_training.data.hdf5 import read_clouds
from cg3d_training.data.labelled import LabelledClouds, Split, every_class
from cg3d_training.data.lists import read_list

CLASSES_40 = tuple(
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser "
    "flower_pot glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano "
    "plant radio range_hood sink sofa stairs stool table tent toilet tv_stand vase wardrobe "
    "xbox".split()
)
CLASSES_10 = tuple("bathtub bed chair desk dresser monitor night_stand sofa table toilet".split())
#: Points of a cloud in the text layout.
TEXT_POINTS = 10_000

# Ten times a published file of 10,000 lines.
_LARGEST_TEXT = 6_000_000
_OFF_HEADER = re.compile(rb"\s*OFF\s*(?:#[^\n]*\n\s*)*(\d{1,9})\s+(\d{1,9})\s")


def read_modelnet40(folder: Path, split: Split) -> LabelledClouds:
    """ModelNet40, in whichever layout the folder holds.

    Raises:
        TrainingError: no layout is recognised, or a file is missing or damaged.
        DependencyError: h5py or trimesh is not installed and the layout needs it.
    """
    return _read(folder, split, CLASSES_40)


def read_modelnet10(folder: Path, split: Split) -> LabelledClouds:
    """ModelNet10, in whichever layout the folder holds.

    Raises:
        TrainingError, DependencyError: as `read_modelnet40`.
    """
    return _read(folder, split, CLASSES_10)


def _read(folder: Path, split: Split, classes: tuple[str, ...]) -> LabelledClouds:
    stem = f"modelnet{len(classes)}"
    if (folder / f"{stem}_shape_names.txt").is_file():
        return _read_text(folder, split, classes, stem)
    if (folder / "shape_names.txt").is_file():
        return _read_hdf5(folder, split, classes)
    if any((folder / name / split).is_dir() for name in classes):
        return _read_off(folder, split, classes)
    raise TrainingError(
        f"{folder} {'holds' if folder.is_dir() else 'is no folder with'} no layout of "
        f"ModelNet{len(classes)}. Looked for: {stem}_shape_names.txt (text), shape_names.txt "
        f"(HDF5), {classes[0]}/{split}/*.off (meshes). Name the folder that has one of them."
    )


def _read_off(folder: Path, split: Split, classes: tuple[str, ...]) -> LabelledClouds:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted((folder / name / split).glob("*.off"))
        if not found:
            raise TrainingError(
                f"{folder / name / split} has no .off file; unpack the set's own archive there"
            )
        files += found
        labels += [label] * len(found)
    clouds = np.empty((len(files), SURFACE_POINTS, 3), np.float32)
    for row, file in enumerate(tqdm(files, desc=f"sampling {split} meshes", leave=False)):
        clouds[row] = _off_points(file)
    return LabelledClouds(classes, clouds, np.array(labels, np.int64))


def _off_points(file: Path) -> NDArray[np.floating]:
    """(SURFACE_POINTS, 3), y up. trimesh reads headers like `OFF123 456 0`, which ModelNet has, but
    takes a truncated file for a small one."""
    try:
        cloud = read_points(file)
    except InputError as error:
        raise TrainingError(f"{error}. Unpack or fetch the file again.") from error
    with file.open("rb") as stream:
        header = _OFF_HEADER.match(stream.read(4096))
    promised = int(header[2]) if header else None
    if promised is None or cloud.faces < max(promised, 1):
        raise TrainingError(
            f"{file}: truncated or no .off file (its header promises {promised} faces, "
            f"{cloud.faces} triangles can be read). Unpack or fetch the file again."
        )
    return upright(cloud.points, "z")


def _read_text(folder: Path, split: Split, classes: tuple[str, ...], stem: str) -> LabelledClouds:
    names = read_list(folder / f"{stem}_shape_names.txt")
    _check_names(folder / f"{stem}_shape_names.txt", names, classes)
    if len(names) != len(classes):
        raise TrainingError(f"{folder / stem}_shape_names.txt: more names than {len(classes)}")
    listing = folder / f"{stem}_{split}.txt"
    entries = read_list(listing)
    clouds = np.empty((len(entries), TEXT_POINTS, 3), np.float32)
    labels = np.empty(len(entries), np.int64)
    for row, entry in enumerate(tqdm(entries, desc=f"reading {split} clouds", leave=False)):
        name, _, number = entry.rpartition("_")
        if name not in names or not number.isdecimal():
            raise TrainingError(
                f"{listing}, line {row + 1}: {entry[:80]!r} is not a class, '_' and a number"
            )
        file = folder / name / f"{entry}.txt"
        if not file.is_file():
            raise TrainingError(f"{listing}, line {row + 1}: {file} is missing; unpack it there")
        clouds[row] = _text_points(file)
        labels[row] = names.index(name)
    return every_class(LabelledClouds(names, clouds, labels), listing)


def _text_points(file: Path) -> NDArray[np.float32]:
    """(TEXT_POINTS, 3) of a file of x,y,z,nx,ny,nz lines. Much faster than `read_points`, which
    has to find out what a file looks like."""
    if file.stat().st_size > _LARGEST_TEXT:
        raise TrainingError(f"{file}: {file.stat().st_size} bytes are too many for a cloud")
    try:
        rows = np.loadtxt(file, np.float32, comments=None, delimiter=",", ndmin=2)
    except (ValueError, OverflowError) as error:
        raise TrainingError(
            f"{file} is not lines of x,y,z,nx,ny,nz ({error}). Unpack or fetch it again."
        ) from error
    if rows.shape != (TEXT_POINTS, 6):
        raise TrainingError(
            f"{file} has {rows.shape[0]} lines of {rows.shape[1]} numbers, not {TEXT_POINTS} of "
            "6. Unpack or fetch it again."
        )
    if not np.isfinite(rows).all():
        raise TrainingError(f"{file} holds NaN or infinity. Unpack or fetch it again.")
    points: NDArray[np.float32] = rows[:, :3]
    return points


def _read_hdf5(folder: Path, split: Split, classes: tuple[str, ...]) -> LabelledClouds:
    names = read_list(folder / "shape_names.txt")
    _check_names(folder / "shape_names.txt", names, classes)
    listing = folder / f"{split}_files.txt"
    parts: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
    for number, entry in enumerate(read_list(listing), start=1):
        # The published lists say data/modelnet40_ply_hdf5_2048/ply_data_train0.h5.
        file = folder / entry.replace("\\", "/").rpartition("/")[2]
        if file.suffix != ".h5" or not file.is_file():
            raise TrainingError(f"{listing}, line {number}: {file} is missing; unpack it there")
        clouds, labels = read_clouds(file, len(names))
        if parts and clouds.shape[1] != parts[0][0].shape[1]:
            raise TrainingError(
                f"{file}: clouds of {clouds.shape[1]} points, but the first file of {listing} has "
                f"{parts[0][0].shape[1]}"
            )
        parts.append((clouds, labels))
    clouds = np.concatenate([part[0] for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    kept = [row for row, name in enumerate(names) if name in classes]
    if len(kept) < len(names):
        rows = np.isin(labels, kept)
        clouds, labels = clouds[rows], np.searchsorted(kept, labels[rows]).astype(np.int64)
    if len(clouds) == 0:
        raise TrainingError(f"{listing}: no cloud of a class of ModelNet{len(classes)}")
    chosen = tuple(names[row] for row in kept)
    return every_class(LabelledClouds(chosen, clouds, labels), listing)


def _check_names(file: Path, names: tuple[str, ...], classes: tuple[str, ...]) -> None:
    missing = [name for name in classes if name not in names]
    if missing or len(set(names)) != len(names):
        reason = f"{missing[0]!r} is missing" if missing else "a name stands in it twice"
        raise TrainingError(
            f"{file} is not the class list of ModelNet{len(classes)}: {reason}. Another set in "
            "this layout is read as 'npz'."
        )
