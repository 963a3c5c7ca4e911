"""Labelled sets as a command line names them: by name, by name and folder, or by folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.labelled import READERS, LabelledClouds, Split, load_labelled

_TEXT, _HDF5 = "modelnet40_normal_resampled", "modelnet40_ply_hdf5_2048"
_SCANS = ("h5_files", "ScanObjectNN/h5_files", "ScanObjectNN")

#: Folders that sets are published in, below the folder of all data.
_PUBLISHED = {
    "modelnet40": (_TEXT, "ModelNet40", _HDF5),
    "modelnet10": (_TEXT, "ModelNet10", "ModelNet40", _HDF5),
    "scanobjectnn": _SCANS,
    "scanobjectnn_obj_bg": _SCANS,
    "scanobjectnn_obj_only": _SCANS,
    "household": ("household",),
}

#: What tells a set by its folder alone: a pattern of files, and the reader.
_MARKS = (
    ("classes.txt", "npz"),
    ("objects.jsonl", "household"),
    ("modelnet40_shape_names.txt", "modelnet40"),
    ("modelnet10_shape_names.txt", "modelnet10"),
    ("shape_names.txt", "modelnet40"),
    ("airplane/test/*.off", "modelnet40"),
    ("bathtub/test/*.off", "modelnet10"),
    ("main_split/test_objectdataset_augmentedrot_scale75.h5", "scanobjectnn"),
    ("main_split/test_objectdataset.h5", "scanobjectnn_obj_bg"),
    ("main_split_nobg/test_objectdataset.h5", "scanobjectnn_obj_only"),
)


@dataclass(frozen=True)
class SetPlace:
    """A set and where it lies.

    Attributes:
        title: for tables: the reader's name, or for sets of one's own the folder's.
        reader: a key of `cg3d_training.data.labelled.READERS`.
        folder: where it lies.
    """

    title: str
    reader: str
    folder: Path

    def read(self, split: Split) -> LabelledClouds:
        """A split of it; raises what `load_labelled` raises."""
        return load_labelled(self.reader, self.folder, split)


def find_set(spelling: str, data: Path) -> SetPlace:
    """The set that a spelling means; nothing is read yet.

    Args:
        spelling: a name ("modelnet40"), which is looked for in `data` under the names of its
            published folders and then in `data` itself; "NAME=FOLDER"; or a folder in one of the
            layouts of docs/datasets.md, whose files tell what it is.
        data: the folder of all data.

    Raises:
        TrainingError: it is none of these; the message says what there is.
    """
    name, equals, given = spelling.partition("=")
    if equals and name in READERS:
        return SetPlace(name if name != "npz" else Path(given).name, name, Path(given))
    if spelling in _PUBLISHED:
        folders = [data / folder for folder in _PUBLISHED[spelling]]
        return SetPlace(spelling, spelling, next((f for f in folders if f.is_dir()), data))
    folder = Path(spelling)
    if not folder.is_dir():
        raise TrainingError(
            f"{spelling!r} is neither a set nor a folder. Sets: {', '.join(_PUBLISHED)}; write "
            "NAME=FOLDER where one lies elsewhere than in --data"
        )
    for mark, reader in _MARKS:
        if next(folder.glob(mark), None):
            return SetPlace(folder.resolve().name if reader == "npz" else reader, reader, folder)
    raise TrainingError(
        f"{folder} holds no labelled set that is known: looked for "
        f"{', '.join(mark for mark, _ in _MARKS)} (docs/datasets.md has the layouts)"
    )
