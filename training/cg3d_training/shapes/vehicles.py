"""Cars and airplanes. The nose points to +x."""

from __future__ import annotations

import numpy as np

from cg3d_training.shapes.draw import between, chance, pick
from cg3d_training.shapes.mesh import Mesh, Parts, moved, turned
from cg3d_training.shapes.primitives import box, cylinder, lathe, loft, rounded_rectangle, smooth


def _both_sides(parts: Parts) -> Parts:
    return parts + [part.scaled(z=-1.0) for part in parts]


def airplane(rng: np.random.Generator) -> Parts:
    """An airliner, a small propeller plane or a fighter."""
    style = pick(rng, ("airliner", "airliner", "propeller", "fighter"))
    length = {"airliner": 38.0, "propeller": 8.0, "fighter": 16.0}[style] * between(rng, 0.8, 1.3)
    r = length * (between(rng, 0.042, 0.06) if style != "fighter" else between(rng, 0.035, 0.05))
    nose = between(rng, 0.5, 0.8)
    profile = smooth(
        [
            (0.0, 0.5),
            (nose * 0.5, 0.485),
            (1.0, 0.4),
            (1.0, 0.0),
            (0.95, -0.2),
            (0.35, -0.45),
            (0.08, -0.5),
        ],
        30,
    )
    radii = np.maximum(profile[:, 0], 0.0) * r
    skin = np.stack([radii, profile[:, 1] * length], axis=1)
    body = lathe([*skin, (0.0, skin[-1, 1])], 24).turned("z", -90)
    parts: Parts = [body.scaled(y=between(rng, 0.95, 1.15))]
    span = length * {"airliner": 0.48, "propeller": 0.6, "fighter": 0.28}[style]
    span *= between(rng, 0.9, 1.15)
    sweep = length * {"airliner": 0.16, "propeller": 0.01, "fighter": 0.22}[style]
    sweep *= between(rng, 0.7, 1.2)
    chord = length * {"airliner": 0.15, "propeller": 0.17, "fighter": 0.34}[style]
    high = {"airliner": -0.5, "propeller": pick(rng, (-0.7, 0.9)), "fighter": 0.0}[style] * r
    tip = chord * (between(rng, 0.55, 0.9) if style == "propeller" else between(rng, 0.2, 0.4))
    rise = between(rng, 0.02, 0.1) * span
    at = length * between(rng, 0.02, 0.1)
    wing = _wing(span, chord, tip, sweep, rise).moved(at, high)
    tail = -length * 0.44
    small = between(rng, 0.34, 0.45)
    tall = between(rng, 0.25, 0.5) * r if chance(rng, 0.8) else r * 3
    rear = _wing(span * small, chord * 0.55, tip * 0.55, sweep * small, rise * 0.3)
    parts += _both_sides([wing, rear.moved(tail, tall)])
    fin = _wing(r * between(rng, 2.6, 3.8), chord * 0.7, chord * 0.3, chord * 0.6, 0.0)
    parts.append(fin.turned("x", -90).moved(tail + chord * 0.05, r * 0.3))
    if style == "airliner":
        jet_r, jet = r * between(rng, 0.38, 0.52), length * 0.09
        shape = [(0, 0), (jet_r * 0.6, 0), (jet_r, jet * 0.5), (jet_r * 0.95, jet), (0, jet * 0.9)]
        engine = lathe(shape, 20).turned("z", -90)
        for place in pick(rng, ((0.35,), (0.35,), (0.3, 0.6))):
            x = at + chord * 0.15 - sweep * place
            parts += _both_sides([engine.moved(x, high - jet_r * 1.1 + rise * place, span * place)])
    elif style == "propeller":
        blade = box(r * 0.22, r * 3.2, r * 0.3).moved(y=-r * 1.6).moved(length * 0.49)
        parts += [blade, *turned([blade], "x", 90)][: pick(rng, (1, 2))]
        wheel = cylinder(r * 0.4, r * 0.25, 16).turned("x", 90)
        strut = box(r * 0.12, r * 1.6, r * 0.12)
        parts += _both_sides(
            [wheel.moved(at, -r * 2.2, r * 1.2), strut.moved(at, -r * 2.2, r * 1.2)]
        )
    else:
        canopy = lathe(smooth([(0, 0), (r * 0.6, r * 1.5), (0, r * 4)], 14).clip(min=0.0), 16)
        parts.append(canopy.turned("z", 90).moved(length * 0.35, r * 0.6))
    lowest = min(float(part.vertices[:, 1].min()) for part in parts)
    return moved(parts, y=-lowest)


