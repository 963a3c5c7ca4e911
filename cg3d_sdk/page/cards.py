"""The page of `cg3d demo`: a card for each cloud, every name escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.points import Up
from cg3d_sdk.page.assets import assemble, base64_of, write_html
from cg3d_sdk.results import Ranked

#: A cloud is thinned to this many points: what a card of the page can show, in 32 kB.
MOST_POINTS = 4096


@dataclass(frozen=True, eq=False)
class PageEntry:
    """One cloud of the page.

    Attributes:
        name: what stands over it, e.g. the file's name or what it shows.
        points: (n, 3), any unit; rows with NaN or infinity are left out.
        ranking: what to list, the best first.
        truth: the label that is right, where that is known; it is marked.
        up: the axis that points up.
    """

    name: str
    points: NDArray[np.floating]
    ranking: Sequence[Ranked]
    truth: str | None = None
    up: Up = "z"


def write_page(
    path: str | Path, entries: Sequence[PageEntry], *, title: str, lead: str = ""
) -> None:
    """Write a self-contained HTML page with one card for each entry.

    The file needs no network and nothing beside it. It appears whole or not at all.

    Args:
        path: the file; one that exists is replaced.
        entries: what to show.
        title: of the page.
        lead: a sentence or two below it.

    Raises:
        InputError: an entry has no finite point, or the file cannot be written.
    """
    parts = {
        "title": escape(title),
        "lead": escape(lead),
        "cards": "\n".join(_card(entry) for entry in entries),
    }
    styles, scripts = ["shared.css", "cards.css"], ["gestures.js", "software.js", "cards.js"]
    write_html(path, assemble("cards.html", styles, scripts, parts))


def _card(entry: PageEntry) -> str:
    points = _shown(entry)
    best = entry.ranking[0] if entry.ranking else Ranked("nothing", 0.0)
    right = entry.truth is not None and best.label == entry.truth
    known = "" if entry.truth is None else (" hit" if right else " miss")
    count = f"{len(entry.points):,} points"
    rows = "\n".join(_row(ranked, entry.truth) for ranked in entry.ranking)
    return f"""<article class="card{known}">
<canvas tabindex="0" role="img" data-points="{_encoded(points)}"
 aria-label="Point cloud: {escape(entry.name)}. Arrow keys turn it, plus and minus zoom."></canvas>
<div class="text">
<p class="sample"><span>{escape(entry.name)}</span><span class="count">{count}</span></p>
<h2>{escape(best.label)}</h2>
<ol class="ranking">
{rows}
</ol>
</div>
</article>"""


def _row(ranked: Ranked, truth: str | None) -> str:
    mark = ""
    kind = ""
    if truth is not None and ranked.label == truth:
        kind = ' class="truth"'
        mark = '<span class="mark" role="img" aria-label="the right name">\N{CHECK MARK}</span>'
    return (
        f'<li{kind}><span class="label">{escape(ranked.label)}{mark}</span>'
        f'<span class="score">{100 * ranked.score:.1f} %</span>'
        f'<progress max="1" value="{ranked.score:.4f}" aria-hidden="true"></progress></li>'
    )


def _shown(entry: PageEntry) -> NDArray[np.float64]:
    """(m, 3) points of the card: y up, within the unit sphere, evenly thinned."""
    points = np.asarray(entry.points, dtype=np.float64)[:, :3]
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        raise InputError(f"{entry.name}: there is no finite point to show")
    if len(points) > MOST_POINTS:
        chosen = np.random.default_rng(0).permutation(len(points))[:MOST_POINTS]
        points = points[chosen]
    if entry.up == "z":
        points = np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)
    points = points - (points.min(axis=0) + points.max(axis=0)) / 2
    unit: NDArray[np.float64] = points / max(float(np.linalg.norm(points, axis=1).max()), 1e-12)
    return unit


def _encoded(points: NDArray[np.float64]) -> str:
    """Base64 of x, y, z as little-endian uint16, 0 for -1 and 65535 for 1."""
    return base64_of(np.rint((points + 1) * 32767.5).astype("<u2").tobytes())
