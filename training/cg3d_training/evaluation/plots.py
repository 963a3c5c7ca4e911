"""Pictures of a report: confusion, accuracy against points kept, corruptions, a map of classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_training.evaluation.accuracy import Accuracy
from cg3d_training.evaluation.run import Report

#: For each subject: how far, and what was reached there.
Curves = dict[str, list[tuple[float, Accuracy]]]

_EXTRA = "plots"
_CONFUSED = "ModelNet40 names"
_INK, _GREY = "#222222", "#9a9a9a"

#: Told apart by people with colour blindness too (Okabe and Ito), then again with another marker.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
_MARKERS = "osD^v"

#: Classes of the map that have a colour of their own, the most frequent ones.
_COLOURED = 14

_STYLE = {
    "font.size": 7, "axes.titlesize": 8, "legend.fontsize": 7, "legend.title_fontsize": 7,
    "axes.titlelocation": "left", "axes.edgecolor": _GREY, "axes.labelcolor": _INK,
    "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.4,
    "lines.markersize": 3.5, "savefig.dpi": 120, "savefig.bbox": "tight",
}  # fmt: skip


def check_plots() -> None:
    """See that the packages are there, before minutes of work.

    Raises:
        DependencyError: matplotlib or umap-learn is not installed; the message has the line.
    """
    require("matplotlib", _EXTRA, "Drawing plots")
    require("umap", _EXTRA, "The map of embeddings (UMAP)")


def write_plots(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Write a PNG of everything that the reports have, and say which.

    Raises:
        DependencyError: matplotlib or umap-learn is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    kept = {r.name: _curve(r, "points kept") for r in reports}
    if any(kept.values()):
        written.append(draw_points_kept(kept, folder / "points-kept.png"))
    kinds = [p.sweep for r in reports for p in r.sweeps if p.sweep not in ("clean", "points kept")]
    if kinds:
        curves = {k: {r.name: _from_clean(r, k) for r in reports} for k in dict.fromkeys(kinds)}
        written.append(draw_corruptions(curves, folder / "corruptions.png"))
    for report in reports:
        # A name may be a path.
        tag = "-" + re.sub(r"[^\w.]+", "-", report.name).strip("-") if len(reports) > 1 else ""
        confused = next((r for r in report.results if r.task == _CONFUSED), None)
        if confused:
            written.append(draw_confusion(confused, report.name, folder / f"confusion{tag}.png"))
        if len(report.embeddings):
            xy = embedding_map(report.embeddings)
            file = folder / f"embeddings{tag}.png"
            written.append(draw_map(xy, report.classes, report.name, file))
    return written


def embedding_map(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 2) float32 places of embeddings (n, d) by UMAP of their cosines; seed 0.

    Raises:
        DependencyError: umap-learn is not installed.
    """
    umap = require("umap", _EXTRA, "The map of embeddings (UMAP)")
    neighbours = min(15, len(embeddings) - 1)
    reducer = umap.UMAP(n_neighbors=neighbours, metric="cosine", random_state=0, n_jobs=1)
    return np.asarray(reducer.fit_transform(embeddings), np.float32)


def draw_points_kept(curves: Curves, file: Path) -> Path:
    """Top-1 with its interval against the number of points, a line a subject."""
    with _canvas(file, 1, 1, (4.4, 2.8)) as axes:
        axis = axes[0, 0]
        for number, (name, curve) in enumerate(curves.items()):
            _line(axis, number, name, sorted(curve, key=lambda step: step[0]))
        axis.set_xscale("log", base=2)
        steps = sorted({at for curve in curves.values() for at, _ in curve})
        axis.set_xticks(steps, [f"{at:.0f}" for at in steps])
        axis.minorticks_off()
        axis.set_xlabel("points of the cloud")
        axis.set_ylabel("top-1, %")
        axis.set_title("ModelNet40 names, by points kept (band: 95 % interval)")
        axis.legend(loc="lower right")
    return file


