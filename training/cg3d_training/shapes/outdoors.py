"""Traffic cones, tents and people."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick
from cg3d_training.shapes.mesh import Parts, mirrored, moved, turned
from cg3d_training.shapes.primitives import (
    bar,
    cushion,
    frustum,
    lathe,
    loft,
    prism,
    rounded_rectangle,
    slab,
    smooth,
    tube,
)


def cone(rng: np.random.Generator) -> Parts:
    """A traffic cone on its square foot, or a plain cone."""
    height = between(rng, 0.3, 1.0)
    r = height * between(rng, 0.16, 0.3)
    if chance(rng, 0.3):
        return [frustum(r * 1.6, 0.0, height)]
    side = r * between(rng, 2.3, 2.9)
    top = r * between(rng, 0.1, 0.25)
    base = slab(rounded_rectangle(side, side, side * between(rng, 0.03, 0.2)), height * 0.05)
    parts: Parts = [base, frustum(r, top, height * 0.97).moved(y=height * 0.03)]
    if chance(rng, 0.5):  # a reflecting collar
        y, tall = height * between(rng, 0.4, 0.55), height * 0.18
        low, high = (r + (top - r) * share / height for share in (y, y + tall))
        ring = [(low, 0.0), (low * 1.06, 0.0), (high * 1.08, tall), (high, tall), (low, 0.0)]
        parts.append(lathe(ring).moved(y=y))
    return parts


def tent(rng: np.random.Generator) -> Parts:
    """A ridge tent, a dome, a tunnel or a tepee."""
    style = pick(rng, ("ridge", "dome", "dome", "tunnel", "tepee"))
    width, length = between(rng, 1.4, 2.6), between(rng, 1.9, 3.2)
    height = between(rng, 1.0, 1.7)
    if style == "ridge":
        wall = pick(rng, (0.0, between(rng, 0.15, 0.5)))
        half = width / 2
        outline = [(-half, 0.0), (half, 0.0), (half, wall), (0.0, height + wall), (-half, wall)]
        if not wall:
            outline = [(-half, 0.0), (half, 0.0), (0.0, height)]
        parts: Parts = [prism(outline, length)]
        parts += [
            bar((0, 0, s * length / 2), (0, height + wall + 0.05, s * length / 2), 0.015)
            for s in (-1, 1)
        ]
        if chance(rng, 0.6):
            parts += mirrored(
                [
                    bar((half, wall, z), (half * 1.5, 0.0, z * 1.1), 0.005)
                    for z in (-length / 2, length / 2)
                ]
            )
        return parts
    if style == "tunnel":
        angle = np.linspace(0, np.pi, 14)
        arch = np.stack([np.cos(angle) * width / 2, np.sin(angle)], axis=1)
        loops = [
            np.stack([arch[:, 0] * share, arch[:, 1] * height * share, np.full(14, z)], axis=1)
            for share, z in ((1.0, length / 2), (0.95, 0.0), (0.75, -length / 2))
        ]
        hoops = [tube(ring * [1.01, 1.01, 1.0], 0.012) for ring in loops[:2]]
        return [loft(loops), *hoops]
    if style == "tepee":
        height *= between(rng, 1.3, 1.8)
        sides = pick(rng, (4, 6, 8, 12))
        skin = frustum(width / 2, width * 0.05, height, sides)
        pole = bar((width * 0.5, 0, 0), (-width * 0.12, height * 1.22, 0), 0.015)
        return [skin, *(pole.turned("y", 360 / sides * (i + 0.5)) for i in range(sides))]
    profile = smooth([(1.0, 0.0), (0.93, 0.45), (0.62, 0.85), (0.0, 1.0)], 12)
    profile[-1, 0] = 0.0
    dome = lathe(np.concatenate([np.zeros((1, 2)), profile]), pick(rng, (4, 6, 8, 24)))
    dome = dome.turned("y", 45)
    parts = [dome.scaled(width / 2, height, length / 2)]
    if chance(rng, 0.6):  # poles that cross at the top
        over = np.concatenate([profile, (profile * [-1.0, 1.0])[::-1]])
        path = np.insert(over * [1.0, 1.01], 2, 0.0, axis=1)
        for turn in (45.0, 135.0):
            bent = tube(path, 0.02).turned("y", turn)
            parts.append(bent.scaled(width / 2, height, length / 2))
    if chance(rng, 0.5):
        porch = dome.scaled(width * 0.3, height * 0.7, length * 0.35)
        parts.append(porch.moved(z=length * 0.3))
    return parts


def person(rng: np.random.Generator) -> Parts:
    """Somebody standing, walking, sitting or holding the arms out."""
    height = between(rng, 1.5, 1.95)
    pose = pick(rng, ("stand", "stand", "walk", "sit", "spread"))
    broad = between(rng, 0.85, 1.25)
    hip, shoulder = height * 0.5, height * 0.82
    if pose == "sit":
        hip, shoulder = height * 0.27, height * 0.59
    drop = shoulder - hip
    wide = height * 0.115 * broad
    parts: Parts = [
        cushion(wide * 2.0, drop * 1.08, height * 0.12 * broad, 0.6).moved(y=hip - drop * 0.04),
        cushion(wide * 1.8, drop * 0.42, height * 0.13 * broad, 0.7).moved(y=hip - drop * 0.1),
        bar((0, shoulder - 0.02, 0), (0, shoulder + height * 0.06, 0), height * 0.032),
        cushion(height * 0.088, height * 0.13, height * 0.105, 0.95).moved(
            y=shoulder + height * 0.045
        ),
    ]
    stride = between(rng, 0.06, 0.2) * height if pose == "walk" else 0.0
    for s in (-1, 1):
        parts += _leg(rng, height, s * wide * 0.55, hip, s * stride, sitting=pose == "sit")
        raise_by = {"spread": between(rng, 60, 95), "walk": 8.0}.get(pose, between(rng, 4, 25))
        swing = -s * stride * 120 if pose == "walk" else between(rng, -10, 25)
        parts += _arm(height, s, wide, shoulder - height * 0.015, raise_by, swing)
    return parts


def _leg(
    rng: np.random.Generator, height: float, x: float, hip: float, step: float, *, sitting: bool
) -> Parts:
    thick = height * between(rng, 0.036, 0.046)
    if sitting:
        knee = (x, hip, height * 0.25)
        foot = (x, height * 0.02, height * 0.25)
    else:
        knee = (x, height * 0.27, step * 0.6 + height * 0.01)
        foot = (x, height * 0.02, step)
    path = smooth([(x, hip, 0.0), knee, foot], 10)
    radii = np.linspace(thick * 1.3, thick * 0.7, 10)
    shoe = cushion(height * 0.055, height * 0.045, height * 0.15, 0.5)
    return [tube(path, radii.tolist()), shoe.moved(x, 0.0, foot[2] + height * 0.035)]


def _arm(
    height: float, side: int, wide: float, shoulder: float, away: float, swing: float
) -> Parts:
    """An arm that hangs down, turned away from the body and swung forward, in degrees."""
    long = height * 0.36
    path = smooth([(0, 0, 0), (0, -long * 0.45, 0.005), (0, -long, long * 0.08)], 9)
    arm: Parts = [tube(path, np.linspace(height * 0.028, height * 0.018, 9).tolist())]
    arm.append(
        cushion(height * 0.03, height * 0.07, height * 0.045, 0.8).moved(
            0, -long * 1.12, long * 0.09
        )
    )
    arm = turned(turned(arm, "x", -swing), "z", away)
    placed = moved(arm, wide * 0.95, shoulder)
    return placed if side > 0 else [part.scaled(x=-1.0) for part in placed]
