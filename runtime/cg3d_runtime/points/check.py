"""What counts as a point cloud: shape, type, finite rows, a plausible extent."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError

#: Fewer finite points than this say nothing about a shape.
MIN_POINTS = 8

#: Metres. Map coordinates (UTM) stay below this; more is a marker for a missing return or a fault.
MAX_COORDINATE = 1e7

#: Metres from side to side. Room for objects given in millimetres, not for a planet.
MAX_EXTENT = 1e6


@dataclass(frozen=True)
class CheckedPoints:
    """Points that passed `as_points`.

    Attributes:
        xyz: (n, 3) C-contiguous, finite, the caller's unit (metres for robots). float32 where the
            caller's type has no more digits, else float64: a cloud in map coordinates keeps its
            shape until it is centred.
        dropped: how many rows held a NaN or an infinity and were left out.
    """

    xyz: NDArray[np.floating]
    dropped: int


def as_points(points: ArrayLike) -> CheckedPoints:
    """Check an array of points and bring it into one form.

    Args:
        points: (N, 3) or wider, any integer or float type and memory order. The first three
            columns are x, y, z; further columns (colour, normals) are ignored. Rows with a NaN or
            an infinity among x, y, z are dropped, as they are normal in organised clouds.

    Raises:
        InputError: not a numeric (N, 3+) array, too few finite points, all points equal, or
            coordinates that no object or room has.
    """
    array = _as_numeric_array(points)
    if array.ndim == 3 and array.shape[2] >= 3:
        raise InputError(
            f"points have shape {array.shape}: an organised cloud or a batch. Pass one cloud as "
            "(N, 3), e.g. points.reshape(-1, points.shape[-1]); for a batch use classify_many, or "
            "a list of clouds."
        )
    if array.ndim != 2 or array.shape[1] < 3:
        raise InputError(f"points should have shape (N, 3) or (N, 3+), not {array.shape}.")
    if len(array) == 3 and array.shape[1] > MIN_POINTS:
        raise InputError(
            f"points have shape {array.shape}, one row each for x, y and z: pass points.T, one row "
            "for each point."
        )
    if len(array) == 0:
        raise InputError("the cloud is empty: shape (0, 3). Was the sensor or the crop empty?")

    keeps_digits = np.float32 if np.can_cast(array.dtype, np.float32) else np.float64
    xyz: NDArray[np.floating] = np.ascontiguousarray(array[:, :3], dtype=keeps_digits)
    dropped = 0
    if not np.isfinite(xyz).all():
        finite = np.isfinite(xyz).all(axis=1)
        dropped = int(len(xyz) - finite.sum())
        xyz = xyz[finite]
    _check_extent(xyz, total=len(array), dropped=dropped)
    return CheckedPoints(xyz, dropped)


def _as_numeric_array(points: ArrayLike) -> NDArray[np.generic]:
    if isinstance(points, (str, PathLike)):
        raise InputError(
            f"points are the path {str(points)!r}, not an array: read it first, with "
            "cg3d_runtime.files.read_points(path).points."
        )
    if np.ma.is_masked(points):
        raise InputError(
            "points are a masked array, and its mask would be lost: pass points.filled(np.nan); "
            "rows with NaN are left out."
        )
    try:
        array = np.asarray(points)
    # TypeError, RuntimeError: arrays of other libraries that lie on a GPU or keep gradients.
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"points are not an array: {reason}. Pass an (N, 3) array.") from error
    if array.ndim == 0:
        held = ", such as np.asarray(x.points)" if hasattr(points, "points") else ""
        raise InputError(
            f"points are one {type(points).__name__}, not an array: pass (N, 3) numbers{held}."
        )
    if array.dtype.names is not None:
        raise InputError(
            f"points are a structured array with the fields {array.dtype.names}; pass the "
            "coordinates alone: np.stack([a['x'], a['y'], a['z']], axis=1)."
        )
    if array.dtype.kind not in "fiu":
        raise InputError(
            f"points have dtype {array.dtype}, not an integer or float type. Pass an (N, 3) array "
            "of numbers."
        )
    return array


def _check_extent(xyz: NDArray[np.floating], total: int, dropped: int) -> None:
    if len(xyz) < MIN_POINTS:
        lost = f" ({dropped} of {total} rows held NaN or infinity)" if dropped else ""
        raise InputError(
            f"{len(xyz)} finite point{'' if len(xyz) == 1 else 's'} left{lost}; a shape needs at "
            f"least {MIN_POINTS}. Check the sensor's range, the crop and the mask."
        )
    axes = np.ascontiguousarray(xyz.T)  # reducing along rows of three is forty times slower
    low, high = axes.min(axis=1).astype(np.float64), axes.max(axis=1).astype(np.float64)
    largest = float(np.maximum(-low, high).max())
    if largest > MAX_COORDINATE:
        raise InputError(
            f"a coordinate is {largest:.3g}, beyond {MAX_COORDINATE:.0e}: not a plausible place "
            "in metres. Check the unit and the sensor's marker for missing returns."
        )
    extent = float((high - low).max())
    if extent > MAX_EXTENT:
        raise InputError(
            f"the cloud is {extent:.3g} from side to side, beyond {MAX_EXTENT:.0e}: not a "
            "plausible size in metres. Check the unit and the sensor's marker for missing returns."
        )
    # Closer than the type can tell apart at this distance from the origin, or than any unit means.
    if extent <= max(8 * float(np.finfo(xyz.dtype).eps) * largest, 1e-9):
        raise InputError(
            f"all {len(xyz)} points are equal (extent {extent:.3g}): there is no shape to name. "
            "Check that the cloud was filled."
        )
