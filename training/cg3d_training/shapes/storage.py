"""Shelves, cabinets, dressers, nightstands, wardrobes and TV stands."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.legs import four_legs
from cg3d_training.shapes.mesh import Parts, moved
from cg3d_training.shapes.primitives import ball, box


def bookcase(rng: np.random.Generator) -> Parts:
    """An open case of shelves, empty or with books."""
    height, width = between(rng, 0.9, 2.2), between(rng, 0.5, 1.4)
    depth, t = between(rng, 0.22, 0.4), between(rng, 0.016, 0.035)
    floor = pick(rng, (0.0, 0.0, between(rng, 0.04, 0.12)))
    parts = _case(width, height, depth, t, back=chance(rng, 0.7))
    rows = max(2, round(height / between(rng, 0.26, 0.42)))
    columns = max(1, round(width / between(rng, 0.5, 0.9)))
    gap = (height - t) / rows
    parts += [box(width - t, t, depth * 0.98).moved(y=gap * i) for i in range(1, rows)]
    for i in range(1, columns):
        parts.append(box(t, height - t, depth * 0.98).moved(-width / 2 + width * i / columns))
    full = pick(rng, (0.0, 0.0, 0.4, 0.8))
    for row in range(rows):
        for column in range(columns):
            if chance(rng, full):
                left = -width / 2 + width * column / columns + t
                parts += _books(rng, left, gap * row + t, width / columns - 2 * t, gap - t, depth)
    if floor:
        parts = moved(parts, y=floor) + four_legs(rng, width * 0.95, depth, floor + 0.01, "square")
    return parts


def _case(width: float, height: float, depth: float, t: float, *, back: bool) -> Parts:
    """A box open at the front."""
    parts: Parts = [box(t, height, depth).moved(s * (width / 2 - t / 2)) for s in (-1, 1)]
    parts += [box(width - t, t, depth).moved(y=y) for y in (0.0, height - t)]
    if back:
        parts.append(box(width - t, height - t, 0.008).moved(0, t / 2, -depth / 2 + 0.006))
    return parts


def _books(
    rng: np.random.Generator, left: float, y: float, room: float, height: float, depth: float
) -> Parts:
    parts: Parts = []
    x, end = left, left + room * between(rng, 0.5, 1.0)
    while x < end - 0.02:
        thick = between(rng, 0.018, 0.05)
        tall, deep = height * between(rng, 0.6, 0.9), depth * between(rng, 0.6, 0.85)
        book = box(thick * 0.95, tall, deep)
        parts.append(book.moved(x + thick / 2, y - 0.002, (depth - deep) * -0.35))
        x += thick
    return parts


def _fronts(
    rng: np.random.Generator,
    width: float,
    height: float,
    depth: float,
    columns: int,
    rows: int,
) -> Parts:
    """Door or drawer fronts in a grid, each with a knob or a bar."""
    parts: Parts = []
    wide, tall = width / columns, height / rows
    knob = chance(rng, 0.5)
    z = depth / 2
    for column in range(columns):
        for row in range(rows):
            x, y = -width / 2 + wide * (column + 0.5), tall * row
            parts.append(box(wide * 0.95, tall * 0.94, 0.02).moved(x, y + tall * 0.03, z + 0.005))
            door = tall > wide * 1.2
            # Doors are opened at the side away from their hinges, drawers in the middle.
            inner = 0.38 * wide * (1 if column < columns / 2 else -1) if door else 0.0
            if knob:
                parts.append(ball(0.016).moved(x + inner, y + tall * 0.5, z + 0.028))
            elif door:
                parts.append(box(0.015, 0.14, 0.03).moved(x + inner, y + tall * 0.45, z + 0.025))
            else:
                parts.append(box(wide * 0.3, 0.015, 0.03).moved(x, y + tall * 0.55, z + 0.025))
    return parts


def _cabinet(
    rng: np.random.Generator,
    width: float,
    height: float,
    depth: float,
    columns: int,
    rows: int,
    legs: float,
) -> Parts:
    floor = pick(rng, (0.0, between(rng, 0.05, legs))) if legs else 0.0
    parts: Parts = [box(width, height, depth)]
    parts += moved(_fronts(rng, width * 0.97, height * 0.95, depth, columns, rows), y=height * 0.02)
    if chance(rng, 0.5):  # a top that stands out
        parts.append(box(width * 1.04, 0.025, depth * 1.06).moved(y=height - 0.005))
    if floor:
        style = pick(rng, ("square", "tapered", "splayed", "round"))
        legs_below = four_legs(rng, width * 0.95, depth * 0.92, floor + 0.01, style, stretchers=0.0)
        parts = moved(parts, y=floor) + legs_below
    return parts


def dresser(rng: np.random.Generator) -> Parts:
    """A chest of drawers, some with a mirror."""
    width, height = between(rng, 0.7, 1.6), between(rng, 0.7, 1.2)
    depth = between(rng, 0.4, 0.55)
    columns = 1 if width < 0.95 else pick(rng, (2, 2, 3))
    parts = _cabinet(rng, width, height, depth, columns, whole(rng, 3, 5), 0.2)
    if chance(rng, 0.2):
        top = max(float(part.vertices[:, 1].max()) for part in parts)
        mirror = box(width * 0.6, between(rng, 0.5, 0.8), 0.03)
        parts.append(mirror.moved(0, top - 0.005, -depth / 2 + 0.03))
    return parts


def nightstand(rng: np.random.Generator) -> Parts:
    """A small bedside cabinet."""
    width, depth = between(rng, 0.38, 0.6), between(rng, 0.33, 0.48)
    height = between(rng, 0.4, 0.65)
    if chance(rng, 0.6):
        return _cabinet(rng, width, height, depth, 1, whole(rng, 1, 3), 0.25)
    t = 0.02  # an open shelf below a drawer
    parts = _case(width, height, depth, t, back=True)
    drawer = height * between(rng, 0.3, 0.45)
    parts.append(box(width - t, drawer, depth * 0.97).moved(y=height - drawer))
    fronts = _fronts(rng, width - 2 * t, drawer, depth, 1, 1)
    return parts + moved(fronts, y=height - drawer - t)


def wardrobe(rng: np.random.Generator) -> Parts:
    """A tall cupboard for clothes, some with drawers below the doors."""
    width, height = between(rng, 0.8, 2.2), between(rng, 1.8, 2.3)
    depth = between(rng, 0.5, 0.65)
    columns = max(2, round(width / between(rng, 0.42, 0.6)))
    low = pick(rng, (0.0, between(rng, 0.25, 0.5)))
    parts: Parts = [box(width, height, depth)]
    parts += moved(_fronts(rng, width * 0.98, height - low - 0.06, depth, columns, 1), y=low + 0.03)
    if low:
        drawers = _fronts(rng, width * 0.98, low, depth, max(1, columns // 2), pick(rng, (1, 2)))
        parts += moved(drawers, y=0.03)
    if chance(rng, 0.4):  # a cornice
        parts.append(box(width * 1.05, 0.06, depth * 1.08).moved(y=height - 0.01))
    if chance(rng, 0.3):
        legs = four_legs(rng, width * 0.95, depth * 0.92, 0.11, "square", stretchers=0.0)
        parts = moved(parts, y=0.1) + legs
    return parts


def cabinet(rng: np.random.Generator) -> Parts:
    """A cupboard with doors, low or tall, some with a glass part above left open."""
    width, height = between(rng, 0.5, 1.6), between(rng, 0.7, 1.5)
    depth = between(rng, 0.33, 0.55)
    columns = max(1, round(width / between(rng, 0.4, 0.6)))
    parts = _cabinet(rng, width, height, depth, columns, pick(rng, (1, 1, 2)), 0.2)
    if chance(rng, 0.3):
        up, t = between(rng, 0.5, 0.9), 0.02
        top = max(float(part.vertices[:, 1].max()) for part in parts) - 0.005
        upper = _case(width * 0.96, up, depth * 0.6, t, back=True)
        upper.append(box(width * 0.94, t, depth * 0.58).moved(y=up / 2))
        parts += moved(upper, y=top, z=-depth * 0.18)
    return parts


def tv_stand(rng: np.random.Generator) -> Parts:
    """A long low cabinet with open and closed parts."""
    width, height = between(rng, 1.0, 2.0), between(rng, 0.35, 0.6)
    depth, t = between(rng, 0.35, 0.5), between(rng, 0.018, 0.04)
    columns = whole(rng, 2, 4)
    parts = _case(width, height, depth, t, back=chance(rng, 0.8))
    wide = (width - 2 * t) / columns
    for i in range(columns):
        x = -width / 2 + t + wide * (i + 0.5)
        if i:
            parts.append(box(t, height - t, depth * 0.97).moved(x - wide / 2))
        if chance(rng, 0.5):
            parts.append(box(wide, height - t, depth * 0.96).moved(x))
            parts += moved(
                _fronts(rng, wide, height - 2 * t, depth * 0.94, 1, pick(rng, (1, 2))), x, t
            )
        else:
            parts.append(box(wide, t, depth * 0.95).moved(x, height * between(rng, 0.4, 0.6)))
    if chance(rng, 0.6):
        floor = between(rng, 0.06, 0.2)
        legs = four_legs(rng, width * 0.9, depth * 0.85, floor + 0.01, stretchers=0.0)
        parts = moved(parts, y=floor) + legs
    return parts
