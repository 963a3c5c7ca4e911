"""A map of cubes that grows frame by frame and forgets: what `SceneMap` keeps of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

#: Bits of a cube's place along an axis, and the cube at the origin.
_BITS = 21
_MIDDLE = 1 << (_BITS - 1)

#: Frames that a mean place looks back on at most: it follows slowly where poses drift.
_MEMORY = 100

NOBODY = -1


@dataclass(eq=False)
class VoxelMap:
    """Occupied cubes, sorted by their keys. Not safe for several threads: its owner locks.

    Attributes:
        size: edge of a cube, metres.
        keys: (m,) int64, the place of each cube as one number, ascending.
        places: (m, 3) float32 mean of what was seen in each, metres about the map's origin.
        hits: (m,) int32 frames that each was seen in.
        seen: (m,) int32 the last of these frames.
        owner: (m,) int32 the object that each belongs to, -1 for none.
    """

    size: float
    keys: NDArray[np.int64]
    places: NDArray[np.float32]
    hits: NDArray[np.int32]
    seen: NDArray[np.int32]
    owner: NDArray[np.int32]

    @classmethod
    def empty(cls, size: float) -> VoxelMap:
        """A map of nothing."""
        numbers = [np.empty(0, np.int32) for _ in range(3)]
        return cls(size, np.empty(0, np.int64), np.empty((0, 3), np.float32), *numbers)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.keys, self.places, self.hits, self.seen, self.owner)
        return sum(array.nbytes for array in arrays)

    def add(self, xyz: NDArray[np.float32], frame: int) -> NDArray[np.int64]:
        """Add the points of one frame.

        Args:
            xyz: (n, 3) float32, metres about the map's origin.
            frame: its number, from 1, rising.

        Returns:
            (n,) int64 the row of each point's cube.

        Raises:
            InputError: a point is a million cubes from the origin.
        """
        keys, of_point, counts = np.unique(
            self.keys_of(xyz), return_inverse=True, return_counts=True
        )
        of_point = of_point.reshape(-1)
        means = np.stack(
            [np.bincount(of_point, xyz[:, k], len(keys)) / counts for k in range(3)], axis=1
        ).astype(np.float32)
        rows = np.searchsorted(self.keys, keys)
        known = np.zeros(len(keys), np.bool_)
        inside = rows < len(self.keys)
        known[inside] = self.keys[rows[inside]] == keys[inside]
        old = rows[known]
        self.hits[old] += 1
        share = (1 / np.minimum(self.hits[old], _MEMORY)).astype(np.float32)[:, None]
        self.places[old] += share * (means[known] - self.places[old])
        self.seen[old] = frame
        new = ~known
        if new.any():
            at, count = rows[new], int(new.sum())
            self.keys = np.insert(self.keys, at, keys[new])
            self.places = np.insert(self.places, at, means[new], axis=0)
            self.hits = np.insert(self.hits, at, np.ones(count, np.int32))
            self.seen = np.insert(self.seen, at, np.full(count, frame, np.int32))
            self.owner = np.insert(self.owner, at, np.full(count, NOBODY, np.int32))
            rows = np.searchsorted(self.keys, keys)
        return np.asarray(rows[of_point])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget all cubes but those of a mask (m,)."""
        if not rows.all():
            self.keys, self.places = self.keys[rows], self.places[rows]
            self.hits, self.seen, self.owner = self.hits[rows], self.seen[rows], self.owner[rows]

    def limit(self, most: int) -> None:
        """Forget the cubes that were not seen for longest until at most so many are left."""
        if len(self) > most:
            # Of cubes seen last in the same frame those seen in fewer frames go first.
            order = np.lexsort((-self.hits, -self.seen))
            rows = np.zeros(len(self), np.bool_)
            rows[order[:most]] = True
            self.keep(rows)

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) int64 rows of cubes by their keys, -1 for those that are not here."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        rows = np.searchsorted(self.keys, keys)
        rows[rows == len(self)] = 0
        return np.where(self.keys[rows] == keys, rows, -1)

    def keys_of(self, xyz: NDArray[np.float32]) -> NDArray[np.int64]:
        """(n,) int64 the key of each point's cube; see `add`."""
        cells = np.floor(xyz / np.float32(self.size))
        if len(cells) and float(np.abs(cells).max()) >= _MIDDLE - 1:
            away = float(np.abs(xyz).max())
            raise InputError(
                f"a point lies {away:.6g} m from where the map began, more than a million voxels "
                f"of {self.size:g} m; is the pose in metres?"
            )
        x, y, z = (cells[:, k].astype(np.int64) + _MIDDLE for k in range(3))
        return np.asarray((x << (2 * _BITS)) | (y << _BITS) | z)

    def corners(self) -> NDArray[np.float32]:
        """(m, 3) float32 the lowest corner of each cube, metres about the map's origin."""
        shifts = np.array([2 * _BITS, _BITS, 0])
        cells = (self.keys[:, None] >> shifts) & ((1 << _BITS) - 1)
        return np.asarray((cells - _MIDDLE) * self.size, np.float32)
