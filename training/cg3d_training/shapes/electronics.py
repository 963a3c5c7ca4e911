"""Computers, screens, keyboards, radios and games consoles."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.mesh import Parts, mirrored, moved, turned
from cg3d_training.shapes.primitives import (
    bar,
    beam,
    box,
    cushion,
    cylinder,
    loft,
    prism,
    rounded_rectangle,
    slab,
    smooth,
    tube,
)


def laptop(rng: np.random.Generator) -> Parts:
    """An open laptop."""
    width = between(rng, 0.28, 0.4)
    depth = width * between(rng, 0.62, 0.75)
    t = between(rng, 0.01, 0.022)
    corner = between(rng, 0.002, 0.015)
    base = slab(rounded_rectangle(width, depth, corner), t)
    lid = slab(rounded_rectangle(width, depth * between(rng, 0.92, 1.0), corner), t * 0.45)
    lid = lid.moved(z=depth / 2).turned("x", -between(rng, 92, 130))
    parts: Parts = [base, lid.moved(y=t, z=-depth / 2 + 0.004)]
    keys = _keys(rng, width * 0.86, depth * 0.42, whole(rng, 4, 5), 12)
    parts += moved(keys, y=t - 0.001, z=-depth * 0.14)
    parts.append(box(width * 0.32, 0.001, depth * 0.25).moved(y=t, z=depth * 0.3))
    return parts


def _keys(rng: np.random.Generator, width: float, depth: float, rows: int, columns: int) -> Parts:
    parts: Parts = []
    wide, deep = width / columns, depth / rows
    for row in range(rows):
        z = (row - (rows - 1) / 2) * deep
        if row == rows - 1:  # the space bar between wide keys
            parts.append(box(wide * columns * 0.45, 0.004, deep * 0.8).moved(0, 0, z))
            parts += mirrored([box(wide * 2.6, 0.004, deep * 0.8).moved(width * 0.37, 0, z)])
            continue
        parts += [
            box(wide * 0.82, 0.004, deep * 0.8).moved((i - (columns - 1) / 2) * wide, 0, z)
            for i in range(columns)
        ]
    return parts


def keyboard(rng: np.random.Generator) -> Parts:
    """A computer keyboard, with or without a block of numbers."""
    depth, t = between(rng, 0.12, 0.17), between(rng, 0.012, 0.03)
    rows = whole(rng, 5, 6)
    columns = pick(rng, (14, 15, 19, 21))
    width = columns * between(rng, 0.0195, 0.022)
    parts: Parts = [slab(rounded_rectangle(width, depth, between(rng, 0.003, 0.02)), t)]
    parts += moved(_keys(rng, width * 0.95, depth * 0.85, rows, columns), y=t - 0.0005)
    lean = turned(parts, "x", between(rng, 0, 6))
    return moved(lean, y=0.005)


def monitor(rng: np.random.Generator) -> Parts:
    """A flat screen on its stand; now and then an old deep one."""
    width = between(rng, 0.4, 0.8)
    height = width * pick(rng, (0.5625, 0.5625, 0.625, 0.75, 0.42))
    stand = between(rng, 0.08, 0.2)
    if chance(rng, 0.12):
        deep = width * between(rng, 0.7, 0.95)
        sizes = ((width, height * 1.1, 0.0), (width * 0.55, height * 0.6, -deep * 0.6))
        rings = [
            np.insert(rounded_rectangle(w, h, 0.02), 2, z - deep * 0.2, axis=1) for w, h, z in sizes
        ]
        parts: Parts = [box(width, height * 1.1, deep * 0.45)]
        parts.append(loft(rings).moved(y=height * 0.55))
        return [*moved(parts, y=0.06), cylinder(width * 0.3, 0.07)]
    t = between(rng, 0.015, 0.05)
    screen = prism(rounded_rectangle(width, height, 0.01), t).moved(y=stand + height / 2)
    parts = [screen]
    bezel = between(rng, 0.004, 0.02)
    if chance(rng, 0.6):
        glass = box(width - 2 * bezel, height - 2 * bezel, 0.004)
        parts.append(glass.moved(0, stand + bezel, t / 2))
    if chance(rng, 0.5):
        back = cushion(width * 0.5, height * 0.5, t * 2.2, 0.3)
        parts.append(back.moved(0, stand + height * 0.2, -t * 0.8))
    foot = between(rng, 0.16, 0.28)
    neck = beam((0, 0.01, -t), (0, stand + height * 0.35, -t), between(rng, 0.03, 0.08), 0.02)
    parts.append(neck)
    style = pick(rng, ("plate", "oval", "vee", "feet"))
    if style == "plate":
        parts.append(box(foot, 0.012, foot * 0.7))
    elif style == "oval":
        parts.append(cylinder(foot / 2, 0.012).scaled(z=0.7))
    elif style == "vee":
        parts += mirrored([bar((0, 0.02, -0.02), (foot * 0.6, 0.008, foot * 0.45), 0.008)])
        parts += mirrored([bar((0, 0.02, -0.02), (foot * 0.35, 0.008, -foot * 0.4), 0.008)])
    else:
        parts.pop()
        blade = box(0.03, 0.012, foot * 0.9).moved(width * 0.36)
        leg = box(0.02, stand + 0.02, 0.02).moved(width * 0.36)
        parts += mirrored([blade, leg])
    return parts


def radio(rng: np.random.Generator) -> Parts:
    """A table radio with knobs, a speaker, a handle or an aerial."""
    width, height = between(rng, 0.18, 0.4), between(rng, 0.12, 0.22)
    depth = between(rng, 0.06, 0.15)
    case = cushion(width, height, depth, between(rng, 0.08, 0.3))
    parts: Parts = [case]
    z, side = depth / 2, pick(rng, (-1, 1))
    r = height * between(rng, 0.25, 0.38)
    speaker = cylinder(r, 0.012).turned("x", 90)
    parts.append(speaker.moved(side * width * 0.22, height * 0.5, z - 0.004))
    for i in range(whole(rng, 1, 3)):
        knob = cylinder(height * 0.09, 0.025, 16).turned("x", 90)
        parts.append(knob.moved(-side * width * (0.12 + 0.13 * i), height * 0.28, z - 0.004))
    dial = box(width * 0.36, height * 0.22, 0.006)
    parts.append(dial.moved(-side * width * 0.22, height * 0.55, z))
    if chance(rng, 0.6):
        x, up = width * 0.4, height * between(rng, 1.15, 1.35)
        handle = smooth(
            [(-x, height * 0.95, 0), (-x * 0.95, up, 0), (x * 0.95, up, 0), (x, height * 0.95, 0)]
        )
        parts.append(tube(handle, 0.007))
    if chance(rng, 0.6):
        start = (width * 0.42, height * 0.97, -depth * 0.3)
        end = (
            width * 0.42 + between(rng, -0.1, 0.2),
            height + between(rng, 0.2, 0.45),
            -depth * 0.3,
        )
        parts.append(bar(start, end, 0.003))
    return parts


def games_console(rng: np.random.Generator) -> Parts:
    """A flat console, lying or standing, some with a controller."""
    width, depth = between(rng, 0.24, 0.36), between(rng, 0.2, 0.28)
    height = between(rng, 0.04, 0.09)
    parts: Parts = [slab(rounded_rectangle(width, depth, between(rng, 0.004, 0.04)), height)]
    parts.append(
        box(width * between(rng, 0.3, 0.8), height * 0.1, 0.004).moved(0, height * 0.6, depth / 2)
    )
    if chance(rng, 0.5):
        parts.append(cylinder(depth * 0.3, 0.006).moved(width * 0.15, height - 0.002))
    if chance(rng, 0.35):
        return moved(turned(parts, "z", 90), x=height / 2, y=width / 2)
    if chance(rng, 0.4):
        grip = cushion(0.045, 0.035, 0.09, 0.7).turned("y", 20).moved(0.05, 0, 0.02)
        pad: Parts = [cushion(0.11, 0.035, 0.06, 0.5), *mirrored([grip])]
        pad += mirrored([cylinder(0.009, 0.02, 12).moved(0.025, 0.03, 0.01)])
        parts += moved(pad, z=depth * 0.5 + 0.12)
    return parts
