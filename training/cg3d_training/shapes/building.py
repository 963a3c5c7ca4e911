"""Parts of a house: doors, stairs, fireplaces, curtains."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.mesh import Parts, mirrored, moved, turned
from cg3d_training.shapes.primitives import (
    ball,
    bar,
    box,
    cylinder,
    frustum,
    prism,
    sheet,
)


def door(rng: np.random.Generator) -> Parts:
    """A door leaf with panels or glass bars, a handle, most in a frame, some ajar."""
    width, height = between(rng, 0.7, 1.0), between(rng, 1.95, 2.2)
    t = between(rng, 0.03, 0.05)
    style = pick(rng, ("flat", "panels", "panels", "glass"))
    leaf: Parts = []
    if style == "glass":
        rail = between(rng, 0.08, 0.14)
        leaf += [box(rail, height, t).moved(s * (width - rail) / 2) for s in (-1, 1)]
        rows, columns = whole(rng, 1, 5), whole(rng, 1, 3)
        low = pick(rng, (rail, height * 0.35))
        leaf.append(box(width, low, t))
        leaf.append(box(width, rail, t).moved(y=height - rail))
        for i in range(1, rows):
            leaf.append(box(width, 0.03, t * 0.8).moved(y=low + (height - low) * i / rows))
        for i in range(1, columns):
            leaf.append(box(0.03, height, t * 0.8).moved(width * (i / columns - 0.5)))
        if chance(rng, 0.6):
            leaf.append(box(width * 0.95, height * 0.98, 0.006))
    else:
        leaf.append(box(width, height, t))
    if style == "panels":
        rows, columns = whole(rng, 1, 3), whole(rng, 1, 2)
        wide, tall = width * 0.86 / columns, height * 0.9 / rows
        for i in range(rows):
            for j in range(columns):
                x = (j - (columns - 1) / 2) * wide
                panel = box(wide * 0.78, tall * 0.82, t + 0.025)
                leaf.append(panel.moved(x, height * 0.05 + tall * (i + 0.09)))
    side = pick(rng, (-1, 1))
    leaf += moved(_handles(rng, t), side * (width / 2 - 0.07), between(rng, 0.95, 1.08))
    if chance(rng, 0.25):  # ajar, about its hinges
        hinge = -side * width / 2
        leaf = moved(turned(moved(leaf, -hinge), "y", between(rng, -80, 80)), hinge)
    if chance(rng, 0.65):
        frame, deep = between(rng, 0.05, 0.12), between(rng, 0.08, 0.2)
        leaf += [
            box(frame, height + frame, deep).moved(s * (width + frame) / 2 + s * 0.004)
            for s in (-1, 1)
        ]
        leaf.append(box(width, frame, deep).moved(y=height + 0.004))
    return leaf


def _handles(rng: np.random.Generator, t: float) -> Parts:
    """A lever or a knob on both sides of a leaf of thickness t."""
    parts: Parts = []
    knob = chance(rng, 0.4)
    for s in (-1, 1):
        parts.append(bar((0, 0, 0), (0, 0, s * (t / 2 + 0.05)), 0.01))
        if knob:
            parts.append(ball(0.028).moved(0, -0.028, s * (t / 2 + 0.06)))
        else:
            parts.append(bar((0, 0, s * (t / 2 + 0.05)), (-0.12, 0, s * (t / 2 + 0.05)), 0.01))
    return parts


def stairs(rng: np.random.Generator) -> Parts:
    """A straight flight, solid or open, or a spiral; some with rails."""
    steps = whole(rng, 4, 14)
    rise, run = between(rng, 0.16, 0.2), between(rng, 0.24, 0.32)
    width = between(rng, 0.7, 1.4)
    style = pick(rng, ("solid", "solid", "open", "spiral"))
    if style == "spiral" and steps > 7:
        return _spiral(rng, steps, rise, width)
    parts: Parts = []
    for i in range(steps):
        z = -run * i
        if style == "solid":
            parts.append(box(width, rise * (i + 1), run * 1.01).moved(z=z))
        else:
            parts.append(box(width, 0.04, run * 1.1).moved(0, rise * (i + 1) - 0.04, z))
    if style != "solid":
        length = float(np.hypot(run, rise)) * steps
        angle = float(np.degrees(np.arctan2(rise, run)))
        stringer = box(0.05, 0.2, length).turned("x", angle)
        middle = rise * steps / 2 - 0.1
        x = width / 2 * pick(rng, (0.6, 1.0))
        parts += mirrored([stringer.moved(x, middle, -run * (steps - 1) / 2)])
    for s in pick(rng, ((), (-1,), (1,), (-1, 1), (-1, 1))):
        x = s * (width / 2 - 0.03)
        top = 0.9
        start, end = (x, rise + top, 0), (x, rise * steps + top, -run * (steps - 1))
        parts.append(bar(start, end, between(rng, 0.018, 0.035)))
        every = pick(rng, (1, 1, 2))
        parts += [
            bar((x, rise * (i + 1) - 0.01, -run * i), (x, rise * (i + 1) + top, -run * i), 0.012)
            for i in range(0, steps, every)
        ]
    return parts


def _spiral(rng: np.random.Generator, steps: int, rise: float, width: float) -> Parts:
    turn = between(rng, 22, 32) * pick(rng, (-1, 1))
    near, far = 0.05, width * 0.75
    outline = [(near, -0.04), (far, -0.18), (far, 0.18), (near, 0.04)]
    tread = prism(outline, 0.04).turned("x", 90)
    post = bar((far - 0.03, 0, 0), (far - 0.03, 0.9, 0), 0.01)
    parts: Parts = [cylinder(0.06, rise * steps + 0.9)]
    for i in range(steps):
        y, angle = rise * (i + 1), turn * i
        parts += [tread.turned("y", angle).moved(y=y), post.turned("y", angle).moved(y=y)]
    return parts


def mantel(rng: np.random.Generator) -> Parts:
    """A fireplace surround: two pillars, a lintel, a shelf, some with a chimney breast."""
    width, height = between(rng, 1.1, 1.7), between(rng, 0.95, 1.3)
    pillar, deep = between(rng, 0.15, 0.32), between(rng, 0.15, 0.4)
    x = width / 2 - pillar / 2
    parts: Parts = mirrored([box(pillar, height, deep).moved(x)])
    lintel = height * between(rng, 0.18, 0.32)
    parts.append(box(width - pillar, lintel, deep * 0.95).moved(y=height - lintel))
    parts.append(
        box(width * between(rng, 1.05, 1.18), between(rng, 0.04, 0.08), deep * 1.3).moved(
            y=height - 0.005, z=deep * 0.1
        )
    )
    if chance(rng, 0.5):
        parts += mirrored([box(pillar * 1.15, 0.12, deep * 1.1).moved(x)])
        parts += mirrored([box(pillar * 1.1, 0.08, deep * 1.1).moved(x, height - 0.1)])
    if chance(rng, 0.6):  # the fireback and the hearth
        parts.append(box(width * 0.98, height * 0.98, 0.03).moved(z=-deep / 2 + 0.02))
        parts.append(box(width * 1.1, 0.04, deep * 2.0).moved(z=deep * 0.4))
    if chance(rng, 0.3):
        tall = between(rng, 0.6, 1.2)
        breast = frustum(width * 0.6, width * between(rng, 0.35, 0.6), tall, 4)
        parts.append(breast.scaled(z=deep / width * 1.1).moved(y=height + 0.03))
    return parts


def curtain(rng: np.random.Generator) -> Parts:
    """One or two curtains in folds, most on a rail."""
    height = between(rng, 1.2, 2.5)
    pair = chance(rng, 0.6)
    total = between(rng, 1.0, 2.2)
    drawn = between(rng, 0.5, 1.0)
    parts: Parts = []
    for side in (-1, 1) if pair else (1,):
        wide = total / 2 * drawn if pair else total * drawn
        folds = wide * between(rng, 7, 14)
        deep = between(rng, 0.02, 0.06)
        across, down = np.linspace(0, 1, 60), np.linspace(0, 1, 8)
        tied = between(rng, 0.3, 0.6) if chance(rng, 0.25) else 0.0
        grid = np.empty((len(down), len(across), 3))
        for i, y in enumerate(down):
            pull = 1.0 - tied * np.exp(-(((y - 0.4) / 0.18) ** 2))
            grid[i, :, 0] = (across * wide * pull) * -side + side * total / 2
            grid[i, :, 1] = y * height
            grid[i, :, 2] = deep * pull * np.sin(2 * np.pi * folds * across + 0.6 * y)
        parts.append(sheet(grid, 0.006))
    if chance(rng, 0.75):
        over = total / 2 + 0.1
        parts.append(bar((-over, height + 0.02, 0), (over, height + 0.02, 0), 0.014))
        parts += mirrored([ball(0.03).moved(over, height - 0.01)])
    return parts
