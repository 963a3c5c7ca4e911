"""Sizes, bounds and rates of a `SceneMap`."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from cg3d_runtime.errors import InputError


@dataclass(frozen=True)
class MapSettings:
    """How fine a map is, how much it keeps, and how much work it does for each frame.

    Attributes:
        voxel: edge of a voxel, metres. A thing needs 24 of them to be one.
        range: points further from the sensor are not used, metres: there is more noise than shape.
        reach: voxels further from the newest pose along an axis are forgotten, metres.
        most_voxels: voxels kept at most; those not seen for longest are forgotten first.
        sure: frames that a voxel was seen in before it counts; the rest is taken for noise.
        cut_every: frames from one cut to the next; 0 where the caller cuts.
        views_per_frame: views that go through the encoder for each frame at most.
        settled: cuts that a thing has to outlive before it is told of.

    Raises:
        InputError: a value that cannot be meant.
    """

    voxel: float = 0.03
    range: float = 4.0
    reach: float = 15.0
    most_voxels: int = 600_000
    sure: int = 3
    cut_every: int = 10
    views_per_frame: int = 2
    settled: int = 2

    def __post_init__(self) -> None:
        for own in fields(self):
            value = getattr(self, own.name)
            whole = own.type == "int"
            least = 0 if own.name in ("cut_every", "settled") else 1 if whole else 0.001
            kinds = (int,) if whole else (int, float)
            if (
                isinstance(value, bool)
                or not isinstance(value, kinds)
                or not (math.isfinite(value) and least <= value < 1 << 31)
            ):
                kind = "a whole number" if whole else "a number of metres"
                raise InputError(f"{own.name} must be {kind} of at least {least}, not {value!r}")
