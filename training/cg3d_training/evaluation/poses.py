"""How a whole object stands: turned about the vertical, tilted, or any way at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

#: Degrees.
TILT = 15.0


def yaw(cloud: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A cloud (n, 3), y up, turned about y by an angle drawn from all."""
    return _turned(cloud, Rotation.from_rotvec([0, rng.uniform(0, 2 * np.pi), 0]))


def tilt(cloud: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A cloud (n, 3), y up, turned as by `yaw`, then tipped by `TILT` towards any side."""
    side = rng.uniform(0, 2 * np.pi)
    tip = np.deg2rad(TILT) * np.array([np.cos(side), 0, np.sin(side)])
    return _turned(yaw(cloud, rng), Rotation.from_rotvec(tip))


def any_rotation(cloud: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A cloud (n, 3), turned by a rotation drawn uniformly from all."""
    quaternion = rng.standard_normal(4)
    return _turned(cloud, Rotation.from_quat(quaternion / np.linalg.norm(quaternion)))


def _turned(cloud: NDArray[np.float32], rotation: Rotation) -> NDArray[np.float32]:
    return np.asarray(rotation.apply(cloud), np.float32)
