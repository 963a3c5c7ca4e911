"""Furnished rooms put together from our shapes: `furnished_room(seed=3)`. Metres, z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_training.shapes.draw import between
from cg3d_training.shapes.mesh import Mesh, Parts, join, moved, turned
from cg3d_training.shapes.primitives import box
from cg3d_training.shapes.registry import build
from cg3d_training.shapes.sampling import sample_outside

#: Kinds whose highest point is a top that things stand on.
_TOPS = ("table", "dresser", "tv stand")

#: The ways between things, and between a back and its wall, metres.
_WAY, _GAP = 0.3, (0.04, 0.12)

#: What stands on a top stays so far from its edge, metres.
_EDGE = 0.03

#: Places tried for a thing, and layouts for a room.
_TRIES, _LAYOUTS = 40, 40


@dataclass(frozen=True, eq=False)
class Thing:
    """One instance of a room.

    Attributes:
        name: what it is, a key of `SHAPES`, or "floor", "wall", "ceiling".
        parts: its solids where they stand in the room, metres, z up.
    """

    name: str
    parts: Parts

    @cached_property
    def mesh(self) -> Mesh:
        """All its parts as one."""
        return join(self.parts)

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(3,) lowest and (3,) highest corner of the box along the axes, metres."""
        vertices = self.mesh.vertices
        return vertices.min(axis=0), vertices.max(axis=0)


@dataclass(frozen=True, eq=False)
class Room:
    """A room and what stands in it. The floor's middle is the origin, z is up.

    Attributes:
        size: (3,) length, width and height, metres.
        things: all instances; a number of an instance is a place in this tuple.
        building: how many of the first things are floor, ceiling and walls.
    """

    size: NDArray[np.float64]
    things: tuple[Thing, ...]
    building: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of all instances."""
        return tuple(thing.name for thing in self.things)

    @property
    def furniture(self) -> range:
        """The numbers of the instances that are no part of the building."""
        return range(self.building, len(self.things))

    def sample(
        self, per_square_metre: float, seed: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Points on every surface, also those that no camera sees.

        Args:
            per_square_metre: how many; a thing has at least 64.
            seed: the same seed gives the same points.

        Returns:
            (n, 3) float32 metres, and (n,) int64 the instance of each.
        """
        rng = np.random.default_rng([seed, 3])
        points, owner = [], []
        for number, thing in enumerate(self.things):
            corners = thing.mesh.vertices[thing.mesh.faces]
            cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            area = float(np.linalg.norm(cross, axis=1).sum()) / 2
            count = max(64, round(area * per_square_metre))
            points.append(sample_outside(thing.parts, count, rng))
            owner.append(np.full(count, number))
        return np.concatenate(points), np.concatenate(owner)


def furnished_room(
    seed: int,
    size: tuple[float, float, float] = (6.0, 5.0, 2.6),
    wall_side: Sequence[str] = ("sofa", "bed", "bookcase", "dresser"),
    free: Sequence[str] = ("table", "armchair", "chair", "chair"),
    on_tops: Sequence[str] = ("vase", "potted plant", "lamp"),
) -> Room:
    """A room with furniture standing around.

    Things do not touch each other, but for what stands on a top.

    Args:
        seed: the same seed gives the same room.
        size: length, width and height, metres.
        wall_side: shapes that stand with their back to a wall.
        free: shapes that stand anywhere.
        on_tops: shapes that stand on tables and the like, which must be among the others.

    Raises:
        InputError: the room is too small for all of it.
        TrainingError: there is no shape of a name.
    """
    rng = np.random.default_rng([seed, 1])
    plan = (size[0], size[1])
    building = _building(*size)
    for _ in range(_LAYOUTS):
        things = _layout(rng, plan, wall_side, free, on_tops)
        if things is not None:
            return Room(np.array(size), (*building, *things), len(building))
    raise InputError(
        f"{len(wall_side) + len(free) + len(on_tops)} things do not fit into a room of "
        f"{plan[0]:g} x {plan[1]:g} m, or have no table to stand on; choose a larger room, fewer "
        "things or another seed"
    )


def _layout(
    rng: np.random.Generator,
    plan: tuple[float, float],
    wall_side: Sequence[str],
    free: Sequence[str],
    on_tops: Sequence[str],
) -> list[Thing] | None:
    """All things where they stand, None where one finds no place."""
    things: list[Thing] = []
    taken: list[NDArray[np.float64]] = []
    on: list[NDArray[np.float64]] = []
    for name in (*wall_side, *free, *on_tops):
        parts = _made(name, rng)
        if len(things) < len(wall_side):
            thing = _at_wall(name, parts, rng, plan, taken)
        elif len(things) < len(wall_side) + len(free):
            thing = _free(name, parts, rng, plan, taken)
        else:
            thing = _on_top(name, parts, rng, [t for t in things if t.name in _TOPS], on)
        if thing is None:
            return None
        things.append(thing)
    return things


