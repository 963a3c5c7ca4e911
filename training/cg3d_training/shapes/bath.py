"""Toilets, bathtubs and sinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cg3d_training.shapes.draw import between, chance, pick
from cg3d_training.shapes.mesh import Mesh, Parts, moved, turned
from cg3d_training.shapes.primitives import (
    box,
    cushion,
    cylinder,
    loft,
    rounded_rectangle,
    slab,
    smooth,
    tube,
)


def _oval(width: float, front: float, back: float, power: float = 1.0) -> NDArray[np.float64]:
    """(32, 2) outline in x, z: half an ellipse to the front, another to the back."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x, z = np.cos(angle), np.sin(angle)
    x = np.sign(x) * np.abs(x) ** power
    z = np.sign(z) * np.abs(z) ** power
    return np.stack([x * width / 2, np.where(z > 0, z * front, z * back)], axis=1)


def _basin(outline: NDArray[np.float64], steps: list[tuple[float, float]]) -> Mesh:
    """A skin over an outline in x, z: each step is (scale of the outline, y)."""
    return loft([np.insert(outline * scale, 1, y, axis=1) for scale, y in steps])


def toilet(rng: np.random.Generator) -> Parts:
    """A bowl with its seat, lid and, most times, a cistern."""
    height, width = between(rng, 0.37, 0.43), between(rng, 0.33, 0.4)
    front, back = between(rng, 0.26, 0.34), between(rng, 0.18, 0.24)
    rim = _oval(width, front, back)
    hung = chance(rng, 0.2)
    foot = between(rng, 0.55, 0.75)
    steps = [(foot, 0.0), (foot * 0.95, height * 0.3), (0.8, height * 0.65), (1.0, height * 0.95)]
    if hung:
        steps = [(0.45, height * 0.35), (0.8, height * 0.6), (1.0, height * 0.9)]
    steps += [(1.0, height), (0.78, height), (0.6, height * 0.75), (0.25, height * 0.6)]
    parts: Parts = [_basin(rim, steps)]
    seat = [(1.04, height), (1.04, height + 0.02), (0.72, height + 0.02), (0.72, height)]
    parts.append(
        loft([np.insert(rim * s, 1, y, axis=1) for s, y in [*seat, seat[0]]], capped=False)
    )
    lid = slab(rim * 1.04, 0.02)
    if chance(rng, 0.6):  # open, leaning on the cistern
        up = turned(moved([lid], z=back), "x", -between(rng, 92, 100))
        parts += moved(up, y=height + 0.03, z=-back + 0.02)
    else:
        parts.append(lid.moved(y=height + 0.02))
    if chance(rng, 0.8):
        tall, deep = between(rng, 0.32, 0.42), between(rng, 0.15, 0.2)
        wide = between(rng, 0.36, 0.46)
        z = -back - deep / 2 + 0.01
        tank = cushion(wide, tall, deep, between(rng, 0.1, 0.2))
        parts.append(tank.moved(0, height - 0.03, z))
        parts.append(box(wide * 1.04, 0.03, deep * 1.06).moved(0, height + tall - 0.04, z))
        parts.append(cylinder(0.02, 0.02, 12).moved(0, height + tall - 0.012, z))
        if not hung:
            parts.append(box(width * 0.6, height, deep).moved(z=z + 0.03))
    return parts


def bathtub(rng: np.random.Generator) -> Parts:
    """A tub: built in, free and round, or on feet; some with a tap."""
    length, width = between(rng, 1.4, 1.85), between(rng, 0.68, 0.85)
    height = between(rng, 0.45, 0.65)
    style = pick(rng, ("built in", "free", "feet"))
    half = length / 2
    wall = between(rng, 0.85, 0.92)
    inside = [(wall, height), (wall * 0.92, height * 0.5), (wall * 0.75, height * 0.2)]
    inside.append((wall * 0.6, height * 0.16))
    if style == "built in":
        outline = rounded_rectangle(width, length, 0.05)
        parts: Parts = [_basin(outline, [(1.0, 0.0), (1.0, height), *inside])]
    else:
        power = between(rng, 0.55, 0.95)
        outline = _oval(width, half, half, power)
        belly = between(rng, 0.6, 0.85)
        steps = [(belly, 0.0), (belly * 1.08, height * 0.3), (1.0, height * 0.97)]
        parts = [_basin(outline, [*steps, (1.03, height), *inside])]
        if chance(rng, 0.4):  # one end rises
            rise = between(rng, 0.1, 0.25)
            v = parts[0].vertices.copy()
            v[:, 1] *= 1.0 + rise * np.clip(-v[:, 2] / half, 0, 1) ** 2
            parts = [Mesh(v, parts[0].faces)]
        if style == "feet":
            parts = moved(parts, y=0.12)
            foot = tube(
                smooth([(0, 0.16, 0), (0.05, 0.1, 0), (0.03, 0.03, 0), (0.07, 0.01, 0)]), 0.022
            )
            for sx in (-1, 1):
                for sz in (-1, 1):
                    place = (sx * width * 0.24, 0.0, sz * half * 0.55)
                    parts.append(foot.scaled(x=float(sx)).moved(*place))
    if chance(rng, 0.5):
        y = max(float(part.vertices[:, 1].max()) for part in parts)
        parts += moved(turned(_tap(rng), "y", 180), y=height + (y - height) * 0.2, z=half * 0.93)
    return [part.turned("y", 90) for part in parts]


