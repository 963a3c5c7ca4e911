"""Depth maps of clouds as a teacher's image tower takes them: three ways to draw them, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cg3d_runtime.points import unit_sphere
from cg3d_training.data.triplet_set import PictureForm, fit
from cg3d_training.render import fitting_camera
from cg3d_training.render.depth import POINTS as DEPTH_POINTS
from cg3d_training.render.depth import depth_view
from cg3d_training.render.pointclip import pointclip_views
from cg3d_training.render.splats import POINTS, VIEWS, splat_views

Cloud = NDArray[np.float32]

#: From where `prepare --renderer depth`'s kind of picture is taken here: degrees about y and up.
_AZIMUTH, _ELEVATION = 45.0, 25.0


@dataclass(frozen=True)
class DepthMaps:
    """A way to draw clouds.

    Attributes:
        name: for tables.
        views: pictures of each cloud.
        draw: a cloud (n, 3), y up, to (views, 3, H, W) float32, ready for the teacher.
    """

    name: str
    views: int
    draw: Callable[[Cloud, PictureForm], Tensor]


def _pointclip(cloud: Cloud, form: PictureForm) -> Tensor:
    """As PointCLIP feeds them: the depths themselves, without CLIP's mean and deviation."""
    maps = torch.from_numpy(pointclip_views(unit_sphere(cloud).xyz))[:, None].expand(-1, 3, -1, -1)
    return functional.interpolate(maps, form.size, mode="bilinear", align_corners=True)


def _official(cloud: Cloud, form: PictureForm) -> Tensor:
    return _normalised(_grey(splat_views(_some(cloud, POINTS))), form)


def _official_single(cloud: Cloud, form: PictureForm) -> Tensor:
    return _normalised(_grey(splat_views(_some(cloud, POINTS), VIEWS[:1])), form)


def _prepared(cloud: Cloud, form: PictureForm) -> Tensor:
    places = _some(cloud, DEPTH_POINTS).astype(np.float64)
    camera = fitting_camera(places, _AZIMUTH, _ELEVATION)
    return _normalised([depth_view(places, camera, max(form.size))], form)


#: "pointclip": six views of the PointCLIP paper. "official": three of the official renderer;
#: "official-single": its first, which it draws of scans. "prepared": one of the kind that
#: `cg3d-train prepare --renderer depth` draws, and prompts for depth maps are trained on here.
DEPTH_MAPS = {
    "pointclip": DepthMaps("six views of PointCLIP", 6, _pointclip),
    "official": DepthMaps("three official depth views", len(VIEWS), _official),
    "official-single": DepthMaps("one official depth view", 1, _official_single),
    "prepared": DepthMaps("one depth map as prepared", 1, _prepared),
}


def _some(cloud: Cloud, most: int) -> Cloud:
    """At most so many points, the same at every call."""
    if len(cloud) <= most:
        return cloud
    return cloud[np.random.default_rng(0).permutation(len(cloud))[:most]]


def _grey(pictures: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """Pictures as they are saved: 8 bits, cut off and not rounded, as in the official code."""
    return [np.repeat((p * 255).astype(np.uint8)[..., None], 3, axis=2) for p in pictures]


def _normalised(pictures: list[NDArray[np.uint8]], form: PictureForm) -> Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (form.mean, form.std))
    return torch.stack([(fit(p, form.size) - mean) / std for p in pictures])
