"""Guitars and pianos."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick
from cg3d_training.shapes.legs import four_legs
from cg3d_training.shapes.mesh import Parts, mirrored, moved, turned
from cg3d_training.shapes.primitives import (
    bar,
    box,
    cylinder,
    frustum,
    prism,
    rounded_rectangle,
    slab,
    smooth,
)


def guitar(rng: np.random.Generator) -> Parts:
    """An acoustic or electric guitar, upright, its face to +z."""
    electric = chance(rng, 0.45)
    body = between(rng, 0.42, 0.52)
    wide = body * between(rng, 0.36, 0.42)
    upper = wide * between(rng, 0.7, 0.85)
    waist = wide * between(rng, 0.55, 0.7)
    right = smooth(
        [
            (0.0, 0.0),
            (wide * 0.75, body * 0.04),
            (wide, body * 0.26),
            (waist, body * 0.58),
            (upper, body * 0.82),
            (upper * 0.6, body * 0.98),
            (0.0, body),
        ],
        28,
    )
    left = right[-2:0:-1] * [-1.0, 1.0]
    outline = np.concatenate([right, left])
    if electric:  # horns beside the neck
        horn = between(rng, 0.1, 0.2) * body
        outline[:, 1] += (
            horn
            * np.exp(-(((np.abs(outline[:, 0]) - upper * 0.8) / 0.04) ** 2))
            * (outline[:, 1] > body * 0.7)
        )
    t = between(rng, 0.035, 0.05) if electric else between(rng, 0.085, 0.12)
    parts: Parts = [prism(outline, t)]
    neck = between(rng, 0.38, 0.46)
    z = t / 2
    parts.append(box(0.052, body * 0.35 + neck, 0.014).moved(0, body * 0.65, z + 0.005))
    parts.append(box(0.045, neck, 0.025).moved(0, body - 0.01, z - 0.012))
    head = turned([prism(rounded_rectangle(0.075, 0.17, 0.015), 0.018)], "x", -12)
    top = body + neck
    parts += moved(head, y=top + 0.075, z=z - 0.02)
    for i in range(3):
        y = top + 0.03 + 0.042 * i
        parts += mirrored([cylinder(0.009, 0.02, 10).turned("z", 90).moved(0.06, y, z - 0.025)])
    bridge = body * between(rng, 0.22, 0.3)
    parts.append(box(wide * between(rng, 0.6, 0.9), 0.022, 0.014).moved(0, bridge, z - 0.002))
    if electric:
        for share in (0.38, 0.52):
            parts.append(box(0.085, 0.035, 0.012).moved(0, body * share, z - 0.002))
        for i in range(3):
            knob = cylinder(0.011, 0.018, 12).turned("x", 90)
            parts.append(knob.moved(wide * 0.55, body * (0.12 + 0.07 * i), z - 0.002))
    else:
        parts.append(cylinder(0.05, 0.004, 24).turned("x", 90).moved(0, body * 0.62, z - 0.002))
    for i in range(6):
        x = (i - 2.5) * 0.0075
        parts.append(bar((x, bridge, z + 0.014), (x * 0.8, top, z + 0.021), 0.0008))
    return turned(parts, "z", pick(rng, (0.0, 0.0, between(rng, -8, 8))))


def piano(rng: np.random.Generator) -> Parts:
    """An upright or a grand piano, the keys to +z."""
    return _grand(rng) if chance(rng, 0.4) else _upright(rng)


def _keys(width: float, y: float, z: float) -> Parts:
    parts: Parts = [box(width, 0.03, 0.15).moved(0, y, z)]
    spacing = width / 52
    for i in range(51):
        if i % 7 not in (1, 4):  # no black key between B and C, and between E and F
            x = (i - 25) * spacing
            parts.append(box(spacing * 0.5, 0.012, 0.09).moved(x, y + 0.029, z - 0.03))
    return parts


def _upright(rng: np.random.Generator) -> Parts:
    width, height = between(rng, 1.4, 1.55), between(rng, 1.05, 1.35)
    depth = between(rng, 0.32, 0.42)
    shelf, y = between(rng, 0.22, 0.3), between(rng, 0.6, 0.68)
    t = 0.04
    z = depth / 2 + shelf / 2
    parts: Parts = [
        box(width, height, depth),
        box(width * 1.03, t, depth * 1.08).moved(y=height - 0.005),
    ]
    parts.append(box(width, 0.1, shelf + 0.01).moved(0, y, z - 0.005))
    parts += _keys(width * 0.86, y + 0.095, z + 0.02)
    parts += mirrored([box(t * 1.5, 0.2, shelf).moved(width / 2 - t * 0.75, y, z)])
    if chance(rng, 0.7):
        post = frustum(0.035, 0.045, y + 0.01, 4) if chance(rng, 0.5) else box(0.05, y + 0.01, 0.05)
        parts += mirrored([post.moved(width / 2 - 0.06, 0, depth / 2 + shelf - 0.05)])
        parts += mirrored([box(0.06, 0.06, shelf).moved(width / 2 - 0.06, 0, z)])
    if chance(rng, 0.5):
        rest = box(width * 0.5, 0.2, 0.015).turned("x", -12)
        parts.append(rest.moved(0, y + 0.24, depth / 2 + 0.05))
    for i in (-1, 0, 1):
        parts.append(box(0.02, 0.015, 0.1).moved(i * 0.06, 0.06, depth / 2 + 0.04))
    if chance(rng, 0.35):
        parts += _bench(rng, z + 0.55)
    return parts


def _grand(rng: np.random.Generator) -> Parts:
    width, length = between(rng, 1.42, 1.55), between(rng, 1.5, 2.4)
    half = width / 2
    case, y = between(rng, 0.26, 0.34), between(rng, 0.62, 0.7)
    curve = smooth(
        [
            (half, 0.45),
            (half * 0.95, length * 0.45),
            (half * 0.25, length * 0.68),
            (-half * 0.05, length * 0.92),
            (-half * 0.55, length),
            (-half * 0.95, length * 0.95),
        ],
        20,
    )
    outline = np.concatenate([[(-half, 0.3), (half, 0.3)], curve]) * [1.0, -1.0]
    parts: Parts = [slab(outline, case).moved(y=y)]
    parts.append(box(width, case * 0.45, 0.31).moved(0, y, -0.15))
    parts += mirrored([box(0.09, case * 0.8, 0.31).moved(half - 0.045, y, -0.15)])
    parts += _keys(width * 0.86, y + case * 0.44, -0.1)
    lid = slab(outline, 0.025)
    if chance(rng, 0.6):
        raised = turned(moved([lid], half), "z", between(rng, 30, 42))
        parts += moved(raised, -half, y + case)
        parts.append(
            bar((half * 0.5, y + case - 0.02, -0.8), (half * 0.25, y + case + 0.65, -0.8), 0.01)
        )
    else:
        parts.append(lid.moved(y=y + case - 0.002))
    leg = frustum(0.035, 0.065, y + 0.01, pick(rng, (4, 16)))
    parts += mirrored([leg.moved(half * 0.85, 0, -0.35)])
    parts.append(leg.moved(-half * 0.5, 0, -length * 0.82))
    parts.append(box(0.18, 0.06, 0.08).moved(0, 0.06, -0.35))
    parts += mirrored([bar((0.06, 0.1, -0.35), (0.09, y + 0.01, -0.35), 0.012)])
    if chance(rng, 0.35):
        parts += _bench(rng, 0.5)
    return parts


def _bench(rng: np.random.Generator, z: float) -> Parts:
    height = between(rng, 0.42, 0.5)
    parts: Parts = [box(0.7, 0.06, 0.34).moved(y=height)]
    parts += four_legs(rng, 0.66, 0.3, height + 0.005, stretchers=0.2)
    return moved(parts, z=z)
