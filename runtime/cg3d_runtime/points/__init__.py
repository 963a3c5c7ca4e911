"""Point clouds on their way to the encoder: checked, upright, in the unit sphere, sampled."""

from cg3d_runtime.points.check import CheckedPoints, as_points
from cg3d_runtime.points.normalize import UnitSphere, Up, unit_sphere, upright
from cg3d_runtime.points.prepare import Prepared, PreprocessSpec, prepare
from cg3d_runtime.points.sampling import furthest_point_order, furthest_point_sample, thin

__all__ = [
    "CheckedPoints",
    "Prepared",
    "PreprocessSpec",
    "UnitSphere",
    "Up",
    "as_points",
    "furthest_point_order",
    "furthest_point_sample",
    "prepare",
    "thin",
    "unit_sphere",
    "upright",
]
