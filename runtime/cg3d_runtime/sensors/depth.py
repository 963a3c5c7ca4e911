"""A depth image and its camera's intrinsics to points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.sensors.frames import transform_points
from cg3d_runtime.sensors.serialised import Cursor

#: What a depth image counts in: "mm" (16UC1, RealSense, Kinect) or "m" (32FC1).
DepthUnit = Literal["mm", "m"]

# A depth image larger than this is a damaged header: 8 times 4K.
_MOST_PIXELS = 1 << 26

# The longest model of a lens that OpenCV has is of 14 numbers.
_MOST_DISTORTION = 64


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion: rectify the image, or take the rectified topic.

    Attributes:
        fx, fy: focal lengths, pixels.
        cx, cy: where the optical axis meets the image, pixels; (0, 0) is the middle of the first
            pixel, as in ROS and OpenCV.
        width, height: of the image that they belong to, pixels.

    Raises:
        InputError: they are not finite, or no focal length or size.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))):
            raise InputError(f"intrinsics should be finite: {self}")
        if min(self.fx, self.fy) <= 0:
            raise InputError(
                f"focal lengths should be positive, not {self.fx:g} and {self.fy:g}; a camera "
                "that is not calibrated sends 0"
            )
        if min(self.width, self.height) < 1 or self.width * self.height > _MOST_PIXELS:
            raise InputError(f"no image has {self.width} x {self.height} pixels")

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, width: int, height: int) -> Intrinsics:
        """Of a camera matrix K, (3, 3) or its nine numbers row by row.

        Raises:
            InputError: not such a matrix, or one with skew.
        """
        try:
            k = np.asarray(matrix, dtype=np.float64).reshape(3, 3)
        except (TypeError, ValueError) as error:
            raise InputError(f"a camera matrix has 3 x 3 numbers ({error})") from error
        if k[1, 0] != 0 or k[2].tolist() != [0, 0, 1] or abs(k[0, 1]) > 1e-6 * abs(k[0, 0]):
            raise InputError(f"not the matrix of a pinhole camera without skew: {k.tolist()}")
        fx, fy, cx, cy = float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])
        return cls(fx, fy, cx, cy, width, height)

    @classmethod
    def from_message(cls, message: Any) -> Intrinsics:
        """Of a sensor_msgs/CameraInfo; its distortion is not looked at.

        Raises:
            InputError: not such a message.
        """
        try:
            matrix = message.K if hasattr(message, "K") else message.k
            return cls.from_matrix(matrix, int(message.width), int(message.height))
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"not a sensor_msgs/CameraInfo message ({error})") from error

    @classmethod
    def from_cdr(cls, data: bytes) -> Intrinsics:
        """Of a sensor_msgs/CameraInfo as ROS 2 serialises it, see `from_message`.

        Raises:
            InputError: the bytes are no such message.
        """
        return cls._parse(Cursor.of_cdr(data))

    @classmethod
    def from_ros1(cls, data: bytes) -> Intrinsics:
        """Of a sensor_msgs/CameraInfo as ROS 1 serialises it, see `from_message`.

        Raises:
            InputError: the bytes are no such message.
        """
        return cls._parse(Cursor.of_ros1(data))

    @classmethod
    def _parse(cls, cursor: Cursor) -> Intrinsics:
        cursor.header()
        height, width = cursor.uint32("height"), cursor.uint32("width")
        cursor.string("distortion_model")
        cursor.float64s("D", cursor.length("numbers of D", 8, _MOST_DISTORTION))
        return cls.from_matrix(cursor.float64s("K", 9), width, height)


@dataclass(frozen=True, eq=False)
class DepthCloud:
    """The points of a depth image.

    Attributes:
        points: (n, 3) float32, metres: in the optical frame (x right, y down, z forward), or where
            `transform` took them.
        pixels: (n,) int64, `row * width + column` of each.
        rgb: (n, 3) uint8, or None where no picture was given.
        invalid: pixels without a depth, or outside `near` and `far`.
    """

    points: NDArray[np.float32]
    pixels: NDArray[np.int64]
    rgb: NDArray[np.uint8] | None
    invalid: int


#: Millimetres. No depth camera measures as near as this all over its image.
_CLOSE = 20


def depth_to_points(
    depth: ArrayLike,
    intrinsics: Intrinsics,
    *,
    unit: DepthUnit,
    near: float = 0.0,
    far: float = math.inf,
    rgb: ArrayLike | None = None,
    transform: ArrayLike | None = None,
) -> DepthCloud:
    """Every pixel with a depth as a point.

    Args:
        depth: (height, width), the distance along the optical axis (not along the ray); whole
            numbers or floats. 0, negative numbers, NaN, infinity and the largest value of a
            uint16 mean that nothing was measured.
        intrinsics: of the camera, for an image of this size.
        unit: what `depth` counts in, "mm" or "m". There is no default: a guess that is wrong by
            1000 still looks like a shape.
        near, far: metres; what is not between them (ends included) counts as invalid.
        rgb: (height, width, 3) uint8, a picture registered to the depth image.
        transform: (4, 4), from the optical frame to the frame that the points are wanted in:
            `OPTICAL_TO_BODY`, or a camera's pose times that.

    Raises:
        InputError: an image of another type or size, a unit that does not fit it, a range that
            is empty, or a bad transform.
    """
    image = np.asarray(depth)
    metres = _metres(image, unit)
    size = (intrinsics.height, intrinsics.width)
    if image.shape != size:
        raise InputError(
            f"the depth image is {image.shape} (height, width), the intrinsics are for {size}; "
            "scale them with the image"
        )
    picture = None if rgb is None else np.asarray(rgb)
    if picture is not None and (picture.shape != (*size, 3) or picture.dtype != np.uint8):
        raise InputError(
            f"the picture is {picture.shape} {picture.dtype}; registered to the depth image it is "
            f"{(*size, 3)} uint8"
        )
    if not 0 <= near < far:
        raise InputError(f"near={near} and far={far} should be metres, the first below the second")
    valid = np.isfinite(metres) & (metres > 0) & (metres >= near) & (metres <= far)
    if image.dtype == np.uint16:
        valid &= image != np.iinfo(np.uint16).max
    rows, columns = np.nonzero(valid)
    z = metres[valid]
    points = np.empty((len(z), 3), np.float32)
    with np.errstate(over="ignore"):
        points[:, 0] = (columns - intrinsics.cx) / intrinsics.fx * z
        points[:, 1] = (rows - intrinsics.cy) / intrinsics.fy * z
        points[:, 2] = z
    if transform is not None:
        points = transform_points(points, transform).astype(np.float32)
    return DepthCloud(
        points,
        rows * intrinsics.width + columns,
        None if picture is None else picture[valid],
        image.size - len(z),
    )


def _metres(image: NDArray[Any], unit: str) -> NDArray[np.float64]:
    if unit not in get_args(DepthUnit):
        raise InputError(f"unit={unit!r}: say what the depth image counts in, 'mm' or 'm'")
    if image.ndim != 2 or image.dtype.kind not in "fiu":
        raise InputError(
            f"a depth image is (height, width) numbers, not {image.shape} {image.dtype}"
        )
    if unit == "m" and image.dtype.kind != "f":
        raise InputError(
            f"a depth image of {image.dtype} in whole metres? Such images count millimetres: "
            "unit='mm'"
        )
    if unit == "mm" and image.dtype.kind == "f":
        measured = image[np.isfinite(image)]
        if len(measured) and 0 < measured.max() < _CLOSE:
            raise InputError(
                f"a depth image with nothing beyond {measured.max():.3g} mm? Images of "
                f"{image.dtype} mostly count metres: unit='m'"
            )
    return image.astype(np.float64) * (1e-3 if unit == "mm" else 1.0)
