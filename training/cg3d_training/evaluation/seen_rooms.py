"""Generated rooms as a robot knows them, the thing of every point, and what it finds when asked.

`seen_room` is one room with a given layout from one place or from several; `drawn_flat` is rooms of
chance side by side, seen by a depth camera or known from all sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_sdk import Recognizer
from cg3d_training.render.depth_camera import DepthCamera, tour
from cg3d_training.shapes.rooms import Room, furnished_room

#: Names of what is no furniture.
BUILDING = ("floor", "wall", "ceiling")

#: Stations on the way around a room.
_STATIONS = 8

#: Edge of the cubes that several views are thinned to, metres; each keeps its first point.
_CUBE = 0.012

#: Rooms of a flat at most, what is between two of them, metres, and points for each square metre
#: where they are known from all sides.
ROOMS, _WALL, _DENSITY = 6, 0.3, 400.0

#: What may stand in a room of chance.
_AT_WALLS = (
    "sofa", "bed", "bookcase", "dresser", "cabinet", "wardrobe", "desk", "piano", "bathtub",
    "toilet", "nightstand",
)  # fmt: skip
_FREE = ("armchair", "chair", "chair", "stool", "bench")
_ON_TOPS = (
    "vase", "potted plant", "lamp", "laptop", "monitor", "mug", "bottle", "bowl", "radio",
)  # fmt: skip

#: What stands at the walls, free, and on tops.
LAYOUTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "living room": (
        ("sofa", "bookcase", "tv stand"),
        ("table", "armchair", "chair", "chair"),
        ("vase", "potted plant", "lamp"),
    ),
    "bedroom": (
        ("bed", "wardrobe", "nightstand", "dresser"),
        ("armchair", "stool"),
        ("lamp", "vase"),
    ),
    "office": (
        ("desk", "bookcase", "cabinet"),
        ("table", "chair", "chair", "stool"),
        ("laptop", "monitor", "mug"),
    ),
    "music room": (
        ("piano", "sofa", "bench"),
        ("stool", "guitar", "table"),
        ("bowl", "bottle", "flowerpot"),
    ),
    "bathroom": (("bathtub", "toilet", "sink", "cabinet"), ("stool", "chair"), ()),
}


@dataclass(frozen=True, eq=False)
class SeenRoom:
    """What is known of a room or of several.

    Attributes:
        points: (n, 3) float32 metres, z up, in the frame of the room.
        owner: (n,) int64 the instance of each; -1 for none.
        names: of the instances.
    """

    points: NDArray[np.float32]
    owner: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def furniture(self) -> tuple[int, ...]:
        """Numbers of the instances that are no part of the building."""
        return tuple(i for i, name in enumerate(self.names) if name not in BUILDING)

    def instances(self, name: str, least: int = 100) -> list[int]:
        """Numbers of the instances of a name of which enough points were seen."""
        seen = self._counts(self.owner)
        return [i for i in self.furniture if self.names[i] == name and seen[i] >= least]

    def overlap(self, rows: NDArray[np.int64], instances: Sequence[int]) -> float:
        """Intersection over union of rows of `points` with the best of some instances."""
        chosen = list(instances)
        shared = self._counts(self.owner[rows])[chosen]
        union = self._counts(self.owner)[chosen] + len(rows) - shared
        return float((shared / union).max())

    def _counts(self, owner: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(owner[owner >= 0], minlength=len(self.names))


@dataclass(frozen=True)
class RoomHit:
    """What a room answered when it was asked for one of its things.

    Attributes:
        name: that was asked.
        overlaps: of each answer, the best first: point IoU with the best instance of the name.
        score: of the first answer.
        possible: the best IoU of any candidate: what a perfect ranking would reach.
    """

    name: str
    overlaps: tuple[float, ...]
    score: float
    possible: float


def hits(recognizer: Recognizer, room: SeenRoom, top: int = 3) -> list[RoomHit]:
    """Ask a room for every name of furniture that it has and the bundle knows."""
    scene = recognizer.scene(room.points)
    found = []
    for name in dict.fromkeys(room.names[i] for i in room.furniture):
        instances = room.instances(name)
        if not instances or name not in recognizer.vocabulary:
            continue
        regions = scene.query(name, top=top).regions
        found.append(
            RoomHit(
                name,
                tuple(room.overlap(r.indices, instances) for r in regions) or (0.0,),
                regions[0].score if regions else 0.0,
                max((room.overlap(rows, instances) for rows in scene.candidates), default=0.0),
            )
        )
    return found


def seen_room(layout: str, seed: int, views: int) -> SeenRoom:
    """A room with its furniture, seen from a camera that goes around its middle.

    Args:
        layout: a key of `LAYOUTS`.
        seed: the same seed gives the same room and the same errors of the camera.
        views: how many of eight stations see it; one, or all for a whole turn.
    """
    wall_side, free, on_tops = LAYOUTS[layout]
    room = furnished_room(seed, wall_side=wall_side, free=free, on_tops=on_tops)
    points, owner = seen_by_camera(room, np.random.default_rng([seed, 7]), views)
    return SeenRoom(points, owner, room.names)


def drawn_flat(rng: np.random.Generator, camera: bool) -> SeenRoom:
    """Rooms of chance side by side.

    Args:
        rng: of the flat and of what sees it.
        camera: whether it is as a depth camera sees it on a whole turn, and not from all sides.
    """
    points: list[NDArray[np.float32]] = []
    owners: list[NDArray[np.int64]] = []
    names: list[str] = []
    right = 0.0
    for _ in range(rng.integers(1, ROOMS + 1)):
        room = draw_room(rng)
        if camera:
            cloud, owner = seen_by_camera(room, rng, _STATIONS)
        else:
            cloud, owner = room.sample(_DENSITY, int(rng.integers(1 << 31)))
        points.append(cloud + np.array([right + room.size[0] / 2, 0, 0], np.float32))
        owners.append(np.where(owner < 0, -1, owner + len(names)))
        names += room.names
        right += room.size[0] + _WALL
    return SeenRoom(np.concatenate(points), np.concatenate(owners), tuple(names))


def draw_room(rng: np.random.Generator) -> Room:
    """A room of chance size with furniture of chance."""
    while True:
        size = (rng.uniform(4.5, 8), rng.uniform(4, 7), rng.uniform(2.4, 3))
        walls = rng.permutation(_AT_WALLS)[: rng.integers(2, 6)]
        free = rng.permutation(_FREE)[: rng.integers(1, 5)]
        tops = rng.permutation(_ON_TOPS)[: rng.integers(1, 4)]
        try:
            return furnished_room(
                int(rng.integers(1 << 31)),
                size,
                [str(n) for n in walls],
                ["table", *(str(n) for n in free)],
                [str(n) for n in tops],
            )
        except InputError:  # it did not fit
            continue


def seen_by_camera(
    room: Room, rng: np.random.Generator, views: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What a depth camera gathers on its way around the middle of a room.

    Args:
        room: to look at.
        rng: of the camera's errors.
        views: how many of eight stations; several are put together and thinned.

    Returns:
        (n, 3) float32 metres in the frame of the room, and (n,) int64 the thing of each.
    """
    frames = [DepthCamera().look(room, pose, rng) for pose in tour(room, _STATIONS)[:views]]
    points = np.concatenate([f.points @ f.pose[:3, :3].T + f.pose[:3, 3] for f in frames])
    owner = np.concatenate([frame.owners for frame in frames])
    if views > 1:
        cells = np.floor(points / _CUBE).astype(np.int64)
        cells -= cells.min(axis=0)
        code = np.ravel_multi_index(cells.T, cells.max(axis=0) + 1)
        kept = np.sort(np.unique(code, return_index=True)[1])
        points, owner = points[kept], owner[kept]
    return points.astype(np.float32), owner
