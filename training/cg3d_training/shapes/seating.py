"""Chairs, armchairs, stools, benches and sofas. The front faces +z."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.legs import four_legs, panel_legs, pedestal, sled_legs, star_base
from cg3d_training.shapes.mesh import Parts, mirrored, moved, turned
from cg3d_training.shapes.primitives import (
    bar,
    box,
    cushion,
    cylinder,
    rounded_rectangle,
    slab,
    smooth,
    tube,
)

BACKS = ("panel", "panel", "slats", "ladder", "spindles", "frame", "cushion", "shell")


def chair(rng: np.random.Generator) -> Parts:
    """A dining, kitchen, school or office chair."""
    width, depth = between(rng, 0.38, 0.54), between(rng, 0.38, 0.52)
    height = between(rng, 0.42, 0.5)
    base = pick(rng, ("legs", "legs", "legs", "legs", "star", "sled", "pedestal"))
    if base == "star":
        parts = star_base(rng, between(rng, 0.5, 0.65), height)
    elif base == "sled":
        parts = sled_legs(rng, width, depth, height)
    elif base == "pedestal":
        parts = pedestal(rng, width * 0.95, height)
    else:
        parts = four_legs(rng, width, depth, height, stretchers=0.45)
    thickness = between(rng, 0.02, 0.07)
    parts += _seat(rng, width, depth, thickness, height)
    top = height + thickness
    tall = between(rng, 0.3, 0.6)
    lean = between(rng, 2, 14)
    parts += moved(turned(_back(rng, width, tall), "x", -lean), y=top - 0.015, z=-depth / 2 + 0.02)
    if chance(rng, 0.55 if base == "star" else 0.2):
        parts += _arms(rng, width, depth, top)
    return parts


def _seat(
    rng: np.random.Generator, width: float, depth: float, thickness: float, height: float
) -> Parts:
    shape = pick(rng, ("box", "rounded", "cushion", "waisted"))
    if shape == "box":
        seat = box(width, thickness, depth)
    elif shape == "rounded":
        seat = slab(rounded_rectangle(width, depth, between(rng, 0.05, 0.22)), thickness)
    elif shape == "cushion":
        seat = cushion(width, thickness * 1.6, depth, between(rng, 0.15, 0.35))
    else:  # narrower at the back
        front, back = width / 2, width / 2 * between(rng, 0.75, 0.9)
        outline = [(-front, depth / 2), (front, depth / 2), (back, -depth / 2), (-back, -depth / 2)]
        seat = slab(outline, thickness)
    return [seat.moved(y=height - 0.01)]


def _back(rng: np.random.Generator, width: float, tall: float) -> Parts:
    """A back that stands on y = 0 in the plane z = 0."""
    style = pick(rng, BACKS)
    wide = width * between(rng, 0.8, 1.0)
    post = between(rng, 0.012, 0.022)
    x = wide / 2 - post
    posts = [bar((s * x, 0, 0), (s * x, tall, 0), post) for s in (-1, 1)]
    if style == "panel":
        gap = pick(rng, (0.0, between(rng, 0.25, 0.5) * tall))
        rounded = rounded_rectangle(wide, tall - gap, between(rng, 0.01, 0.12))
        panel = slab(rounded, between(rng, 0.012, 0.04)).turned("x", 90)
        return [panel.moved(y=gap + (tall - gap) / 2), *(posts if gap else [])]
    if style == "cushion":
        return [cushion(wide, tall, between(rng, 0.05, 0.12), 0.3)]
    if style == "shell":
        edge = smooth(
            [(-wide / 2, 0.1), (-wide * 0.25, 0.01), (wide * 0.25, 0.01), (wide / 2, 0.1)], 9
        )
        steps = np.linspace(0, 1, 6)
        columns = [
            tube([(x0, tall * t, z0 + 0.02 * np.sin(3 * t)) for t in steps], wide / 9).scaled(
                z=0.35
            )
            for x0, z0 in edge
        ]
        return list(columns)
    rails: Parts = []
    if style == "ladder":
        count = whole(rng, 2, 5)
        rails = [
            box(2 * x, between(rng, 0.03, 0.07), 0.018).moved(y=tall * (i + 0.6) / (count + 0.1))
            for i in range(count)
        ]
    elif style in ("slats", "spindles"):
        count = whole(rng, 3, 7)
        places = np.linspace(-x, x, count + 2)[1:-1]
        low = between(rng, 0.0, 0.25) * tall
        rails = [box(2 * x, 0.05, 0.022).moved(y=tall - 0.05)]
        if low > 0.06:
            rails.append(box(2 * x, 0.03, 0.02).moved(y=low))
        for place in places:
            if style == "slats":
                rails.append(box(between(rng, 0.02, 0.05), tall - low, 0.012).moved(place, low))
            else:
                rails.append(bar((place, low, 0), (place, tall - 0.02, 0), 0.007))
    else:  # a frame of bent tube with a band
        bend = smooth(
            [
                (-x, 0, 0),
                (-x, tall * 0.8, 0),
                (-x * 0.6, tall, 0),
                (x * 0.6, tall, 0),
                (x, tall * 0.8, 0),
                (x, 0, 0),
            ],
            30,
        )
        band = between(rng, 0.15, 0.5) * tall
        return [tube(bend, post * 0.8), box(2 * x, band, 0.015).moved(y=tall * 0.95 - band)]
    return [*posts, *rails]


def _arms(rng: np.random.Generator, width: float, depth: float, seat: float) -> Parts:
    y = seat + between(rng, 0.16, 0.25)
    x = width / 2 + 0.01
    thick = between(rng, 0.02, 0.04)
    back, front = -depth / 2 + 0.01, depth / 2 * between(rng, 0.5, 0.95)
    rest = box(thick * 1.8, thick, front - back).moved(x, y, (front + back) / 2)
    post = bar((x, seat - 0.03, front - 0.04), (x, y + 0.01, front - 0.04), thick * 0.45)
    return mirrored([rest, post])


def stool(rng: np.random.Generator) -> Parts:
    """A low or bar stool, without a back."""
    tall = chance(rng, 0.45)
    height = between(rng, 0.6, 0.8) if tall else between(rng, 0.38, 0.5)
    wide = between(rng, 0.28, 0.42)
    round_seat = chance(rng, 0.65)
    thickness = between(rng, 0.025, 0.09)
    if round_seat:
        soft = chance(rng, 0.4)
        seat = cushion(wide, thickness * 1.4, wide, 0.99).scaled(y=1.0) if soft else None
        top = seat or cylinder(wide / 2, thickness)
    else:
        top = slab(rounded_rectangle(wide, wide * between(rng, 0.7, 1.0), 0.04), thickness)
    parts: Parts = [top.moved(y=height - 0.01)]
    if chance(rng, 0.25):
        parts += pedestal(rng, wide * between(rng, 1.0, 1.25), height)
    elif round_seat and chance(rng, 0.45):
        parts += _three_legs(rng, wide, height)
    else:
        parts += four_legs(rng, wide * 0.85, wide * 0.85, height, stretchers=0.7)
    if tall and chance(rng, 0.5):
        y = height * between(rng, 0.25, 0.4)
        r = wide * 0.42
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = np.stack([r * np.cos(turn), np.full(24, y), r * np.sin(turn)], axis=1)
        parts.append(tube(ring, 0.01, closed=True))
    return parts


def _three_legs(rng: np.random.Generator, wide: float, height: float) -> Parts:
    foot, head = wide * between(rng, 0.5, 0.62), wide * 0.3
    leg = bar((foot, 0, 0), (head, height, 0), between(rng, 0.012, 0.022), 1.2)
    legs = [leg.turned("y", 120.0 * i + 30) for i in range(3)]
    if chance(rng, 0.6):
        y = height * 0.4
        r = foot + (head - foot) * 0.4
        rung = bar((r, y, 0), (r * np.cos(2.0944), y, r * np.sin(2.0944)), 0.009)
        legs += [rung.turned("y", 120.0 * i + 30) for i in range(3)]
    return legs


def bench(rng: np.random.Generator) -> Parts:
    """A garden or hall bench, with or without a back."""
    width, depth = between(rng, 1.0, 1.9), between(rng, 0.32, 0.5)
    height = between(rng, 0.4, 0.48)
    t = between(rng, 0.025, 0.05)
    parts: Parts = []
    if chance(rng, 0.6):  # boards
        count = whole(rng, 3, 6)
        board = depth / count
        parts += [
            box(width, t, board * 0.85).moved(0, height, -depth / 2 + board * (i + 0.5))
            for i in range(count)
        ]
        parts += [box(t, t, depth).moved(s * width * 0.42, height - t + 0.01) for s in (-1, 1)]
    else:
        parts.append(box(width, t, depth).moved(y=height))
    base = pick(rng, ("legs", "panels", "sled"))
    if base == "legs":
        parts += four_legs(rng, width * 0.9, depth * 0.9, height + 0.005, stretchers=0.4)
    elif base == "panels":
        parts += panel_legs(rng, width * 0.92, depth, height + 0.005)
    else:
        parts += sled_legs(rng, width * 0.9, depth, height + 0.005)
    if chance(rng, 0.6):
        tall = between(rng, 0.3, 0.5)
        count = whole(rng, 2, 4)
        back: Parts = [
            box(width, tall / count * 0.7, t * 0.7).moved(y=tall * (i + 0.3) / count)
            for i in range(count)
        ]
        back += [box(0.04, tall, 0.04).moved(s * width * 0.44, 0, -0.02) for s in (-1, 1)]
        parts += moved(turned(back, "x", -between(rng, 5, 16)), y=height, z=-depth / 2)
        if chance(rng, 0.5):
            parts += _arms(rng, width - 0.05, depth, height + t)
    return parts


def sofa(rng: np.random.Generator) -> Parts:
    """A sofa of two to four seats, some with a chaise."""
    seats = whole(rng, 2, 4)
    return _upholstered(rng, seats * between(rng, 0.55, 0.68), seats)


def armchair(rng: np.random.Generator) -> Parts:
    """An upholstered chair for one."""
    return _upholstered(rng, between(rng, 0.5, 0.65), 1)


def _upholstered(rng: np.random.Generator, inner: float, seats: int) -> Parts:
    depth = between(rng, 0.75, 1.0)
    floor = pick(rng, (0.0, between(rng, 0.06, 0.18)))
    base = between(rng, 0.18, 0.3)
    pad = between(rng, 0.1, 0.2)
    back_depth = between(rng, 0.12, 0.25)
    back = between(rng, 0.3, 0.5)
    arm = between(rng, 0.1, 0.25)
    arm_height = base + pad + between(rng, 0.05, 0.25)
    total = inner + 2 * arm
    soft = between(rng, 0.12, 0.4)
    seat_depth = depth - back_depth
    parts: Parts = [box(inner + 0.02, base, depth * 0.96).moved(y=floor)]
    place = (np.arange(seats) - (seats - 1) / 2) * inner / seats
    for x in place:
        seat = cushion(inner / seats, pad, seat_depth, soft)
        parts.append(seat.moved(x, floor + base - 0.02, back_depth / 2 + 0.01))
    lean = between(rng, 3, 14)
    single = chance(rng, 0.4)
    for x in [0.0] if single else place:
        wide = inner if single else inner / seats
        pillow = cushion(wide, back, back_depth, soft).turned("x", -lean)
        parts.append(pillow.moved(x, floor + base + pad * 0.5, -seat_depth / 2 + 0.02))
    if chance(rng, 0.75):
        frame = cushion(total * 0.98, base + pad + back * between(rng, 0.6, 0.95), 0.12, 0.12)
        parts.append(frame.moved(y=floor, z=-depth / 2 + 0.05))
    style = pick(rng, ("box", "round", "roll"))
    x = inner / 2 + arm / 2
    if style == "roll":
        body = box(arm * 0.7, arm_height - arm * 0.3, depth * 0.95).moved(x, floor)
        roll = cylinder(arm * 0.55, depth * 0.95, 20).turned("x", 90)
        arms: Parts = [body, roll.moved(x, floor + arm_height - arm * 0.3, -depth * 0.475)]
    else:
        arms = [cushion(arm, arm_height, depth * 0.97, 0.12 if style == "box" else 0.4)]
        arms = moved(arms, x, floor)
    parts += mirrored(arms)
    if floor:
        style = pick(rng, ("square", "tapered", "round"))
        parts += four_legs(rng, total * 0.92, depth * 0.88, floor + 0.01, style, stretchers=0.0)
    if seats >= 3 and chance(rng, 0.25):  # a chaise on one side
        side = pick(rng, (-1, 1))
        long = between(rng, 0.5, 0.8)
        wide = inner / seats
        z = depth / 2 + long / 2 - 0.05
        parts.append(box(wide, base, long).moved(side * place[-1], floor, z))
        parts.append(cushion(wide, pad, long, soft).moved(side * place[-1], floor + base - 0.02, z))
    return parts
