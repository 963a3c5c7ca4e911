"""Where a picture is taken from. y is up, as in everything that encoders are trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

#: Vertical and horizontal opening of the cameras, degrees; that of a normal lens.
FIELD_OF_VIEW = 40.0


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with a square picture.

    Attributes:
        eye: (3,) where it stands.
        axes: (3, 3) its rows are unit vectors: to the right of the picture, up, and the way it
            looks.
        field_of_view: full opening in degrees, alike across and up.
    """

    eye: NDArray[np.float64]
    axes: NDArray[np.float64]
    field_of_view: float = FIELD_OF_VIEW

    def project(self, points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """Where points appear.

        Args:
            points: (n, 3) in the object's axes.
            size: pixels on a side of the picture.

        Returns:
            (n, 3) float64: x to the right and y down in pixels, (0, 0) at the outer corner of the
            first one; and the depth, the distance along the way that the camera looks. x and y
            mean nothing where the depth is not above zero.
        """
        # einsum and no matrix product: BLAS may sum in another order with other threads.
        seen = np.einsum("nk,dk->nd", points - self.eye, self.axes)
        scale = size / 2 / np.tan(np.radians(self.field_of_view) / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            across = size / 2 + scale * seen[:, 0] / seen[:, 2]
            down = size / 2 - scale * seen[:, 1] / seen[:, 2]
        return np.stack([across, down, seen[:, 2]], axis=1)


def fitting_camera(
    points: NDArray[np.float64], azimuth: float, elevation: float, margin: float = 0.08
) -> Camera:
    """A camera that looks at the middle of an object and has all of it just in the picture.

    Args:
        points: (n, 3) the object's vertices, finite, not all equal, y up.
        azimuth: degrees about y; 0 looks from +z, 90 from +x.
        elevation: degrees above the floor, between -90 and 90 exclusive.
        margin: share of the picture's half that stays free around the object.

    Raises:
        InputError: the points are empty, not finite, or all at one place.
    """
    if len(points) == 0 or not np.isfinite(points).all():
        raise InputError("a camera needs finite points to look at")
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    centred = points - middle
    radius = float(np.linalg.norm(centred, axis=1).max())
    if not 0 < radius < np.inf:
        raise InputError("all points are at one place; there is nothing to look at")
    turn, tilt = np.radians(azimuth), np.radians(elevation)
    away = np.array([np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)])
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    axes = np.stack([right, np.cross(away, right), -away])
    seen = np.einsum("nk,dk->nd", centred, axes)
    slope = np.tan(np.radians(FIELD_OF_VIEW) / 2) * (1 - margin)
    # A point fits where |x| <= slope * (distance + z), so the furthest demand decides.
    distance = max(
        float((np.abs(seen[:, 0]) / slope - seen[:, 2]).max()),
        float((np.abs(seen[:, 1]) / slope - seen[:, 2]).max()),
        1.2 * radius,  # a thin object seen from its end: do not stand inside it
    )
    return Camera(eye=middle + away * distance, axes=axes)


def random_camera(
    points: NDArray[np.float64], rng: np.random.Generator, elevation: tuple[float, float]
) -> Camera:
    """A fitting camera from anywhere around an upright object.

    Args:
        points: (n, 3) the object's vertices.
        rng: chooses the azimuth, all alike, and the elevation in its range, all alike.
        elevation: lowest and highest, degrees.
    """
    return fitting_camera(points, rng.uniform(0.0, 360.0), rng.uniform(*elevation))
