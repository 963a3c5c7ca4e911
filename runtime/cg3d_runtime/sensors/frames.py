"""Frames: which way the axes point, and 4x4 transforms from one frame to another.

A body frame has x forward, y left, z up (ROS REP 103). A camera's optical frame has x right, y
down, z forward. The Recognizer wants a frame in which z (or y) points up, so what a camera gives
in its optical frame is turned first. https://www.ros.org/reps/rep-0103.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError

#: Where the axes of a cloud point: "body" x forward, y left, z up; "optical" x right, y down,
#: z forward.
Axes = Literal["body", "optical"]

#: (4, 4) from an optical frame to the body frame that looks the same way from the same place.
OPTICAL_TO_BODY: NDArray[np.float64] = np.array(
    [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64
)
OPTICAL_TO_BODY.flags.writeable = False

# float32 matrices, printed and read again, are rotations to about this.
_ROUNDING = 1e-3


def as_transform(matrix: ArrayLike) -> NDArray[np.float64]:
    """A rigid transform, checked.

    Args:
        matrix: (4, 4) or (3, 4): a rotation and a translation in metres. A point p (a column) of
            the one frame is `matrix @ p` in the other.

    Returns:
        (4, 4) float64.

    Raises:
        InputError: not such a matrix, or one that scales, shears or mirrors.
    """
    try:
        given = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"a transform is a (4, 4) array of numbers ({error})") from error
    if given.shape not in ((4, 4), (3, 4)):
        raise InputError(f"a transform has the shape (4, 4), not {given.shape}")
    if not np.isfinite(given).all():
        raise InputError("a transform holds NaN or infinity")
    if len(given) == 4 and np.abs(given[3] - (0, 0, 0, 1)).max() > _ROUNDING:
        raise InputError(
            f"the last row of a transform is 0 0 0 1, not {given[3].tolist()}; is it transposed?"
        )
    rotation = given[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not off <= _ROUNDING or np.linalg.det(rotation) < 0:
        raise InputError(
            "the upper left 3x3 of a transform should be a rotation: it scales, shears or mirrors"
        )
    return np.concatenate([given[:3], [[0.0, 0.0, 0.0, 1.0]]])


def pose(translation: Sequence[float], quaternion: Sequence[float]) -> NDArray[np.float64]:
    """The transform of a pose as ROS writes it.

    Args:
        translation: x, y, z, metres.
        quaternion: x, y, z, w; its length need not be exactly 1.

    Returns:
        (4, 4) float64: from the frame that stands at the pose to the frame it is given in.

    Raises:
        InputError: not three and four finite numbers, or a quaternion of length 0.
    """
    numbers = np.array([*translation, *quaternion], dtype=np.float64)
    if len(translation) != 3 or len(quaternion) != 4 or not np.isfinite(numbers).all():
        raise InputError("a pose is x, y, z and a quaternion x, y, z, w, all finite")
    x, y, z, w = numbers[3:]
    norm = float(x * x + y * y + z * z + w * w)
    if not 1e-12 < norm < 1e12:
        raise InputError("the quaternion of a pose has no direction (all 0)")
    s = 2.0 / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
    matrix[:3, 3] = numbers[:3]
    return matrix


def transform_points(points: NDArray[np.floating], matrix: ArrayLike) -> NDArray[np.floating]:
    """Points of one frame in another.

    Args:
        points: (n, 3) float32 or float64; rows with NaN stay NaN.
        matrix: (4, 4), see `as_transform`.

    Returns:
        (n, 3) of the type of `points`, computed in float64.

    Raises:
        InputError: `matrix` is no rigid transform, or `points` are not (n, 3).
    """
    checked = as_transform(matrix)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points to transform should have the shape (n, 3), not {points.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        moved = points.astype(np.float64) @ checked[:3, :3].T + checked[:3, 3]
        return moved.astype(points.dtype)


def to_body(points: NDArray[np.floating], axes: Axes) -> NDArray[np.floating]:
    """Points with x forward, y left, z up, whichever of the two frames they come in.

    Args:
        points: (n, 3).
        axes: the frame they are in; "body" leaves them alone.

    Raises:
        InputError: `axes` is neither "body" nor "optical".
    """
    if axes not in get_args(Axes):
        raise InputError(
            f"axes={axes!r} is not a frame: use 'body' (x forward, y left, z up) or 'optical' "
            "(x right, y down, z forward: cameras)."
        )
    if axes == "body":
        return points
    # A turn by right angles: signs and order only, so no digit changes.
    return np.stack([points[:, 2], -points[:, 0], -points[:, 1]], axis=1)
