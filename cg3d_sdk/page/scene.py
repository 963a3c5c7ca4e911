"""The page of `cg3d query`: one scene to walk about, with the answers to every question."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.points import Up
from cg3d_runtime.scene.planes import room_height_band
from cg3d_runtime.scene.voxels import spacing, voxels
from cg3d_sdk.page.assets import assemble, base64_of, write_html
from cg3d_sdk.scene import Region, SceneAnswer, ScenePoints

#: A scene is thinned to this many points: 8 MB of page, 12 MB with colours.
MOST_POINTS = 1_000_000

#: Answers that have a colour of their own in scene.css.
_COLOURS = 8


def write_scene_page(
    path: str | Path,
    points: ArrayLike,
    answers: Sequence[SceneAnswer],
    *,
    title: str,
    colours: ArrayLike | None = None,
    up: Up = "z",
) -> None:
    """Write a self-contained HTML page of a scene and what it answered.

    The page draws with WebGL 2, or in plain 2D where there is none. It needs no network and
    nothing beside it. `#2` after its address opens the second question.

    Args:
        path: the file; one that exists is replaced, whole or not at all.
        points: (N, 3) or wider, metres: what the scene was made of. Rows with NaN or infinity are
            left out, and of more than a million points some, those of answers last.
        answers: from `Scene.query` on these points.
        title: of the page.
        colours: (N, 3) uint8, red, green, blue of each point; None for colours by height.
        up: the axis that points up in `points`.

    Raises:
        InputError: there is no usable point or no answer, colours of another shape or type, or
            the file cannot be written.
    """
    if not answers:
        raise InputError("a page of a scene needs at least one answer")
    cloud = ScenePoints.of(points, up)
    total = int(cloud.rows[-1]) + 1 if len(cloud.rows) else 0
    rgb = None if colours is None else _checked_colours(colours, len(np.asarray(points)))
    chosen = _shown(cloud, answers)
    xyz = cloud.local[chosen].astype(np.float64)
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    middle = (low + high) / 2
    # The page's frame: y up, about the middle.
    place = (xyz - middle)[:, [0, 2, 1]] * [1, 1, -1]
    half = np.abs(place).max(axis=0)
    step = max(float(2 * half.max()) / 65535, 1e-9)
    row_of = np.full(total, -1, np.int64)
    row_of[cloud.rows[chosen]] = np.arange(len(chosen))
    seen = np.array([middle[k] + cloud.origin[k] for k in range(3)])
    ceiling, floor = (high - middle)[2], (low - middle)[2]
    own = (
        '<label><input id="own" type="checkbox" checked autocomplete="off"> Its own colours</label>'
    )
    parts = {
        "title": escape(title),
        "lead": f"{len(cloud.rows):,} points"
        + (f", {len(chosen):,} of them shown" if len(chosen) < len(cloud.rows) else ""),
        "points": base64_of(np.rint((place + half) / step).astype("<u2").tobytes()),
        "colours": "" if rgb is None else base64_of(rgb[cloud.rows[chosen]].tobytes()),
        "low": _numbers(-half),
        "step": f"{step:.9g}",
        "size": f"{max(float(np.linalg.norm(high - low)), 1e-3):.6g}",
        # Of a disc: neighbours have to touch.
        "radius": f"{1.3 * spacing(xyz):.6g}",
        "floor": f"{floor:.4f}",
        "ceiling": f"{ceiling + 0.01:.4f}",
        "cut": f"{_below_ceiling(cloud.local[chosen]) - middle[2]:.4f}",
        "own": "" if rgb is None else own,
        "questions": "".join(
            f'<option value="{i}">{escape(answer.question)}</option>'
            for i, answer in enumerate(answers)
        ),
        "answers": "\n".join(_answer(answer, row_of, seen) for answer in answers),
    }
    scripts = ["gestures.js", "software.js", "gpu.js", "scene.js"]
    write_html(path, assemble("scene.html", ["shared.css", "scene.css"], scripts, parts))


def _checked_colours(colours: ArrayLike, n: int) -> NDArray[np.uint8]:
    rgb = np.asarray(colours)
    if rgb.shape != (n, 3) or rgb.dtype != np.uint8:
        raise InputError(
            f"colours must be ({n}, 3) uint8, one row for each point, not {rgb.shape} {rgb.dtype}"
        )
    return rgb


def _shown(cloud: ScenePoints, answers: Sequence[SceneAnswer]) -> NDArray[np.int64]:
    """Rows of the cloud that the page shows, in no order: any first part of them is even."""
    draws = np.random.default_rng(0)
    order = draws.permutation(len(cloud.rows))
    if len(order) > MOST_POINTS:
        asked = np.zeros(int(cloud.rows[-1]) + 1, np.bool_)
        for answer in answers:
            for region in answer.regions:
                asked[region.indices] = True
        first = np.argsort(~asked[cloud.rows[order]], kind="stable")[:MOST_POINTS]
        order = draws.permutation(order[first])
    return order


def _below_ceiling(xyz: NDArray[np.float32]) -> float:
    """The height from which on a ceiling hides what is below; above everything without one."""
    grid = voxels(xyz, 4.0 * spacing(xyz))
    below = room_height_band(grid.centres[:, 2], grid.size)
    heights = grid.centres[:, 2]
    ceiling = heights[~below & (heights > np.median(heights[below]))]
    return float(ceiling.min()) - grid.size if len(ceiling) else float(xyz[:, 2].max()) + 0.01


def _answer(answer: SceneAnswer, row_of: NDArray[np.int64], seen: NDArray[np.float64]) -> str:
    kind = "found" if answer.found else "missing"
    verdict = (
        "Found" if answer.found else f"Probably not here (below {100 * answer.threshold:.0f} %)"
    )
    meant = "" if (answer.question,) == answer.asked else f", asked as {', '.join(answer.asked)}"
    items = "\n".join(
        _item(number, region, row_of, seen) for number, region in enumerate(answer.regions)
    )
    return f"""<section class="answer {kind}">
