"""How large things are, and how plausible a name is for a part of a given extent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.text.bank import TextBank

#: Standard deviations of the logarithm beyond the bounds. A part is seen smaller than its thing is
#: (from one side, or cut), but hardly larger.
_BELOW, _ABOVE = 0.5, 0.2

#: The least that a size may say, as a natural logarithm: a toy may be asked for too.
_LEAST = -6.0

#: Rows that a box is measured on at most, and the turns of the box that are tried.
_ROWS, _TURNS = 512, 8


@dataclass(frozen=True)
class Size:
    """What things of a name measure, as they stand, lie or hang in use; metres.

    Attributes:
        long: least and most of the longest side of an upright box.
        tall: least and most of its height.
        thin: the most that its shortest side has. There is no least: of a cupboard that is seen
            from the front, all is thin.
    """

    long: tuple[float, float]
    tall: tuple[float, float] = (0.0, np.inf)
    thin: float = np.inf


def extents(xyz: NDArray[np.floating], parts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """The longest side, the height and the shortest side of the upright box of each part, nearly.

    Args:
        xyz: (n, 3) metres, z up.
        parts: rows of each, none empty.

    Returns:
        (c, 3) float64 metres.
    """
    turns = np.arange(_TURNS) * np.pi / 2 / _TURNS
    along = np.stack([np.cos(turns), np.sin(turns)])
    across = np.stack([-np.sin(turns), np.cos(turns)])
    found = np.empty((len(parts), 3))
    for i, rows in enumerate(parts):
        some = xyz[rows[:: max(1, len(rows) // _ROWS)]]
        length, width = np.ptp(some[:, :2] @ along, axis=0), np.ptp(some[:, :2] @ across, axis=0)
        tightest = int((length * width).argmin())
        height = float(np.ptp(some[:, 2]))
        sides = (float(length[tightest]), float(width[tightest]), height)
        found[i] = max(sides), height, min(sides)
    return found


def plausibility(metres: NDArray[np.float64], bank: TextBank) -> NDArray[np.float32]:
    """How well each name goes with each extent.

    Args:
        metres: (c, 3) from `extents`.
        bank: names; those without known bounds go with every extent.

    Returns:
        (c, L) float32 natural logarithms: 0 within the bounds of a name, less beyond, -6 at least.
    """
    least, most = np.zeros((3, len(bank))), np.full((3, len(bank)), np.inf)
    for name, size in known_sizes().items():
        if name in bank:
            row = bank.index(name)
            (least[0, row], most[0, row]), (least[1, row], most[1, row]) = size.long, size.tall
            most[2, row] = size.thin
    measured = np.log(np.maximum(metres, 1e-6))[:, :, None]
    with np.errstate(divide="ignore"):  # a name without bounds has the logarithm of 0
        below = np.maximum(np.log(least) - measured, 0) / _BELOW
        above = np.maximum(measured - np.log(most), 0) / _ABOVE
    far = (below**2 + above**2).sum(axis=1)
    told: NDArray[np.float32] = np.maximum(-0.5 * far, _LEAST).astype(np.float32)
    return told


@cache
def known_sizes() -> dict[str, Size]:
    """What the things of each name in sizes.txt measure."""
    text = (resources.files("cg3d_runtime.scene") / "sizes.txt").read_text(encoding="utf-8")
    sizes = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            bounds, names = line.split(":")
            size = _size(bounds.split())
            sizes.update({name.strip(): size for name in names.split(",")})
    return sizes


def _size(words: Sequence[str]) -> Size:
    """Of "0.3 0.9 tall 0.2 0.7 thin 0.5"; the last two are there or not."""
    size = Size((float(words[0]), float(words[1])))
    rest = list(words[2:])
    if rest[:1] == ["tall"]:
        size, rest = replace(size, tall=(float(rest[1]), float(rest[2]))), rest[3:]
    if rest[:1] == ["thin"]:
        size, rest = replace(size, thin=float(rest[1])), rest[2:]
    if rest:
        raise ValueError(f"sizes.txt: {' '.join(words)!r} is no size")
    return size
