"""ScanObjectNN (Uy et al., ICCV 2019): objects cut from real indoor scans, 15 classes.

Layout of the folder, the publisher's `h5_files`: `main_split/` with background and
`main_split_nobg/` without, each with `training_NAME.h5` and `test_NAME.h5` of `data` (n, 2048, 3)
float32, y up, and `label` (n,).

    scanobjectnn           main_split       objectdataset_augmentedrot_scale75  PB_T50_RS, "hardest"
    scanobjectnn_obj_bg    main_split       objectdataset                       OBJ_BG
    scanobjectnn_obj_only  main_split_nobg  objectdataset                       OBJ_ONLY
"""

from __future__ import annotations

from pathlib import Path

from cg3d_training.data.hdf5 import read_clouds
from cg3d_training.data.labelled import LabelledClouds, Split, every_class

#: The classes, in the order of the labels.
CLASSES = tuple(
    "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet".split()
)
#: Points of a cloud.
POINTS = 2048


def read_hardest(folder: Path, split: Split) -> LabelledClouds:
    """PB_T50_RS: moved, turned and scaled boxes around the objects, with background.

    Raises:
        TrainingError: the file is missing or damaged.
        DependencyError: h5py is not installed.
    """
    return _read(folder / "main_split", "objectdataset_augmentedrot_scale75", split)


def read_obj_bg(folder: Path, split: Split) -> LabelledClouds:
    """OBJ_BG: the objects with the background in their boxes.

    Raises:
        TrainingError, DependencyError: as `read_hardest`.
    """
    return _read(folder / "main_split", "objectdataset", split)


def read_obj_only(folder: Path, split: Split) -> LabelledClouds:
    """OBJ_ONLY: the objects alone.

    Raises:
        TrainingError, DependencyError: as `read_hardest`.
    """
    return _read(folder / "main_split_nobg", "objectdataset", split)


def _read(folder: Path, name: str, split: Split) -> LabelledClouds:
    file = folder / f"{'training' if split == 'train' else 'test'}_{name}.h5"
    clouds, labels = read_clouds(file, len(CLASSES), POINTS)
    return every_class(LabelledClouds(CLASSES, clouds, labels), file)
