"""What the things of a voxel map stand on: the floor, another thing, or nothing because they hang.

Nothing floats. So what seems to has legs that were lost, or a lower part that was hidden, unless
it hangs on a wall or from the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.boxes import oriented_box
from cg3d_runtime.scene.map_tops import FOOT, LAYER, RING, columns
from cg3d_runtime.scene.planes import Plane
from cg3d_runtime.scene.segmentation import LEAST_POINTS, groups

#: A fragment has at most this share of the points of the thing that it is a part of, lies in its
#: box, give or take this margin in metres, and has at least so many points itself.
_FRAGMENT, _FRAGMENT_MARGIN, _LEAST_FRAGMENT = 0.3, 0.06, 4

#: Legs whose upper ends are out of sight lie so far below the seat, metres.
_LEGS = 0.3

#: Legs have at most this share of the points of what they are the legs of.
_LEGS_SHARE = 0.5

#: The share of a fragment that lies in that box.
_IN_BOX = 0.9

#: What begins so far above the floor seems to float, metres.
_FLOATS = 0.15

#: How far below a thing is looked for the wall that it hangs on, metres, and in which share of
#: the squares under it and around it.
_HANGS, _WALL_BELOW = 0.3, 0.25

#: The share of the squares under a foot and around it that the face it stands on fills at least.
_ON = 0.3

#: Squares of the plan, in voxels.
_SQUARE = 2.0


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Floor, walls and ceiling as far as they were seen.

    Attributes:
        xyz: (n, 3) float32 their points, metres.
        floor: None where there is none.
        ceiling: its height; infinity where there is none.
        size: edge of a voxel.
    """

    xyz: NDArray[np.float32]
    floor: Plane | None
    ceiling: float
    size: float

    def floor_below(self, xyz: NDArray[np.float32]) -> float | None:
        """The height of the floor below points (n, 3)."""
        if self.floor is None:
            return None
        x, y = xyz[:, :2].mean(axis=0)
        nx, ny, nz = self.floor.normal
        return float((self.floor.offset - nx * x - ny * y) / nz)


def joined(
    xyz: NDArray[np.float32], part: NDArray[np.int64], around: Surroundings
) -> NDArray[np.int64]:
    """`part` with fragments joined to the thing whose box they are in: occlusion cuts things."""
    rows = [r for r in groups(part) if len(r) >= _LEAST_FRAGMENT]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    large = [i for i, own in enumerate(rows) if len(own) >= LEAST_POINTS]
    lows = np.array([xyz[r].min(axis=0) for r in rows]).reshape(-1, 3) - _FRAGMENT_MARGIN
    highs = np.array([xyz[r].max(axis=0) for r in rows]).reshape(-1, 3) + _FRAGMENT_MARGIN
    below = np.full(len(rows), -np.inf)
    lows[:, 2] -= _LEGS
    for i in large:
        own = xyz[rows[i]]
        lowest, floor = float(own[:, 2].min()), around.floor_below(own)
        if floor is not None and lowest > floor + _FLOATS:
            others = [xyz[rows[j]] for j in large if j != i]
            others = [o for o in others if not _are_legs(o, own, around.size)]
            if support(own, others, around) <= floor:
                lows[i, 2], below[i] = min(float(lows[i, 2]), floor), lowest + LAYER
    of = np.arange(len(rows))
    for place, i in enumerate(order):
        small = xyz[rows[i]]
        highest = float(small[:, 2].max())
        # The largest first.
        for j in reversed(order[place + 1 :]):
            # What floats has lost what carries it, which may be as large as itself.
            if len(rows[i]) > _FRAGMENT * len(rows[j]) and highest > below[j]:
                continue
            if ((small > lows[j]) & (small < highs[j])).all(axis=1).mean() >= _IN_BOX:
                of[i] = j
                break
    result = part.copy()
    # From the largest on: what a fragment was joined to may itself be one.
    for i in reversed(order):
        result[rows[i]] = result[rows[of[i]][0]]
    return result


def _are_legs(part: NDArray[np.float32], own: NDArray[np.float32], margin: float) -> bool:
    """Whether a part (k, 3) below a thing (n, 3) is its legs: smaller, and nowhere sticking out."""
    low, high = own[:, :2].min(axis=0) - margin, own[:, :2].max(axis=0) + margin
    within = ((part[:, :2] > low) & (part[:, :2] < high)).all(axis=1)
    return len(part) <= _LEGS_SHARE * len(own) and bool(within.mean() >= _IN_BOX)


def support(
    own: NDArray[np.float32], others: Sequence[NDArray[np.float32]], around: Surroundings
) -> float:
    """The height of what a thing stands on; its own lowest where it hangs or nothing is known.

    Args:
        own: (n, 3) its points, metres.
        others: (m, 3) those of each other thing.
        around: the building.
    """
    lowest, square = float(own[:, 2].min()), _SQUARE * around.size
    low = own[own[:, 2] < lowest + LAYER]
    foot = np.unique(columns(low, square))
    # What is right under a foot is out of sight, so the squares around it count too.
    foot = np.unique(np.concatenate([foot, (foot[:, None] + RING).reshape(-1)]))
    beneath = [
        other[(other[:, 2] < lowest + LAYER / 2) & (other[:, 2] > lowest - FOOT - LAYER)]
        for other in others
    ]
    face = np.concatenate([*beneath, np.empty((0, 3), np.float32)])
    column = columns(face, square)
    face, column = face[np.isin(column, foot)], column[np.isin(column, foot)]
    squares, of_point = np.unique(column, return_inverse=True)
    if len(squares) and len(squares) >= _ON * len(foot):
        tops = np.full(len(squares), -np.inf, np.float32)
        np.maximum.at(tops, of_point.reshape(-1), face[:, 2])
        return float(np.median(tops))
    floor = around.floor_below(own)
    if floor is None or floor > lowest or _hangs(own, foot, lowest, floor, around):
        return lowest
    # A top as high as the sensor is out of sight, and so may the foot of what stands on it be.
    middle = low[:, :2].mean(axis=0, keepdims=True)
    # Its own legs do not carry a table: what carries a thing is as wide as its foot.
    least = oriented_box(low).plan
    lower = [oriented_box(o) for o in others if float(o[:, 2].max()) < lowest + LAYER]
    under = [b.top for b in lower if b.plan >= least and b.inside(middle).all()]
    return max(under, default=floor)


def _hangs(
    own: NDArray[np.float32],
    foot: NDArray[np.int64],
    lowest: float,
    floor: float,
    around: Surroundings,
) -> bool:
    """Whether the wall just below a thing is in sight, or it is at the ceiling with floor below."""
    if lowest < floor + _FLOATS:
        return False
    square = _SQUARE * around.size
    column, z = columns(around.xyz, square), around.xyz[:, 2]
    wall = np.unique(column[(z > max(lowest - _HANGS, floor + LAYER)) & (z < lowest - LAYER)])
    if np.isin(foot, wall).mean() >= _WALL_BELOW:
        return True
    below = np.unique(column[np.abs(z - floor) < LAYER])
    high = float(own[:, 2].max()) > around.ceiling - 2 * FOOT
    return high and bool(np.isin(foot, below).mean() > 0.5)