def _tap(rng: np.random.Generator) -> Parts:
    """A tap that bows over towards +z."""
    high, reach = between(rng, 0.1, 0.28), between(rng, 0.1, 0.2)
    bow = smooth(
        [(0, -0.02, 0), (0, high * 0.8, 0), (0, high, reach * 0.4), (0, high * 0.8, reach)], 16
    )
    parts: Parts = [tube(bow, 0.012), cylinder(0.025, 0.015, 16)]
    if chance(rng, 0.5):
        parts += [cylinder(0.018, 0.06, 12).moved(s * 0.08, -0.01) for s in (-1, 1)]
    else:
        parts.append(tube([(0, high * 0.4, 0), (0.06, high * 0.55, 0)], 0.008))
    return parts


def sink(rng: np.random.Generator) -> Parts:
    """A washbasin on a column, on a cabinet or on the wall, or a kitchen sink."""
    style = pick(rng, ("column", "cabinet", "wall", "kitchen"))
    deep = between(rng, 0.11, 0.2)
    if style == "kitchen":
        width, depth = between(rng, 0.5, 1.1), between(rng, 0.42, 0.52)
        bowls = 2 if width > 0.75 else 1
        parts: Parts = []
        wide = width / bowls
        rim = rounded_rectangle(wide, depth, 0.02)
        for i in range(bowls):
            shape = _basin(
                rim,
                [
                    (0.86, 0.0),
                    (0.88, deep * 0.97),
                    (1.0, deep * 0.98),
                    (1.0, deep),
                    (0.85, deep),
                    (0.8, deep * 0.1),
                ],
            )
            parts.append(shape.moved((i - (bowls - 1) / 2) * wide))
        return parts + moved(_tap(rng), y=deep, z=-depth * 0.46)
    width, depth = between(rng, 0.42, 0.65), between(rng, 0.36, 0.5)
    outline = (
        _oval(width, depth / 2, depth / 2, between(rng, 0.6, 1.0))
        if chance(rng, 0.6)
        else rounded_rectangle(width, depth, between(rng, 0.02, 0.1))
    )
    low = between(rng, 0.45, 0.85)
    basin = _basin(
        outline,
        [
            (low, 0.0),
            (low + 0.1, deep * 0.4),
            (1.0, deep * 0.95),
            (1.0, deep),
            (0.85, deep),
            (0.7, deep * 0.5),
            (0.3, deep * 0.25),
        ],
    )
    parts = [basin, *moved(_tap(rng), y=deep - 0.002, z=-depth * 0.42)]
    if style == "wall":
        return parts
    room = between(rng, 0.62, 0.75)
    parts = moved(parts, y=room)
    if style == "column":
        waist = between(rng, 0.06, 0.1)
        rings = [(waist * 1.3, 0.0), (waist, room * 0.4), (waist * 1.2, room + 0.03)]
        circle = _oval(2.0, 1.0, 1.0)
        return [*parts, _basin(circle, rings)]
    wide, long = width * between(rng, 1.0, 1.6), depth * between(rng, 1.0, 1.1)
    parts.append(box(wide, room + 0.01, long))
    for s in (-1, 1):
        parts.append(
            box(wide * 0.46, room * 0.85, 0.02).moved(s * wide * 0.24, 0.05, long / 2 + 0.006)
        )
        parts.append(box(0.014, 0.12, 0.03).moved(s * wide * 0.06, room * 0.45, long / 2 + 0.025))
    return parts
