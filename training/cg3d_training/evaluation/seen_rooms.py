"""Generated rooms as a robot sees them: one view of a depth camera, or several put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_sdk import Recognizer
from cg3d_training.render.depth_camera import DepthCamera, tour
from cg3d_training.shapes.rooms import furnished_room

#: Edge of the cubes that several views are thinned to, metres; each keeps its first point.
_CUBE = 0.012

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
    """What was seen of a room.

    Attributes:
        points: (n, 3) float32 metres, z up, in the frame of the room.
        owner: (n,) int64 the instance of each; -1 for none.
        names: of the instances.
        furniture: numbers of the instances that are no part of the building.
    """

    points: NDArray[np.float32]
    owner: NDArray[np.int64]
    names: tuple[str, ...]
    furniture: range

    def instances(self, name: str, least: int = 100) -> list[int]:
        """Numbers of the instances of a name of which enough points were seen."""
        seen = np.bincount(self.owner[self.owner >= 0], minlength=len(self.names))
        return [i for i in self.furniture if self.names[i] == name and seen[i] >= least]


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
    sizes = np.bincount(room.owner[room.owner >= 0], minlength=len(room.names))

    def overlap(rows: NDArray[np.int64], instances: list[int]) -> float:
        own = room.owner[rows]
        shared = np.bincount(own[own >= 0], minlength=len(sizes))[instances]
        return float((shared / (sizes[instances] + len(rows) - shared)).max())

    found = []
    for name in dict.fromkeys(room.names[i] for i in room.furniture):
        instances = room.instances(name)
        if not instances or name not in recognizer.vocabulary:
            continue
        regions = scene.query(name, top=top).regions
        found.append(
            RoomHit(
                name,
                tuple(overlap(region.indices, instances) for region in regions) or (0.0,),
                regions[0].score if regions else 0.0,
                max((overlap(rows, instances) for rows in scene.candidates), default=0.0),
            )
        )
    return found


def seen_room(layout: str, seed: int, views: int, of: int = 8) -> SeenRoom:
    """A room with its furniture, seen from a camera that goes around its middle.

    Args:
        layout: a key of `LAYOUTS`.
        seed: the same seed gives the same room and the same errors of the camera.
        views: how many of the stations see it; one, or all for a whole turn.
        of: stations on the way around.
    """
    wall_side, free, on_tops = LAYOUTS[layout]
    room = furnished_room(seed, wall_side=wall_side, free=free, on_tops=on_tops)
    rng = np.random.default_rng([seed, 7])
    camera = DepthCamera()
    frames = [camera.look(room, pose, rng) for pose in tour(room, of)[:views]]
    points = np.concatenate([f.points @ f.pose[:3, :3].T + f.pose[:3, 3] for f in frames])
    owner = np.concatenate([frame.owners for frame in frames])
    if views > 1:
        cells = np.floor(points / _CUBE).astype(np.int64)
        kept = np.sort(np.unique(cells, axis=0, return_index=True)[1])
        points, owner = points[kept], owner[kept]
    return SeenRoom(points.astype(np.float32), owner, room.names, room.furniture)