def draw_corruptions(curves: dict[str, Curves], file: Path) -> Path:
    """A small picture for each corruption: top-1 against its severity, a line a subject."""
    columns = min(4, len(curves) + 1)
    rows = -(-(len(curves) + 1) // columns)
    with _canvas(file, rows, columns, (1.9 * columns, 1.8 * rows)) as axes:
        for axis, (kind, lines) in zip(axes.flat, curves.items(), strict=False):
            for number, (name, curve) in enumerate(lines.items()):
                _line(axis, number, name, curve)
            axis.set_title(kind)
            axis.set_xticks(range(6), ["none", *"12345"])
        for axis in axes[:, 0]:
            axis.set_ylabel("top-1, %")
        for axis in axes.flat[len(curves) :]:
            axis.axis("off")
        lines = axes.flat[0].get_legend_handles_labels()
        axes.flat[len(curves)].legend(*lines, loc="center", title="by severity")
    return file


def draw_confusion(result: Accuracy, name: str, file: Path) -> Path:
    """Which class is called what: shares of a row, the true class outlined."""
    rows = sorted(result.answers)
    columns = sorted({answer for said in result.answers.values() for answer in said} | set(rows))
    shares = np.zeros((len(rows), len(columns)))
    counts = [sum(result.answers[true].values()) for true in rows]
    for i, true in enumerate(rows):
        for answer, count in result.answers[true].items():
            shares[i, columns.index(answer)] = 100 * count / counts[i]
    size = (max(3.0, 0.16 * len(columns)) + 1.2, max(1.6, 0.16 * len(rows)) + 1.0)
    with _canvas(file, 1, 1, size) as axes:
        axis = axes[0, 0]
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        for i, true in enumerate(rows):
            column = columns.index(true)
            axis.add_patch(_square(column, i))
            for j in np.flatnonzero(shares[i]):
                colour = "white" if shares[i, j] > 55 else _INK
                axis.text(
                    j, i, f"{shares[i, j]:.0f}", ha="center", va="center", fontsize=4.5,
                    color=colour, weight="bold" if j == column else "normal",
                )  # fmt: skip
        labels = [f"{_words(true)} ({n})" for true, n in zip(rows, counts, strict=True)]
        axis.set_yticks(range(len(rows)), labels, fontsize=6)
        axis.set_xticks(range(len(columns)), map(_words, columns), fontsize=6, rotation=90)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(f"{name}, {result.task}: what each class is called, % of its objects")
        axis.set_xlabel("answer")
        axis.set_ylabel("class (objects)")
    return file


def draw_maps(
    maps: Sequence[tuple[str, NDArray[np.float32]]],
    classes: Sequence[str],
    title: str,
    file: Path,
) -> Path:
    """Maps side by side under their titles, each of places (n, 2), coloured by class."""
    with _canvas(file, 1, len(maps), (3.2 * len(maps) + 1.2, 3.4)) as axes:
        for axis, (name, xy) in zip(axes[0], maps, strict=True):
            _scatter(axis, xy, classes)
            axis.set_title(name)
        axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), title=title)
    return file


def map_colours(count: int) -> list[str]:
    """A colour for each of so many classes; the list repeats."""
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]


def draw_map(xy: NDArray[np.float32], classes: Sequence[str], name: str, file: Path) -> Path:
    """Places (n, 2) coloured by class; rarer classes are grey."""
    with _canvas(file, 1, 1, (5.4, 3.6)) as axes:
        axis = axes[0, 0]
        _scatter(axis, xy, classes)
        axis.set_title(f"{name}: UMAP of embeddings, whole test objects by ModelNet40 class")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return file


def _scatter(axis: Any, xy: NDArray[np.float32], classes: Sequence[str]) -> None:
    frequent = [c for c, _ in Counter(classes).most_common(_COLOURED)]
    own = np.array([frequent.index(c) if c in frequent else -1 for c in classes])
    if (own < 0).any():
        axis.scatter(*xy[own < 0].T, s=8, color="#d0d0d0", linewidths=0, label="others")
    for number, label in enumerate(frequent):
        axis.scatter(
            *xy[own == number].T, s=16, linewidths=0, label=_words(label),
            color=_COLOURS[number % len(_COLOURS)], marker=_MARKERS[number // len(_COLOURS)],
        )  # fmt: skip
    axis.axis("off")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _curve(report: Report, sweep: str) -> list[tuple[float, Accuracy]]:
    return [(p.at, p.result) for p in report.sweeps if p.sweep == sweep]


def _from_clean(report: Report, kind: str) -> list[tuple[float, Accuracy]]:
    return _curve(report, "clean") + _curve(report, kind)


def _line(axis: Any, number: int, name: str, curve: Sequence[tuple[float, Accuracy]]) -> None:
    at = [x for x, _ in curve]
    low, high = (100 * np.array([r.top1_interval[k] for _, r in curve]) for k in (0, 1))
    colour = _COLOURS[number % len(_COLOURS)]
    axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    top1 = [100 * r.top1 for _, r in curve]
    axis.plot(at, top1, color=colour, marker=_MARKERS[number % len(_MARKERS)], label=name)
    axis.set_ylim(0, 100)
    axis.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)


def _square(column: int, row: int) -> Any:
    patches = require("matplotlib.patches", _EXTRA, "Drawing plots")
    place = (column - 0.5, row - 0.5)
    return patches.Rectangle(place, 1, 1, fill=False, edgecolor=_GREY, linewidth=0.4)


@contextmanager
def _canvas(file: Path, rows: int, columns: int, inches: tuple[float, float]) -> Iterator[Any]:
    """The axes of a figure of our style, saved at the end. No window or global state knows it."""
    matplotlib = require("matplotlib", _EXTRA, "Drawing plots")
    figures = require("matplotlib.figure", _EXTRA, "Drawing plots")
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=inches, layout="constrained")
        yield figure.subplots(rows, columns, squeeze=False)
        figure.savefig(file)