def _building(length: float, width: float, height: float) -> list[Thing]:
    """Floor, ceiling and four walls, each 10 cm thick and outside of the room."""
    slabs = {
        "floor": box(length, 0.1, width).moved(y=-0.1),
        "ceiling": box(length, 0.1, width).moved(y=height),
    }
    walls = [box(length, height, 0.1).moved(z=side * (width / 2 + 0.05)) for side in (-1, 1)] + [
        box(0.1, height, width).moved(x=side * (length / 2 + 0.05)) for side in (-1, 1)
    ]
    return [Thing(name, _upright([mesh])) for name, mesh in slabs.items()] + [
        Thing("wall", _upright([mesh])) for mesh in walls
    ]


def _upright(parts: Parts) -> Parts:
    """From y up to z up; what was the front, +z, looks to -y."""
    return turned(parts, "x", 90.0)


def _made(name: str, rng: np.random.Generator) -> Parts:
    """A shape of chance, z up, on the floor, its middle over the origin."""
    return _centred(_upright(build(name, int(rng.integers(1 << 31)))))


def _at_wall(
    name: str,
    parts: Parts,
    rng: np.random.Generator,
    plan: tuple[float, float],
    taken: list[NDArray[np.float64]],
) -> Thing | None:
    """A thing with its back to a wall, None where there is no place; `taken` grows."""
    for _ in range(_TRIES):
        turn = int(rng.integers(4))
        # Backs look to +y before the turn.
        axis, side = ((1, 1), (0, -1), (1, -1), (0, 1))[turn]
        here = turned(parts, "z", 90.0 * turn)
        half = _half(here)
        room = np.array(plan) / 2 - half - _GAP[0]
        if (room < 0).any():
            continue
        place = rng.uniform(-room, room)
        place[axis] = side * (plan[axis] / 2 - half[axis] - between(rng, *_GAP))
        if _claim(place, half + _WAY / 2, taken):
            return Thing(name, moved(here, place[0], place[1]))
    return None


def _free(
    name: str,
    parts: Parts,
    rng: np.random.Generator,
    plan: tuple[float, float],
    taken: list[NDArray[np.float64]],
) -> Thing | None:
    """A thing somewhere, turned anyhow, None where there is no place; `taken` grows."""
    for _ in range(_TRIES):
        # The box of a top that is turned by a quarter is its outline.
        turn = 90.0 * int(rng.integers(4)) if name in _TOPS else between(rng, 0, 360)
        here = _centred(turned(parts, "z", turn))
        half = _half(here)
        room = np.array(plan) / 2 - half - _WAY
        if (room < 0).any():
            continue
        place = rng.uniform(-room, room)
        if _claim(place, half + _WAY / 2, taken):
            return Thing(name, moved(here, place[0], place[1]))
    return None


def _on_top(
    name: str,
    parts: Parts,
    rng: np.random.Generator,
    tops: Sequence[Thing],
    taken: list[NDArray[np.float64]],
) -> Thing | None:
    """A thing on a table or the like, None where there is no place; `taken` grows."""
    for _ in range(_TRIES if tops else 0):
        low, high = tops[int(rng.integers(len(tops)))].bounds
        here = _centred(turned(parts, "z", between(rng, -40, 40)))
        half = _half(here) + _EDGE
        # Round tops do not fill their boxes.
        room = 0.8 * (high - low)[:2] / 2 - half
        if (room < 0).any():
            continue
        place = (low + high)[:2] / 2 + rng.uniform(-room, room)
        if _claim(place, half, taken):
            return Thing(name, moved(here, place[0], place[1], high[2]))
    return None


def _centred(parts: Parts) -> Parts:
    """The middle of the box over the origin, the lowest point at z = 0."""
    vertices = join(parts).vertices
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    x, y = (low + high)[:2] / -2
    return moved(parts, x, y, -low[2])


def _half(parts: Parts) -> NDArray[np.float64]:
    """(2,) half the length and width of the box, metres."""
    half: NDArray[np.float64] = np.ptp(join(parts).vertices, axis=0)[:2] / 2
    return half


def _claim(
    place: NDArray[np.float64], half: NDArray[np.float64], taken: list[NDArray[np.float64]]
) -> bool:
    """Whether a rectangle is free; it is taken from then on."""
    own = np.concatenate([place - half, place + half])
    if any((own[:2] < t[2:]).all() and (t[:2] < own[2:]).all() for t in taken):
        return False
    taken.append(own)
    return True
