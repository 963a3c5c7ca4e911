"""HDF5 files of clouds and labels, as ModelNet40 and ScanObjectNN are published.

Such a file comes from anywhere, so only plain data sets inside the file itself are read: links to
other files, external storage and virtual data sets are refused, and a size is believed only if
the file could hold it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import TrainingError

# Deflate cannot shrink more than this (1032:1), so a larger claim is a lie.
_DEFLATE_LIMIT = 1032
# The largest published file (ScanObjectNN PB_T50_RS, training) has 0.3 GB of points.
_LARGEST_BYTES = 8_000_000_000


def read_clouds(
    path: Path, classes: int, points: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The data sets `data` and `label` of a file.

    Args:
        path: the file.
        classes: labels are 0 to `classes` - 1.
        points: how many points a cloud must have; None for any number.

    Returns:
        clouds (n, N, 3) float32 and labels (n,) int64, n > 0.

    Raises:
        TrainingError: the file is missing, truncated, or holds something else; it is named.
        DependencyError: h5py is not installed.
    """
    h5py = require("h5py", "hdf5", f"Reading {path.name}")
    if not path.is_file():
        raise TrainingError(f"{path} is missing; unpack the set's own archive there")
    try:
        with h5py.File(path, "r") as file:
            data = _array(h5py, file, "data", "f")
            label = _array(h5py, file, "label", "iu")
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:  # what h5py trips over
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"{path} is not a sound HDF5 file ({reason}); unpack or fetch it again"
        ) from error
    return _checked(path, data, label, classes, points)


def _array(h5py: Any, file: Any, name: str, kinds: str) -> NDArray[Any]:
    """A data set of the file, after its type and size were checked."""
    link = file.get(name, getlink=True)
    if link is None:
        raise TrainingError(
            f"has no data set {name!r}, only {', '.join(sorted(map(str, file))) or 'none'}"
        )
    if not isinstance(link, h5py.HardLink):
        raise TrainingError(f"{name!r} is a link to another place, which is not followed")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise TrainingError(f"{name!r} is a group, not a data set")
    if found.is_virtual or found.external:
        raise TrainingError(f"{name!r} keeps its values in another file, which is not opened")
    if found.dtype.kind not in kinds:
        wanted = "floating point numbers" if kinds == "f" else "integers"
        raise TrainingError(f"{name!r} holds {found.dtype}, not {wanted}")
    stored = found.id.get_storage_size()
    if found.nbytes > min(_LARGEST_BYTES, _DEFLATE_LIMIT * stored):
        raise TrainingError(f"{name!r} claims {found.nbytes} bytes, but {stored} are stored")
    values: NDArray[Any] = np.asarray(found[()])
    return values


def _checked(
    path: Path, data: NDArray[Any], label: NDArray[Any], classes: int, points: int | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    wanted = f"(n, {points or 'N'}, 3)"
    if data.ndim != 3 or data.shape[2] != 3 or 0 in data.shape or points not in (
        None, data.shape[1]
    ):  # fmt: skip
        raise TrainingError(f"{path}: 'data' has the shape {data.shape}, not {wanted}")
    # ModelNet40's labels are a column, ScanObjectNN's are not.
    if label.shape not in ((len(data),), (len(data), 1)):
        raise TrainingError(f"{path}: {len(data)} clouds, but 'label' has the shape {label.shape}")
    label = label.reshape(-1)
    wrong = np.flatnonzero((label < 0) | (label >= classes))
    if len(wrong):
        raise TrainingError(
            f"{path}: row {wrong[0]} has the label {label[wrong[0]]}, but the set's {classes} "
            f"classes are 0 to {classes - 1}"
        )
    with np.errstate(over="ignore"):
        clouds = data.astype(np.float32, copy=False)
    broken = np.flatnonzero(~np.isfinite(clouds).all(axis=(1, 2)))
    if len(broken):
        raise TrainingError(f"{path}: the cloud in row {broken[0]} holds NaN or infinity")
    return clouds, label.astype(np.int64)
