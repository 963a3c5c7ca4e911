"""Tables and desks."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.legs import four_legs, panel_legs, pedestal, sled_legs
from cg3d_training.shapes.mesh import Parts
from cg3d_training.shapes.primitives import (
    ball,
    beam,
    box,
    cylinder,
    rounded_rectangle,
    slab,
)


def table(rng: np.random.Generator) -> Parts:
    """A dining, side or coffee table."""
    low = chance(rng, 0.35)
    height = between(rng, 0.33, 0.5) if low else between(rng, 0.68, 0.78)
    thickness = between(rng, 0.02, 0.06)
    if chance(rng, 0.35):
        return _round_table(rng, height, thickness, low)
    width = between(rng, 0.6, 1.3) if low else between(rng, 0.8, 2.0)
    depth = between(rng, 0.45, 0.75) if low else between(rng, 0.65, 1.0)
    depth = min(depth, width)
    corner = pick(rng, (0.0, between(rng, 0.02, 0.2)))
    top = (
        slab(rounded_rectangle(width, depth, corner), thickness)
        if corner
        else box(width, thickness, depth)
    )
    parts: Parts = [top.moved(y=height - thickness)]
    room = height - thickness + 0.005
    base = pick(rng, ("legs", "legs", "legs", "panels", "sled", "trestle", "pedestal"))
    inset = between(rng, 0.9, 0.99)
    if base == "legs":
        parts += four_legs(rng, width * inset, depth * inset, room, stretchers=0.2)
        if chance(rng, 0.5):  # an apron under the top
            tall = between(rng, 0.05, 0.12)
            for s in (-1, 1):
                parts.append(
                    box(width * inset * 0.92, tall, 0.02).moved(
                        0, room - tall, s * depth * inset * 0.44
                    )
                )
                parts.append(
                    box(0.02, tall, depth * inset * 0.9).moved(
                        s * width * inset * 0.45, room - tall
                    )
                )
    elif base == "panels":
        parts += panel_legs(rng, width * inset, depth * inset, room)
    elif base == "sled":
        parts += sled_legs(rng, width * inset, depth * inset, room)
    elif base == "trestle":
        parts += _trestle(rng, width, depth, room)
    else:
        parts += pedestal(rng, min(width, depth) * between(rng, 0.55, 0.8), room)
    if low and chance(rng, 0.35):
        parts.append(box(width * 0.82, 0.02, depth * 0.8).moved(y=height * between(rng, 0.2, 0.4)))
    return parts


def _round_table(rng: np.random.Generator, height: float, thickness: float, low: bool) -> Parts:
    radius = between(rng, 0.22, 0.55) if low else between(rng, 0.3, 0.7)
    top = cylinder(radius, thickness, 40)
    stretched = pick(rng, (1.0, 1.0, between(rng, 1.2, 1.7)))
    parts: Parts = [top.scaled(x=stretched).moved(y=height - thickness)]
    room = height - thickness + 0.005
    if chance(rng, 0.6):
        parts += pedestal(rng, radius * between(rng, 0.9, 1.4), room)
    else:
        parts += four_legs(rng, radius * 1.35 * stretched, radius * 1.35, room, stretchers=0.25)
    return parts


def _trestle(rng: np.random.Generator, width: float, depth: float, room: float) -> Parts:
    x, spread, t = width * between(rng, 0.3, 0.42), depth * 0.4, between(rng, 0.04, 0.08)
    parts: Parts = []
    for s in (-1, 1):
        for a, b in ((-1, 1), (1, -1)):
            leg = beam((0, 0, a * spread), (0, room, b * spread * 0.8), t, t)
            parts.append(leg.moved(s * x))
    parts.append(box(2 * x, t * 0.8, t * 0.8).moved(y=room * 0.45))
    return parts


def desk(rng: np.random.Generator) -> Parts:
    """A desk: drawers on one side or both, a modesty panel, a hutch, or an L."""
    width, depth = between(rng, 1.0, 1.8), between(rng, 0.5, 0.8)
    height, t = between(rng, 0.7, 0.78), between(rng, 0.02, 0.045)
    parts: Parts = [box(width, t, depth).moved(y=height - t)]
    room = height - t + 0.005
    sides = pick(rng, ((-1,), (1,), (-1, 1), ()))
    cabinet = between(rng, 0.32, 0.45)
    x = width / 2 - cabinet / 2 - 0.02
    for side in sides:
        parts += drawers(rng, cabinet, room, depth * 0.92, side * x)
    if not sides:
        parts += (
            four_legs(rng, width * 0.96, depth * 0.92, room, stretchers=0.1)
            if chance(rng, 0.6)
            else panel_legs(rng, width, depth, room)
        )
        if chance(rng, 0.7):  # a shallow drawer under the top
            tall = between(rng, 0.07, 0.12)
            parts.append(box(width * 0.5, tall, depth * 0.7).moved(y=room - tall))
    elif len(sides) == 1:
        free = -sides[0]
        if chance(rng, 0.5):
            parts.append(box(t, room, depth * 0.92).moved(free * (width / 2 - t)))
        else:
            for s in (-1, 1):
                leg = box(0.045, room, 0.045)
                parts.append(leg.moved(free * (width / 2 - 0.05), 0, s * (depth / 2 - 0.05)))
    if chance(rng, 0.5):
        tall = between(rng, 0.25, 0.6) * room
        parts.append(box(width * 0.94, tall, 0.018).moved(0, room - tall, -depth * 0.42))
    if chance(rng, 0.2):  # a hutch
        up, deep = between(rng, 0.25, 0.5), depth * 0.35
        z = -depth / 2 + deep / 2
        parts += [box(t, up, deep).moved(s * (width / 2 - t / 2), height, z) for s in (-1, 0, 1)]
        parts.append(box(width, t, deep).moved(0, height + up, z))
        parts.append(box(width, up, 0.012).moved(0, height, -depth / 2 + 0.006))
    if chance(rng, 0.2):  # an L
        side, wing = pick(rng, (-1, 1)), between(rng, 0.5, 0.8)
        deep = depth * 0.85
        x, z = side * (width / 2 - deep / 2), depth / 2 + wing / 2
        parts.append(box(deep, t, wing).moved(x, height - t, z))
        parts.append(box(deep * 0.9, room, t).moved(x, 0, z + wing / 2 - t))
    return parts


def drawers(rng: np.random.Generator, width: float, height: float, depth: float, x: float) -> Parts:
    """A block of drawers with fronts and handles."""
    parts: Parts = [box(width, height, depth).moved(x)]
    count = whole(rng, 2, 4)
    tall = (height - 0.06) / count
    for i in range(count):
        y = 0.05 + tall * i
        parts.append(box(width * 0.94, tall * 0.92, 0.02).moved(x, y, depth / 2 + 0.008))
        if chance(rng, 0.5):
            parts.append(box(width * 0.35, 0.015, 0.03).moved(x, y + tall * 0.45, depth / 2 + 0.03))
        else:
            parts.append(ball(0.016).moved(x, y + tall * 0.4, depth / 2 + 0.03))
    return parts
