"""Triangle meshes that shapes are put together from. Metres, y up, the floor at y = 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Axis = Literal["x", "y", "z"]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles, closed unless said otherwise.

    Attributes:
        vertices: (v, 3) float64, metres.
        faces: (f, 3) int64, rows of `vertices`.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """Shifted by so many metres."""
        return Mesh(self.vertices + np.array([x, y, z]), self.faces)

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Mesh:
        """Stretched about the origin; a negative factor mirrors."""
        flipped = x * y * z < 0
        return Mesh(self.vertices * np.array([x, y, z]), self.faces[:, :: -1 if flipped else 1])

    def turned(self, axis: Axis, degrees: float) -> Mesh:
        """Turned about an axis through the origin, right-handed."""
        a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        vertices = self.vertices.copy()
        vertices[:, a] = cos * self.vertices[:, a] - sin * self.vertices[:, b]
        vertices[:, b] = sin * self.vertices[:, a] + cos * self.vertices[:, b]
        return Mesh(vertices, self.faces)


#: What a generator gives: the solids of an object. Points of one inside another are not seen.
Parts = list[Mesh]


def join(parts: Iterable[Mesh]) -> Mesh:
    """All parts as one mesh."""
    vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
    for part in parts:
        vertices.append(part.vertices)
        faces.append(part.faces + count)
        count += len(part.vertices)
    return Mesh(np.concatenate(vertices), np.concatenate(faces))


def moved(parts: Iterable[Mesh], x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Parts:
    """The parts, shifted by so many metres."""
    return [part.moved(x, y, z) for part in parts]


def turned(parts: Iterable[Mesh], axis: Axis, degrees: float) -> Parts:
    """The parts, turned about an axis through the origin, right-handed."""
    return [part.turned(axis, degrees) for part in parts]


def mirrored(parts: Iterable[Mesh]) -> Parts:
    """The parts and their mirror images, left and right."""
    here = list(parts)
    return here + [part.scaled(x=-1.0) for part in here]
