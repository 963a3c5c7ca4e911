"""Bottles, cups, mugs, bowls, vases and plants in pots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick, whole
from cg3d_training.shapes.mesh import Mesh, Parts, moved
from cg3d_training.shapes.primitives import cushion, cylinder, lathe, loft, smooth, tube


def shell(outside: Sequence[Sequence[float]], wall: float, floor: float | None = None) -> Mesh:
    """A vessel with an inside, from the (radius, y) profile of its outside, bottom to top."""
    outer = np.asarray(outside, dtype=np.float64)
    inner = outer[::-1].copy()
    inner[:, 0] = np.maximum(inner[:, 0] - wall, 1e-4)
    inner[:, 1] = np.maximum(inner[:, 1], outer[0, 1] + (floor or wall))
    ends = ([0.0, outer[0, 1]], [0.0, inner[-1, 1]])
    return lathe(np.concatenate([[ends[0]], outer, inner, [ends[1]]]))


def bottle(rng: np.random.Generator) -> Parts:
    """A wine, beer, water, sauce or pump bottle, closed by a cap or a cork or open."""
    height = between(rng, 0.16, 0.34)
    r = height * between(rng, 0.11, 0.21)
    neck = r * between(rng, 0.25, 0.5)
    shoulder = between(rng, 0.45, 0.72)
    slope = between(rng, 0.04, 0.25)
    end = min(shoulder + slope, 0.9)
    foot = r * between(rng, 0.85, 1.0)
    low = [(foot, 0.0), (r, height * 0.04)]
    waist = [(r * between(rng, 0.8, 1.0), height * 0.3)] if chance(rng, 0.3) else []
    rise = smooth(
        [
            (r, height * shoulder),
            (r * 0.85 + neck * 0.15, height * (shoulder + slope * 0.45)),
            (neck, height * end),
        ],
        12,
    )
    profile = [*low, *waist, *rise.tolist(), (neck, height * 0.94)]
    parts: Parts = []
    top = pick(rng, ("cap", "lip", "open", "pump"))
    if top == "open":
        parts.append(shell([*profile, (neck, height)], 0.002))
    else:
        parts.append(lathe([(0, 0), *profile, (neck, height), (0, height)]))
    if top == "cap":
        tall = height * between(rng, 0.06, 0.14)
        parts.append(cylinder(neck * 1.2, tall).moved(y=height - tall * 0.7))
    elif top == "lip":
        parts.append(cylinder(neck * 1.3, height * 0.03).moved(y=height * 0.97))
    elif top == "pump":
        parts.append(cylinder(neck * 1.1, height * 0.08).moved(y=height * 0.95))
        parts.append(cylinder(neck * 0.3, height * 0.12).moved(y=height))
        spout = smooth([(0, height * 1.12, 0), (r * 0.6, height * 1.13, 0), (r, height * 1.08, 0)])
        parts.append(tube(spout, neck * 0.35))
    if chance(rng, 0.15):  # oval, as shampoo comes
        flat = between(rng, 0.5, 0.75)
        parts = [part.scaled(z=flat) for part in parts]
    return parts


def cup(rng: np.random.Generator) -> Parts:
    """A tumbler, a paper cup, a tea cup on its saucer, or a goblet."""
    style = pick(rng, ("tumbler", "paper", "tea", "goblet"))
    if style == "tea":
        r, height = between(rng, 0.038, 0.05), between(rng, 0.05, 0.07)
        outside = smooth([(r * 0.5, 0.0), (r * 0.75, height * 0.3), (r, height)], 10)
        parts: Parts = [shell(outside.tolist(), 0.003), *_handle(rng, r * 0.9, height, 0.75)]
        if chance(rng, 0.7):
            saucer = smooth([(r * 0.7, 0.0), (r * 1.3, 0.006), (r * 1.75, 0.018)], 8)
            parts = [*moved(parts, y=0.008), shell(saucer.tolist(), 0.004, 0.004)]
        return parts
    if style == "goblet":
        r, height = between(rng, 0.03, 0.045), between(rng, 0.13, 0.2)
        stem, r0 = height * between(rng, 0.35, 0.5), r * 0.9
        foot = smooth([(r0, 0.0), (r0 * 0.9, 0.004), (0.006, 0.015), (0.004, stem)], 12)
        bulb = smooth([(0.006, stem), (r, stem + (height - stem) * 0.4), (r * 0.85, height)], 12)
        return [lathe([(0, 0), *foot, (0, stem)]), shell(bulb.tolist(), 0.002)]
    height = between(rng, 0.08, 0.15)
    r = between(rng, 0.032, 0.046)
    base = r * (between(rng, 0.62, 0.78) if style == "paper" else between(rng, 0.8, 1.05))
    parts = [shell([(base, 0.0), (r, height)], 0.002)]
    if style == "paper":
        if chance(rng, 0.5):
            lid = [(r * 1.04, 0.0), (r * 1.02, 0.008), (r * 0.85, 0.014)]
            parts.append(lathe([(0, 0), *lid, (0, 0.014)]).moved(y=height - 0.004))
        else:
            turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            rim = np.stack([r * np.cos(turn), np.full(24, height), r * np.sin(turn)], axis=1)
            parts.append(tube(rim, 0.003, closed=True))
    return parts


def mug(rng: np.random.Generator) -> Parts:
    """A straight or bellied mug with a handle."""
    r, height = between(rng, 0.036, 0.048), between(rng, 0.08, 0.115)
    belly = pick(rng, (1.0, 1.0, between(rng, 1.05, 1.2)))
    base = r * between(rng, 0.8, 1.0)
    profile = smooth([(base, 0.0), (r * belly, height * 0.45), (r, height)], 10)
    return [shell(profile.tolist(), between(rng, 0.003, 0.006)), *_handle(rng, r, height, 1.0)]


def _handle(rng: np.random.Generator, radius: float, height: float, size: float) -> Parts:
    low, high = height * between(rng, 0.12, 0.28), height * between(rng, 0.75, 0.92)
    reach = radius + between(rng, 0.02, 0.034) * size
    inner = radius * 0.94
    square = between(rng, 0.0, 0.25) * (high - low)
    path = smooth(
        [
            (inner, high, 0),
            (reach * 0.97, high - square * 0.3, 0),
            (reach, (low + high) / 2, 0),
            (reach * 0.93, low + square * 0.2, 0),
            (inner, low, 0),
        ],
        20,
    )
    thick = between(rng, 0.0035, 0.006) * size
    return [tube(path, thick).scaled(z=between(rng, 1.0, 1.6))]


def bowl(rng: np.random.Generator) -> Parts:
    """A cereal, salad or mixing bowl, with or without a foot."""
    r = between(rng, 0.06, 0.18)
    height = r * between(rng, 0.4, 0.95)
    foot = r * between(rng, 0.3, 0.6)
    middle = r * between(rng, 0.75, 0.95)
    rim = [(r * 1.08, height)] if chance(rng, 0.3) else []
    profile = smooth([(foot, 0.0), (middle, height * 0.45), (r, height * 0.97), *rim], 14)
    parts: Parts = [shell(profile.tolist(), between(rng, 0.003, 0.007))]
    if chance(rng, 0.4):
        ring = height * between(rng, 0.05, 0.12)
        parts = [*moved(parts, y=ring), cylinder(foot * 0.9, ring * 1.3)]
    return parts


def vase(rng: np.random.Generator) -> Parts:
    """A vase turned from a freely drawn profile, some with flowers."""
    height = between(rng, 0.14, 0.45)
    r = height * between(rng, 0.14, 0.34)
    base, neck = r * between(rng, 0.4, 0.9), r * between(rng, 0.25, 0.75)
    lip = neck * between(rng, 1.0, 1.6)
    belly = between(rng, 0.25, 0.65)
    profile = smooth(
        [(base, 0.0), (r, height * belly), (neck, height * between(rng, 0.78, 0.9)), (lip, height)],
        22,
    )
    if chance(rng, 0.2):  # a plain cylinder or cone
        profile = np.array([(base, 0.0), (base * between(rng, 0.9, 1.5), height)])
    parts: Parts = [shell(profile.tolist(), between(rng, 0.003, 0.008))]
    if chance(rng, 0.12):
        loop = smooth(
            [(neck, height * 0.88, 0), (r * 1.2, height * 0.8, 0), (r * 0.95, height * belly, 0)],
            14,
        )
        parts += [tube(loop, height * 0.018), tube(loop, height * 0.018).turned("y", 180)]
    return parts


def flowerpot(rng: np.random.Generator) -> Parts:
    """A pot without a plant."""
    return _pot(rng, between(rng, 0.08, 0.25))


def _pot(rng: np.random.Generator, r: float) -> Parts:
    height = r * between(rng, 1.2, 2.1)
    base = r * between(rng, 0.6, 0.95)
    profile: list[tuple[float, float]] = [(base, 0.0), (r, height)]
    if chance(rng, 0.5):  # the rim of a clay pot
        edge = height * between(rng, 0.72, 0.85)
        at = base + (r - base) * edge / height
        profile = [(base, 0.0), (at, edge), (at * 1.1, edge), (at * 1.15, height)]
    parts: Parts = [shell(profile, r * 0.08)]
    if chance(rng, 0.3):
        tray = [(base * 1.2, 0.0), (base * 1.4, r * 0.2)]
        parts.append(shell(tray, r * 0.06))
    return parts


def plant(rng: np.random.Generator) -> Parts:
    """A plant in a pot: broad leaves, blades, a little tree, or a cactus."""
    r = between(rng, 0.08, 0.2)
    parts = _pot(rng, r)
    rim = float(parts[0].vertices[:, 1].max())
    parts.append(cylinder(r * 0.85, rim * 0.1).moved(y=rim * 0.8))
    style = pick(rng, ("leaves", "leaves", "blades", "tree", "cactus"))
    size = r * between(rng, 2.0, 5.0)
    soil = rim * 0.85
    if style == "tree":
        trunk = tube(
            smooth([(0, soil, 0), (r * 0.1, soil + size * 0.4, 0), (0, soil + size, 0)]), r * 0.1
        )
        crown = []
        for _ in range(whole(rng, 3, 6)):
            wide, tall, deep = (size * between(rng, 0.4, 0.7) for _ in range(3))
            x, z = (size * between(rng, -0.2, 0.2) for _ in range(2))
            y = soil + size * between(rng, 0.6, 0.85)
            crown.append(cushion(wide, tall, deep, 0.99).moved(x, y, z))
        return [*parts, trunk, *crown]
    if style == "cactus":
        tall = r * between(rng, 1.5, 3.5)
        body = cushion(r * 0.8, tall, r * 0.8, 0.75).moved(y=soil - tall * 0.05)
        arm = tube(
            smooth(
                [
                    (0, soil + tall * 0.4, 0),
                    (r * 0.7, soil + tall * 0.45, 0),
                    (r * 0.75, soil + tall * 0.75, 0),
                ],
                10,
            ),
            r * 0.18,
        )
        arms = [arm.turned("y", between(rng, 0, 360)) for _ in range(whole(rng, 0, 3))]
        return [*parts, body, *arms]
    count = whole(rng, 9, 18)
    for i in range(count):
        leaf = _leaf(rng, size * between(rng, 0.6, 1.0), blade=style == "blades")
        parts.append(leaf.turned("y", 360 * i * 0.382 + between(rng, -15, 15)).moved(y=soil))
    return parts


def _leaf(rng: np.random.Generator, length: float, *, blade: bool) -> Mesh:
    """A leaf that rises from the origin and bends over towards +x."""
    rise = between(rng, 50, 85)
    droop = between(rng, 0.1, 0.5) if blade else between(rng, 0.3, 0.9)
    t = np.linspace(0, 1, 9)
    x = length * (t * np.cos(np.radians(rise)) + droop * 0.4 * t**2)
    y = length * (t * np.sin(np.radians(rise)) - droop * 0.5 * t**2)
    if blade:
        half = length * 0.045 * (1 - t**3) + 1e-3
    else:  # a stalk first, then a broad leaf
        half = length * (0.012 + 0.2 * np.sin(np.pi * np.clip((t - 0.4) / 0.6, 0, 1)))
    grid = np.stack([np.stack([x, y, s * half], axis=1) for s in (-1.0, 0.0, 1.0)], axis=1)
    skin = np.concatenate([grid, (grid - [0.004, 0.004, 0.0])[:, ::-1]], axis=1)
    return loft(skin)
