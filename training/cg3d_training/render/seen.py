"""How much of the surface of each thing in a room a walk of the depth camera showed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_training.render.depth_camera import DepthFrame
from cg3d_training.shapes.rooms import Room

#: Points on the surfaces, per m2.
_DENSITY = 400.0

#: A point was seen where the depth is that of it, give or take this at 0 m and at 1 m, metres.
_NEAR, _NOISE = 0.01, 0.004


class SeenSurface:
    """Counts in how many frames each of many points of the room's surfaces was seen.

    Also the outside of a thing counts that nobody can see: its back to a wall, its underside.

    Args:
        room: where the camera walks.
        within: points further from the camera are not seen, metres.
    """

    def __init__(self, room: Room, within: float = np.inf) -> None:
        self._points, self._owner = room.sample(_DENSITY)
        self._hits = np.zeros(len(self._points), np.int64)
        self._within = within
        self._things = len(room.things)

    def add(self, frame: DepthFrame) -> None:
        """Another frame of the same room."""
        camera = frame.camera
        local = (self._points - frame.pose[:3, 3]) @ frame.pose[:3, :3]
        away = np.linalg.norm(local, axis=1)
        rows = np.flatnonzero((local[:, 2] > camera.nearest) & (away < self._within))
        x, y, z = local[rows].T
        across = np.rint(camera.fx * x / z + camera.cx)
        down = np.rint(camera.fy * y / z + camera.cy)
        inside = (across >= 0) & (across < camera.width) & (down >= 0) & (down < camera.height)
        rows, z = rows[inside], z[inside]
        pixel = (down[inside].astype(np.int64), across[inside].astype(np.int64))
        right = frame.instance[pixel] == self._owner[rows]
        right &= np.abs(frame.depth[pixel] - z) < _NEAR + _NOISE * z**2
        self._hits[rows[right]] += 1

    def shares(self, least: int = 1) -> NDArray[np.float64]:
        """(things,) the share of each thing's surface that at least so many frames saw."""
        seen = np.bincount(self._owner[self._hits >= least], minlength=self._things)
        return np.asarray(seen / np.bincount(self._owner, minlength=self._things))

    def seen_of(self, number: int, least: int = 1) -> NDArray[np.float32]:
        """(k, 3) metres, the points of a thing that at least so many frames saw."""
        return np.asarray(self._points[(self._owner == number) & (self._hits >= least)])
