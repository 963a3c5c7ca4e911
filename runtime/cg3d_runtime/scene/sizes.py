"""How long things are, and how plausible a name is for a part of a given length."""

from __future__ import annotations

from collections.abc import Sequence
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

#: Rows that a length is measured on at most, and the turns of the box that are tried.
_ROWS, _TURNS = 512, 8


def lengths(xyz: NDArray[np.floating], parts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """The longest side of the upright box of each part, nearly.

    Args:
        xyz: (n, 3) metres, z up.
        parts: rows of each, none empty.

    Returns:
        (c,) float64 metres.
    """
    turns = np.arange(_TURNS) * np.pi / 2 / _TURNS
    along = np.stack([np.cos(turns), np.sin(turns)])
    across = np.stack([-np.sin(turns), np.cos(turns)])
    found = np.empty(len(parts))
    for i, rows in enumerate(parts):
        some = xyz[rows[:: max(1, len(rows) // _ROWS)]]
        length, width = np.ptp(some[:, :2] @ along, axis=0), np.ptp(some[:, :2] @ across, axis=0)
        tightest = int((length * width).argmin())
        found[i] = max(length[tightest], width[tightest], np.ptp(some[:, 2]))
    return found


def plausibility(metres: NDArray[np.float64], bank: TextBank) -> NDArray[np.float32]:
    """How well each name goes with each length.

    Args:
        metres: (c,) above 0.
        bank: names; those without known bounds go with every length.

    Returns:
        (c, L) float32 natural logarithms: 0 within the bounds of a name, less beyond, -6 at least.
    """
    least, most = np.zeros(len(bank)), np.full(len(bank), np.inf)
    for name, bounds in known_sizes().items():
        if name in bank:
            row = bank.index(name)
            least[row], most[row] = bounds
    long = np.log(np.maximum(metres, 1e-6))[:, None]
    with np.errstate(divide="ignore"):  # a name without bounds has the logarithm of 0
        below = np.maximum(np.log(least) - long, 0) / _BELOW
        above = np.maximum(long - np.log(most), 0) / _ABOVE
    told: NDArray[np.float32] = np.maximum(-0.5 * (below**2 + above**2), _LEAST).astype(np.float32)
    return told


@cache
def known_sizes() -> dict[str, tuple[float, float]]:
    """Least and most of the longest side, metres, of each name in sizes.txt."""
    text = (resources.files("cg3d_runtime.scene") / "sizes.txt").read_text(encoding="utf-8")
    sizes = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            bounds, names = line.split(":")
            least, most = map(float, bounds.split())
            sizes.update({name.strip(): (least, most) for name in names.split(",")})
    return sizes
