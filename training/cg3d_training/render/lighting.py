"""Light from everywhere and from a few directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_training.render.camera import Camera

_GAMMA = np.float32(2.2)  # sRGB, near enough
_BRIGHTEST = 0.82  # white things have to be seen before a white background


@dataclass(frozen=True, eq=False)
class Lighting:
    """Lambert's law: no shine, no shadows.

    Attributes:
        ambient: linear light from everywhere.
        directions: (k, 3) unit vectors towards the lights.
        strengths: (k,) linear light of each on a surface that faces it.
    """

    ambient: float
    directions: NDArray[np.float64]
    strengths: NDArray[np.float64]

    def shade(
        self, colours: NDArray[np.float32], normals: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Colours of lit surfaces.

        Args:
            colours: (n, 3) float32 sRGB from 0 to 1, of the surface.
            normals: (n, 3) unit vectors, turned to the viewer.

        Returns:
            (n, 3) float32 sRGB from 0 to 1.
        """
        facing = np.einsum("nd,kd->nk", normals, self.directions).clip(min=0)
        light = self.ambient + np.einsum("nk,k->n", facing, self.strengths)
        # The eye's scale is a power law, so the light's power can be multiplied on the sRGB side.
        factor = light.astype(np.float32) ** (1 / _GAMMA)
        lit: NDArray[np.float32] = (colours * factor[:, None]).clip(0, 1)
        return lit


def random_lighting(rng: np.random.Generator, camera: Camera) -> Lighting:
    """Three lights: a strong one above the camera's shoulder, and two weaker ones at the sides.

    Args:
        rng: chooses how strong they are and where they stand.
        camera: the lights stand about it, so that no view is of a dark side.
    """
    directions = []
    for side, height in ((rng.uniform(-60, 60), rng.uniform(20, 65)),
                         (rng.uniform(60, 120), rng.uniform(0, 50)),
                         (rng.uniform(-120, -60), rng.uniform(0, 50))):  # fmt: skip
        turn, tilt = np.radians(side), np.radians(height)
        right, up, ahead = camera.axes
        directions.append(
            np.sin(turn) * np.cos(tilt) * right
            + np.sin(tilt) * up
            - np.cos(turn) * np.cos(tilt) * ahead
        )
    strengths = np.array([rng.uniform(0.4, 0.6), rng.uniform(0.05, 0.2), rng.uniform(0.05, 0.2)])
    ambient = rng.uniform(0.2, 0.35)
    strengths *= min(1.0, (_BRIGHTEST - ambient) / strengths.sum())
    return Lighting(ambient, np.stack(directions), strengths)