<h2>{escape(answer.question)}</h2>
<p class="verdict">{escape(verdict + meant)}</p>
<ol class="regions">
{items}
</ol>
</section>"""


def _item(number: int, region: Region, row_of: NDArray[np.int64], seen: NDArray[np.float64]) -> str:
    box = region.oriented_box
    x, y, z = box.centre - seen
    # The page's frame has y up; a yaw about the vertical keeps its sense.
    placed = _numbers(np.array([x, z, -y, *box.size, box.yaw]))
    rows = row_of[region.indices]
    looks = ", ".join(f"{r.label} {100 * r.score:.0f} %" for r in region.ranking[:3])
    length, width, height = box.size
    where = ", ".join(f"{value:.2f}" for value in box.centre)
    return f"""<li class="region" data-box="{placed}" data-rows="{_gaps(rows[rows >= 0])}">
<span class="swatch answer-{number % _COLOURS + 1}">{number + 1}</span>
<span class="score">{100 * region.score:.1f} %</span>
<button type="button" aria-label="Look at answer {number + 1}">Look at</button>
<span class="facts">{length:.2f} x {width:.2f} x {height:.2f} m at {where} m<br>
looks like {escape(looks)}</span>
</li>"""


def _numbers(values: NDArray[np.float64]) -> str:
    return ",".join(f"{value:.5g}" for value in values)


def _gaps(rows: NDArray[np.int64]) -> str:
    """Base64 of rows as gaps, seven bits a byte, the lowest first; the last byte is below 128."""
    ordered = np.append(-1, np.sort(rows))
    gaps = ordered[1:] - ordered[:-1]
    bits = gaps[:, None] >> (7 * np.arange(4))
    more = np.column_stack([bits[:, 1:] > 0, np.zeros(len(gaps), np.bool_)])
    kept = np.column_stack([np.ones(len(gaps), np.bool_), bits[:, 1:] > 0])
    return base64_of((bits & 127 | 128 * more).astype(np.uint8)[kept].tobytes())
