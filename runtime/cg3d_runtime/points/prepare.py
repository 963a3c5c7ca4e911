"""The way of a cloud from the caller's array to the encoder's input, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.points.check import as_points
from cg3d_runtime.points.normalize import Up, unit_sphere, upright
from cg3d_runtime.points.sampling import furthest_point_order, thin


@dataclass(frozen=True)
class PreprocessSpec:
    """What an encoder wants to see; part of every bundle.

    Attributes:
        points: the number of points that the encoder takes.
        candidates: a larger cloud is thinned to this many points before furthest point sampling.
        up: the axis that points up in the encoder's frame; always "y".
    """

    points: int
    candidates: int
    up: Literal["y"] = "y"


@dataclass(frozen=True)
class Prepared:
    """A cloud ready for the encoder.

    Attributes:
        cloud: (points, 3) float32, y up, in the unit sphere, in furthest point order.
        centroid: (3,) float64, y up, in the caller's unit.
        radius: in the caller's unit (metres for robots).
        dropped: rows left out because they held NaN or infinity.
    """

    cloud: NDArray[np.float32]
    centroid: NDArray[np.float64]
    radius: float
    dropped: int


def prepare(points: ArrayLike, spec: PreprocessSpec, up: Up = "z") -> Prepared:
    """Check, thin, turn upright, scale and order a cloud.

    Args:
        points: (N, 3+) numbers, see `as_points`.
        spec: what the encoder wants.
        up: the axis that points up in `points`.

    Raises:
        InputError: the points are no usable cloud, or `up` is not an axis.
    """
    checked = as_points(points)
    xyz = thin(checked.xyz, spec.candidates)
    sphere = unit_sphere(upright(xyz, up))
    cloud = sphere.xyz[furthest_point_order(sphere.xyz, spec.points)]
    return Prepared(cloud, sphere.centroid, sphere.radius, checked.dropped)
