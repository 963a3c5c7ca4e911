"""Beds. The head is at -z."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.legs import four_legs
from cg3d_training.shapes.mesh import Parts
from cg3d_training.shapes.primitives import bar, box, cushion, cylinder, prism, rounded_rectangle


def bed(rng: np.random.Generator) -> Parts:
    """A single or double bed; now and then a bunk bed."""
    width, length = pick(rng, (0.9, 1.0, 1.4, 1.6, 1.8)), between(rng, 1.9, 2.15)
    width *= between(rng, 0.95, 1.05)
    if width < 1.1 and chance(rng, 0.2):
        return _bunk_bed(rng, width, length)
    rail = between(rng, 0.2, 0.4)
    parts: Parts = []
    if chance(rng, 0.5):
        parts.append(box(width, rail, length))
    else:
        low = rail * between(rng, 0.3, 0.6)
        parts.append(box(width, rail - low, length).moved(y=low))
        parts += four_legs(rng, width * 0.98, length * 0.98, low + 0.01, stretchers=0.0)
    parts += _bedding(rng, width, length, rail)
    parts += _board(rng, width * 1.03, rail + between(rng, 0.3, 0.8), -length / 2)
    if chance(rng, 0.45):
        parts += _board(rng, width * 1.03, rail + between(rng, 0.05, 0.35), length / 2)
    return parts


def _bedding(rng: np.random.Generator, width: float, length: float, y: float) -> Parts:
    thick = between(rng, 0.15, 0.3)
    parts: Parts = [cushion(width * 0.97, thick, length * 0.97, 0.14).moved(y=y - 0.04)]
    top = y + thick - 0.06
    pillows = 2 if width > 1.2 else 1
    for i in range(pillows):
        x = (i - (pillows - 1) / 2) * width / pillows
        pillow = cushion(
            width / pillows * 0.8, between(rng, 0.1, 0.18), between(rng, 0.32, 0.48), 0.55
        )
        parts.append(pillow.moved(x, top - 0.02, -length / 2 + 0.3))
    if chance(rng, 0.7):  # a cover that hangs down a little
        share = between(rng, 0.5, 0.75)
        cover = cushion(width * 1.04, thick * 0.7, length * share, 0.16)
        parts.append(cover.moved(0, top - thick * 0.55, length * (0.97 - share) / 2 + 0.02))
    return parts


def _board(rng: np.random.Generator, width: float, height: float, z: float) -> Parts:
    style = pick(rng, ("panel", "panel", "rounded", "bars", "cushion"))
    if style == "panel":
        return [box(width, height, between(rng, 0.03, 0.07)).moved(z=z)]
    if style == "rounded":
        outline = rounded_rectangle(width, height, height * between(rng, 0.15, 0.45))
        return [prism(outline, 0.05).moved(y=height / 2, z=z)]
    if style == "cushion":
        return [cushion(width, height, 0.12, 0.2).moved(z=z)]
    post = between(rng, 0.018, 0.035)
    x = width / 2 - post
    parts: Parts = [bar((s * x, 0, z), (s * x, height, z), post) for s in (-1, 1)]
    parts.append(bar((-x, height - post, z), (x, height - post, z), post * 0.8))
    low = height * 0.35
    parts.append(bar((-x, low, z), (x, low, z), post * 0.8))
    count = whole(rng, 4, 9)
    for place in np.linspace(-x, x, count + 2)[1:-1]:
        parts.append(bar((place, low, z), (place, height - post, z), post * 0.45))
    return parts


def _bunk_bed(rng: np.random.Generator, width: float, length: float) -> Parts:
    height, t = between(rng, 1.55, 1.8), between(rng, 0.05, 0.08)
    lower, upper = between(rng, 0.25, 0.4), height - between(rng, 0.35, 0.5)
    parts: Parts = []
    for sx in (-1, 1):
        for sz in (-1, 1):
            parts.append(box(t, height, t).moved(sx * width / 2, 0, sz * length / 2))
    for y in (lower, upper):
        parts.append(box(width, 0.1, length).moved(y=y - 0.1))
        parts += _bedding(rng, width * 0.95, length * 0.95, y - 0.04)
        for sz in (-1, 1):
            parts.append(box(width, 0.12, 0.025).moved(0, y + 0.2, sz * length / 2))
    for sx in (-1, 1):
        parts.append(
            box(0.025, 0.1, length * 0.7).moved(sx * width / 2, upper + 0.2, -length * 0.12)
        )
    rungs = 5
    side, z = pick(rng, (-1, 1)), length * 0.36
    x = side * (width / 2 + 0.04)
    ladder: Parts = [cylinder(0.02, height * 0.95, 12).moved(x, 0, z + e * 0.18) for e in (-1, 1)]
    for i in range(rungs):
        y = upper * (i + 0.7) / rungs
        ladder.append(bar((x, y, z - 0.18), (x, y, z + 0.18), 0.014))
    return parts + ladder
