"""Protocols of zero-shot evaluation by name: which points of a cloud, and what is done to words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import PreprocessSpec, furthest_point_sample, prepare, unit_sphere

#: As `cg3d-export` writes it: points to choose from, for each that the encoder takes.
_CANDIDATES = 4


@dataclass(frozen=True)
class Protocol:
    """How clouds and class names reach the comparison.

    Attributes:
        sampling: "bundle": as a bundle prepares clouds (thinned to four times the points, then
            the furthest). "official": the furthest points of the whole cloud, and an index again
            and again where it has fewer.
        points: how many; None: as many as the encoder is made for.
        raw_names: class names as the set writes them, with underscores, after an article that is
            never adapted.
        unit_texts: text vectors are made unit rows. Where they are not, longer ones are favoured.
    """

    sampling: Literal["bundle", "official"] = "bundle"
    points: int | None = None
    raw_names: bool = False
    unit_texts: bool = True


#: "sdk": what a robot gets. "official": eval.py of the official repository at its last commit.
#: "official-march": the eval.py that was public from 22 to 28 March 2023, which made text vectors
#: unit rows. The paper does not say which one, nor how many points; 8192 is their default.
PROTOCOLS = {
    "sdk": Protocol(),
    "official": Protocol("official", 8192, raw_names=True, unit_texts=False),
    "official-march": Protocol("official", 8192, raw_names=True),
}


def prepared(cloud: NDArray[np.float32], protocol: Protocol, points: int) -> NDArray[np.float32]:
    """The points of a cloud that an encoder sees.

    Args:
        cloud: (N, 3), y up, of any place and size.
        protocol: which of them, in which way; its own number is the caller's to heed.
        points: how many.

    Returns:
        (points, 3) float32 in the unit sphere, in furthest point order.

    Raises:
        TrainingError: the cloud is one point, or not finite.
        InputError: the same, in bundles' words.
    """
    if protocol.sampling == "bundle":
        return prepare(cloud, PreprocessSpec(points, _CANDIDATES * points), "y").cloud
    if not np.isfinite(cloud).all() or not np.ptp(cloud, axis=0).any():
        raise TrainingError("a cloud is one point, or has a NaN")
    sphere = unit_sphere(cloud).xyz
    return sphere[furthest_point_sample(sphere, points)]
