"""Lamps: on a table, on the floor, hanging, for a desk."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.mesh import Parts, moved, turned
from cg3d_training.shapes.primitives import ball, bar, cushion, cylinder, lathe, smooth, tube


def lamp(rng: np.random.Generator) -> Parts:
    """A table, floor, hanging or desk lamp."""
    return pick(rng, (table_lamp, table_lamp, floor_lamp, hanging_lamp, desk_lamp))(rng)


def table_lamp(rng: np.random.Generator) -> Parts:
    """A shade on a body of one's own fancy."""
    body = between(rng, 0.18, 0.4)
    style = pick(rng, ("turned", "column", "ball", "cone"))
    r = body * between(rng, 0.2, 0.4)
    if style == "turned":
        inner = [(r * between(rng, 0.3, 1.0), body * y) for y in (0.15, 0.4, 0.65, 0.85)]
        profile = smooth([(r, 0.0), *inner, (r * 0.2, body)], 26)
        parts: Parts = [lathe([(0, 0), *np.maximum(profile, 0.004), (0, body)])]
    elif style == "column":
        parts = [cylinder(r, 0.02), cylinder(r * between(rng, 0.1, 0.5), body)]
    elif style == "ball":
        parts = [cylinder(r * 0.7, 0.02), ball(r).moved(y=0.015), cylinder(r * 0.15, body)]
    else:
        parts = [lathe([(0, 0), (r, 0), (r * 0.2, body), (0, body)])]
    wide = between(rng, 0.1, 0.2)
    parts += moved(_shade(rng, wide), y=body - wide * 0.25)
    parts.append(cylinder(0.008, wide * 0.8).moved(y=body - 0.005))
    return parts


def _shade(rng: np.random.Generator, r: float) -> Parts:
    """A shade of thin cloth or glass that is widest near y = 0."""
    height = r * between(rng, 0.9, 1.7)
    style = pick(rng, ("cone", "cone", "drum", "globe", "bell", "square"))
    if style == "globe":
        return [ball(r * 0.8).moved(y=0.0)]
    top = r * (between(rng, 0.9, 1.0) if style == "drum" else between(rng, 0.35, 0.75))
    if style == "bell":
        profile = smooth([(r, 0.0), (r * 0.55, height * 0.45), (top * 0.7, height)], 12)
    else:
        profile = np.array([(r, 0.0), (top, height)])
    wall = 0.004
    ring = np.concatenate([profile, profile[::-1] - [wall, 0.0], profile[:1]])
    if style == "square":
        return [lathe(ring * [1.3, 1.0], 4).turned("y", 45)]
    return [lathe(ring)]


def floor_lamp(rng: np.random.Generator) -> Parts:
    """A tall lamp: straight, on three legs, or a bow over the sofa."""
    height = between(rng, 1.3, 1.8)
    style = pick(rng, ("straight", "straight", "tripod", "bow"))
    r = between(rng, 0.12, 0.2)
    wide = between(rng, 0.15, 0.28)
    if style == "bow":
        reach = between(rng, 0.6, 1.1)
        path = smooth(
            [
                (0, 0.02, 0),
                (0.02, height * 0.6, 0),
                (reach * 0.4, height, 0),
                (reach * 0.8, height * 0.97, 0),
                (reach, height * 0.85, 0),
            ],
            26,
        )
        hood = moved(_hood(rng, wide * 0.8), reach, height * 0.85 - wide * 0.8)
        return [tube(path, 0.012), cylinder(r, 0.05), *hood]
    if style == "tripod":
        foot = between(rng, 0.22, 0.35)
        leg = bar((foot, 0, 0), (0.02, height * 0.95, 0), 0.014)
        parts: Parts = [leg.turned("y", 120.0 * i) for i in range(3)]
    else:
        parts = [cylinder(0.012, height), cylinder(r, between(rng, 0.015, 0.04))]
    return parts + moved(_shade(rng, wide), y=height - wide * 0.5)


def _hood(rng: np.random.Generator, r: float) -> Parts:
    """A shade that is open below only, its top at y = about r."""
    height = r * between(rng, 0.7, 1.3)
    bulge = between(rng, 0.5, 0.95)
    outside = smooth([(r, 0.0), (r * bulge, height * 0.55), (r * 0.12, height)], 14)
    inside = outside[::-1] - [0.004, 0.004]
    ring = np.concatenate([outside, [(0.0, height)], [(0.0, height - 0.004)], inside])
    ring = np.concatenate([ring.clip(min=0.0), outside[:1]])
    return moved([lathe(ring)], y=r - height)


def hanging_lamp(rng: np.random.Generator) -> Parts:
    """A lamp on a cord from the ceiling, or a chandelier of several."""
    drop = between(rng, 0.25, 0.9)
    rose = cylinder(between(rng, 0.04, 0.07), 0.03).moved(y=drop)
    if chance(rng, 0.25):
        count, reach = whole(rng, 3, 7), between(rng, 0.2, 0.35)
        arm = smooth([(0, 0.1, 0), (reach * 0.5, 0.0, 0), (reach, 0.08, 0)], 12)
        small = [tube(arm, 0.008), *moved(_shade(rng, 0.06), reach, 0.07)]
        parts: Parts = [
            rose,
            bar((0, 0.05, 0), (0, drop + 0.01, 0), 0.008),
            ball(0.04).moved(y=0.05),
        ]
        for i in range(count):
            parts += turned(small, "y", 360 / count * i)
        return parts
    wide = between(rng, 0.12, 0.28)
    shade = _hood(rng, wide) if chance(rng, 0.7) else _shade(rng, wide)
    top = max(float(part.vertices[:, 1].max()) for part in shade)
    cord = bar((0, top - 0.005, 0), (0, top + drop, 0), 0.005)
    bulb = ball(0.035).moved(y=top * 0.3)
    return [*shade, cord, bulb, *moved([rose], y=top)]


def desk_lamp(rng: np.random.Generator) -> Parts:
    """A lamp on a jointed arm, or a bent neck."""
    base = cylinder(between(rng, 0.07, 0.1), 0.025)
    r = between(rng, 0.05, 0.085)
    lower, upper = between(rng, 0.2, 0.32), between(rng, 0.2, 0.32)
    lean = np.radians(between(rng, 5, 30))
    elbow = np.array([-lower * np.sin(lean), lower * np.cos(lean), 0.0])
    rise = np.radians(between(rng, 10, 50))
    end = elbow + upper * np.array([np.cos(rise), np.sin(rise), 0.0])
    if chance(rng, 0.35):
        middle = elbow + np.array([0.0, upper * 0.6, 0.0])
        parts: Parts = [base, tube(smooth([(0, 0.02, 0), elbow, middle, end], 22), 0.008)]
    else:
        parts = [
            base,
            bar((0, 0.02, 0), elbow.tolist(), 0.009),
            bar(elbow.tolist(), end.tolist(), 0.009),
        ]
        parts.append(cushion(0.035, 0.035, 0.03, 0.9).moved(elbow[0], elbow[1] - 0.017))
    head = turned(moved(_hood(rng, r), y=-r), "z", between(rng, 10, 50))
    return parts + moved(head, float(end[0]), float(end[1]) + 0.01)
