"""Generated rooms with what is hard to cut out: furniture side by side, and flat things on walls.

In `furnished_room` nothing touches. Here a row of furniture stands along one wall without gaps, and
pictures, a television, a clock and a mirror hang on the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_training.evaluation.seen_rooms import SeenRoom, seen_by_camera
from cg3d_training.shapes.draw import between
from cg3d_training.shapes.mesh import Parts, join, moved, turned
from cg3d_training.shapes.primitives import box, cylinder
from cg3d_training.shapes.registry import build
from cg3d_training.shapes.rooms import Room, Thing, furnished_room

#: Length, width and height of the room, metres.
_SIZE = (7.0, 6.0, 2.7)

#: What stands in the row, side by side.
_ROW = ("cabinet", "wardrobe", "dresser", "desk", "bookcase", "nightstand", "refrigerator", "sofa")

#: Between two things of the row, metres, and how many there are.
_BESIDE, _IN_ROW = (0.0, 0.01), (3, 5)

#: What hangs: width, height for each metre of width, depth, and gap to the wall; least and most.
_HUNG: dict[str, tuple[tuple[float, float], ...]] = {
    "picture frame": ((0.3, 1.2), (0.6, 1.5), (0.015, 0.045), (0.0, 0.01)),
    "television": ((0.7, 1.5), (0.56, 0.62), (0.03, 0.09), (0.005, 0.06)),
    "clock": ((0.25, 0.45), (1.0, 1.0), (0.02, 0.06), (0.0, 0.01)),
    "mirror": ((0.4, 0.8), (1.0, 2.0), (0.01, 0.04), (0.0, 0.02)),
}

#: Points for each square metre where a room is known from all sides, and their error, metres.
_DENSITY, _NOISE = 1200.0, 0.002


def dressed_room(seed: int, camera: bool) -> SeenRoom:
    """A room whose things touch and hang.

    Args:
        seed: the same seed gives the same room.
        camera: whether it is as a depth camera sees it on a whole turn, and not from all sides.
    """
    rng = np.random.default_rng([seed, 11])
    plain = furnished_room(
        int(rng.integers(1 << 31)), _SIZE, (), ("table", "armchair", "chair"), ("vase", "lamp")
    )
    things = [*plain.things[: plain.building], *_row(rng), *_hung(rng)]
    for thing in plain.things[plain.building :]:
        high = thing.bounds[1]
        # The row takes a metre of the room along its wall.
        if high[1] < _SIZE[1] / 2 - 1.2 and not any(_meet(thing, t) for t in things):
            things.append(thing)
    room = Room(plain.size, tuple(things), plain.building)
    if camera:
        points, owner = seen_by_camera(room, rng, 8)
    else:
        points, owner = room.sample(_DENSITY, int(rng.integers(1 << 31)))
        points = points + rng.normal(0, _NOISE, points.shape).astype(np.float32)
    return SeenRoom(points, owner, room.names)


def _row(rng: np.random.Generator) -> list[Thing]:
    """Furniture side by side, backs to the wall at +y."""
    names = [str(n) for n in rng.permutation(_ROW)[: rng.integers(_IN_ROW[0], _IN_ROW[1] + 1)]]
    at = -_SIZE[0] / 2 + between(rng, 0.1, 0.6)
    found = []
    for name in names:
        parts = _standing(name, rng)
        low, high = _bounds(parts)
        if at + high[0] - low[0] > _SIZE[0] / 2:
            break
        back = _SIZE[1] / 2 - between(rng, 0.0, 0.02)
        found.append(Thing(name, moved(parts, at - low[0], back - high[1], -low[2])))
        at += high[0] - low[0] + between(rng, *_BESIDE)
    return found


def _standing(name: str, rng: np.random.Generator) -> Parts:
    """A thing of the row, z up, front to -y."""
    if name == "refrigerator":  # there is no shape of it: two doors, each with a bar
        width, height, depth = between(rng, 0.6, 0.9), between(rng, 1.5, 1.9), 0.65
        split = height * between(rng, 0.55, 0.7)
        parts = [box(width, height, depth)]
        for low, high in ((0.05, split - 0.01), (split + 0.01, height - 0.02)):
            door = box(width - 0.01, high - low, 0.05).moved(y=low, z=depth / 2 + 0.025)
            bar = box(0.03, min(0.5, high - low - 0.1), 0.04)
            parts += [door, bar.moved(-width * 0.4, low + 0.05, depth / 2 + 0.07)]
        return turned(parts, "x", 90.0)
    return turned(build(name, int(rng.integers(1 << 31))), "x", 90.0)


def _hung(rng: np.random.Generator) -> list[Thing]:
    """Flat things on the walls at -x, +x and -y, two thirds of a metre above the floor or more."""
    found: list[Thing] = []
    names = ("television", "clock", "mirror", *["picture frame"] * int(rng.integers(2, 5)))
    for name in names:
        wide, ratio, deep, gap = (between(rng, *bounds) for bounds in _HUNG[name])
        tall = wide * ratio
        parts = (
            [cylinder(wide / 2, deep).turned("x", 90.0)]
            if name == "clock"
            else _panel(wide, tall, deep)
        )
        for _ in range(40):
            wall = int(rng.integers(3))
            length = _SIZE[0] if wall == 1 else _SIZE[1]
            along = between(rng, wide / 2 - length / 2 + 0.1, length / 2 - 1.3 - wide / 2)
            foot = between(rng, 0.7, max(0.71, _SIZE[2] - tall - 0.2))
            # Backs look to +y before the turn: to the walls at -x, -y and +x after it.
            here = turned(turned(parts, "x", 90.0), "z", (90.0, 180.0, -90.0)[wall])
            low, high = _bounds(here)
            axis, side = ((0, -1), (1, -1), (0, 1))[wall]
            shift = -(low + high) / 2
            half = (high - low)[axis] / 2
            shift[1 - axis] += along
            shift[axis] += side * (_SIZE[axis] / 2 - gap - half)
            thing = Thing(name, moved(here, shift[0], shift[1], foot - low[2]))
            if not any(_meet(thing, t, 0.1) for t in found):
                found.append(thing)
                break
    return found


def _panel(wide: float, tall: float, deep: float) -> Parts:
    """A flat box, y up, front to +z, whose rim stands out before what it holds."""
    rim = min(0.03, wide / 8)
    back = box(wide, tall, deep * 0.7).moved(z=-deep * 0.15)
    bars = [
        box(wide, rim, deep),
        box(wide, rim, deep).moved(y=tall - rim),
        box(rim, tall, deep).moved(x=wide / 2 - rim / 2),
        box(rim, tall, deep).moved(x=rim / 2 - wide / 2),
    ]
    return [back, *bars]


def _bounds(parts: Parts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    vertices = join(parts).vertices
    return vertices.min(axis=0), vertices.max(axis=0)


def _meet(one: Thing, other: Thing, margin: float = 0.0) -> bool:
    """Whether the boxes of two things meet."""
    if other.name in ("floor", "ceiling", "wall"):
        return False
    (low, high), (least, most) = one.bounds, other.bounds
    return bool((low - margin < most).all() and (least < high + margin).all())