def _wing(span: float, root: float, tip: float, sweep: float, rise: float) -> Mesh:
    """One wing along +z: its chords at root and tip, how far the tip lies back and up."""
    rings = []
    for share in (-0.05, 1.0):
        chord = root + (tip - root) * share
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        ring = np.zeros((14, 3))
        ring[:, 0] = np.cos(angle) * chord / 2 - sweep * share
        ring[:, 1] = np.sin(angle) * chord * 0.055 + rise * share
        ring[:, 2] = span * share
        rings.append(ring)
    return loft(rings)


def car(rng: np.random.Generator) -> Parts:
    """A saloon, hatchback, estate, van, pick-up or sports car."""
    style = pick(rng, ("saloon", "hatchback", "estate", "van", "pickup", "sports"))
    length = between(rng, 3.8, 4.9)
    width = between(rng, 1.65, 1.9)
    wheel = between(rng, 0.29, 0.37)
    clear = wheel * between(rng, 0.5, 0.75)
    belt = clear + between(rng, 0.5, 0.62)
    roof = belt + {"van": 0.85, "sports": 0.38}.get(style, between(rng, 0.48, 0.62))
    half = length / 2
    hood = belt * between(rng, 0.9, 1.0)
    boot = belt * between(rng, 0.95, 1.05)
    low = [(half * 0.97, clear * 1.3, 0.9), (half, clear * 1.9, 0.94)]
    lower = [*low, (half * 0.93, hood * 0.93, 0.97), (half * 0.45, belt, 1.0)]
    lower += [
        (-half * 0.75, boot, 1.0),
        (-half * 0.98, boot * 0.95, 0.96),
        (-half, clear * 1.6, 0.94),
    ]
    parts: Parts = [_body(lower, clear, width)]
    front, back = (
        half * between(rng, 0.35, 0.45),
        {
            "saloon": -half * 0.62,
            "sports": -half * 0.7,
            "hatchback": -half * 0.86,
            "estate": -half * 0.96,
            "van": -half * 0.97,
            "pickup": -half * 0.08,
        }[style],
    )
    slope = (roof - belt) * (0.45 if style == "van" else between(rng, 0.8, 1.25))
    fall = (roof - belt) * {"saloon": 0.9, "sports": 1.6, "hatchback": 0.45}.get(style, 0.15)
    if style == "van":
        front = half * 0.75
    upper = [(front, belt - 0.03), (front - slope, roof), (back + fall, roof), (back, belt - 0.03)]
    parts.append(_cabin(upper, width, between(rng, 0.74, 0.88)))
    if style == "pickup":
        bed = half * 0.88
        t = 0.07
        z = width / 2 - t
        parts += _both_sides([box(bed, 0.3, t).moved(-half * 0.53, belt - 0.05, z)])
        parts.append(box(t, 0.3, width * 0.95).moved(-half * 0.96, belt - 0.05))
    x = half * between(rng, 0.6, 0.66)
    tyre = cylinder(wheel, 0.22, 24).turned("x", 90)
    hub = cylinder(wheel * 0.6, 0.24, 16).turned("x", 90)
    for place in (x, -x):
        parts += _both_sides([w.moved(place, wheel, width / 2 - 0.2) for w in (tyre, hub)])
    if chance(rng, 0.8):
        mirror = box(0.12, 0.12, 0.2).moved(front - 0.15, belt, width / 2 + 0.06)
        parts += _both_sides([mirror])
    if style == "sports" and chance(rng, 0.4):
        parts.append(box(0.25, 0.04, width * 0.85).moved(-half * 0.9, boot + 0.18))
        parts += _both_sides([box(0.08, 0.25, 0.05).moved(-half * 0.9, boot - 0.05, width * 0.3)])
    return parts


def _body(outline: list[tuple[float, float, float]], floor: float, width: float) -> Mesh:
    """A body from its side view: (x, y, share of the width), the front first."""
    rings = []
    for x, y, share in outline:
        tall = max(y - floor, 0.05)
        section = rounded_rectangle(width * share, tall, 0.12)
        rings.append(np.stack([np.full(24, x), section[:, 1] + floor + tall / 2, section[:, 0]], 1))
    return loft(rings)


def _cabin(outline: list[tuple[float, float]], width: float, top: float) -> Mesh:
    """Windows and roof from their side view, narrower towards the roof."""
    base = min(y for _, y in outline)
    high = max(y for _, y in outline)
    sides = []
    for s in (1.0, -1.0):
        side = [
            (x, y, s * width / 2 * (0.97 + (top - 0.97) * (y - base) / (high - base)))
            for x, y in outline
        ]
        sides.append(side)
    return loft(sides)
