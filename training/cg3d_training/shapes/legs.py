"""What furniture stands on."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick
from cg3d_training.shapes.mesh import Mesh, Parts
from cg3d_training.shapes.primitives import bar, beam, box, cylinder, frustum, lathe, smooth, tube

FOUR_LEGS = ("square", "tapered", "round", "splayed", "turned", "angled beams")


def four_legs(
    rng: np.random.Generator,
    width: float,
    depth: float,
    height: float,
    style: str | None = None,
    *,
    thickness: float | None = None,
    stretchers: float = 0.3,
) -> Parts:
    """Legs at the corners of width x depth, up to `height`; some with bars between them."""
    style = style or pick(rng, FOUR_LEGS)
    thick = thickness or between(rng, 0.03, 0.06) * max(0.6, min(1.4, height / 0.5))
    lean = between(rng, 0.05, 0.22) * height if style in ("splayed", "angled beams") else 0.0
    x, z = width / 2 - thick / 2, depth / 2 - thick / 2
    parts: Parts = []
    for sx in (-1, 1):
        for sz in (-1, 1):
            foot = (sx * (x + lean * 0.5), 0.0, sz * (z + lean * 0.5))
            head = (sx * (x - lean * 0.5), height, sz * (z - lean * 0.5))
            parts.append(_leg(rng, style, foot, head, thick))
    if chance(rng, stretchers):
        parts += _stretchers(rng, x, z, height, thick)
    return parts


def _leg(
    rng: np.random.Generator,
    style: str,
    foot: tuple[float, float, float],
    head: tuple[float, float, float],
    thick: float,
) -> Mesh:
    height = head[1]
    if style == "square":
        return box(thick, height, thick).moved(foot[0], 0.0, foot[2])
    if style == "tapered":
        return frustum(thick * 0.4, thick * 0.75, height, 4).moved(foot[0], 0.0, foot[2])
    if style == "round":
        return cylinder(thick / 2, height, 16).moved(foot[0], 0.0, foot[2])
    if style == "turned":
        radii = np.array([0.0, 0.5, 0.8, 0.55, 1.0, 0.6, 0.9, 0.9, 0.0]) * thick * 0.6
        at = np.array([0.0, 0.0, 0.12, 0.2, 0.45, 0.7, 0.75, 1.0, 1.0]) * height
        return lathe(np.stack([radii, at], axis=1), 16).moved(foot[0], 0.0, foot[2])
    if style == "splayed":
        return bar(foot, head, thick * 0.35, taper=1.5)
    return beam(foot, head, thick, thick * 0.8)


def _stretchers(rng: np.random.Generator, x: float, z: float, height: float, thick: float) -> Parts:
    y = between(rng, 0.12, 0.45) * height
    radius = thick * 0.3
    sides = [bar((s * x, y, -z), (s * x, y, z), radius) for s in (-1, 1)]
    if chance(rng, 0.5):
        return [*sides, bar((-x, y, 0), (x, y, 0), radius)]
    return [*sides, *(bar((-x, y * 1.15, s * z), (x, y * 1.15, s * z), radius) for s in (-1, 1))]


def sled_legs(rng: np.random.Generator, width: float, depth: float, height: float) -> Parts:
    """Two closed frames of tube or flat bar, one a side."""
    x = width / 2 - 0.03
    z = depth / 2 - 0.02
    if chance(rng, 0.5):
        r = between(rng, 0.01, 0.018)
        rounded = smooth(
            [(z, height), (z, 0.04), (z - 0.04, r), (-z + 0.04, r), (-z, 0.04), (-z, height)], 40
        )
        return [tube([(s * x, y, depth_at) for depth_at, y in rounded], r) for s in (-1, 1)]
    t = between(rng, 0.02, 0.05)
    parts: Parts = []
    for s in (-1, 1):
        parts.append(box(t, t, 2 * z).moved(s * x, 0.0, 0.0))
        parts += [box(t, height, t).moved(s * x, 0.0, end * (z - t / 2)) for end in (-1, 1)]
    return parts


def panel_legs(rng: np.random.Generator, width: float, depth: float, height: float) -> Parts:
    """Two upright boards, one a side, perhaps with a bar or board between."""
    t = between(rng, 0.02, 0.05)
    inset = between(rng, 0.0, 0.12) * width
    parts = [
        box(t, height, depth * between(rng, 0.8, 0.98)).moved(s * (width / 2 - t / 2 - inset))
        for s in (-1, 1)
    ]
    if chance(rng, 0.6):
        tall = between(rng, 0.1, 0.6) * height
        parts.append(
            box(width - 2 * inset, tall, 0.02).moved(
                y=height - tall, z=-depth * between(rng, 0.0, 0.4)
            )
        )
    return parts


def pedestal(rng: np.random.Generator, spread: float, height: float) -> Parts:
    """One column on a disc, a square plate, a bell or a few feet."""
    r = between(rng, 0.02, 0.05) * max(1.0, spread)
    foot = pick(rng, ("disc", "plate", "bell", "feet"))
    column = cylinder(r, height, 20)
    if foot == "disc":
        return [column, cylinder(spread / 2, 0.025)]
    if foot == "plate":
        return [column, box(spread * 0.85, 0.02, spread * 0.85)]
    if foot == "bell":
        low = smooth(
            [(spread / 2, 0.0), (spread * 0.45, 0.03), (r * 1.6, 0.1), (r, height * 0.5)], 14
        )
        return [lathe([(0, 0), *low, (r, height), (0, height)])]
    count = pick(rng, (3, 4, 4, 5))
    y = between(rng, 0.08, 0.2) * height
    feet = [
        tube(
            smooth([(0, y, 0), (spread * 0.25, y * 0.8, 0), (spread / 2, 0.02, 0)], 8), r * 0.6
        ).turned("y", 360 / count * i)
        for i in range(count)
    ]
    return [column.moved(y=y * 0.5).scaled(y=height / (height + y * 0.5)), *feet]


def star_base(rng: np.random.Generator, spread: float, height: float) -> Parts:
    """The five-armed base of an office chair, on castors."""
    arms: Parts = []
    castors = chance(rng, 0.8)
    low = 0.06 if castors else 0.015
    for i in range(5):
        turn = 72.0 * i + 18
        arms.append(bar((0, low + 0.06, 0), (spread / 2, low, 0), 0.024, 0.6).turned("y", turn))
        if castors:
            wheel = cylinder(0.028, 0.04, 12).turned("x", 90).moved(spread / 2, 0.028, 0)
            arms.append(wheel.turned("y", turn))
    return [*arms, cylinder(0.028, height - low, 16).moved(y=low)]
