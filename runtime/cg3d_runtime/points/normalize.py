"""Axes and scale: the encoder sees y up, the centroid at the origin, the furthest point at 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, short

#: The axis that points up in the caller's cloud.
Up = Literal["y", "z"]


@dataclass(frozen=True)
class UnitSphere:
    """A cloud in the unit sphere, with what it takes to go back.

    Attributes:
        xyz: (n, 3) float32, mean at the origin, largest radius 1.
        centroid: (3,) float64, the mean of the points, in the axes that were given.
        radius: largest distance to the centroid, in the unit that was given.
    """

    xyz: NDArray[np.float32]
    centroid: NDArray[np.float64]
    radius: float


def check_up(up: str) -> Up:
    """The option `up`, checked.

    Raises:
        InputError: it is neither "y" nor "z".
    """
    if not isinstance(up, str) or up not in get_args(Up):
        raise InputError(
            f"up={short(up)} is not an axis: use up='z' (robots, ROS) or up='y' (most mesh files)."
        )
    return up  # type: ignore[return-value]


def upright(xyz: NDArray[np.floating], up: Up) -> NDArray[np.floating]:
    """Turn a cloud so that y points up, as in the data that encoders are trained on.

    Args:
        xyz: (n, 3), any float type.
        up: the axis that points up now. "z": x stays, z becomes y, y becomes -z (a rotation by
            -90 degrees about x, so that left and right keep their sides).
    """
    if check_up(up) == "y":
        return xyz
    return np.stack([xyz[:, 0], xyz[:, 2], -xyz[:, 1]], axis=1)


def unit_sphere(xyz: NDArray[np.floating]) -> UnitSphere:
    """Move the mean to the origin and divide by the largest radius (official `pc_normalize`).

    Args:
        xyz: (n, 3), any float type, not all points equal.
    """
    centroid = xyz.mean(axis=0, dtype=np.float64)
    centred = xyz - centroid
    radius = float(np.sqrt((centred**2).sum(axis=1).max()))
    return UnitSphere((centred / radius).astype(np.float32), centroid, radius)
