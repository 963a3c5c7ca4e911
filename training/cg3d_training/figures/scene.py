"""Figures 3, 8 and 9: a scene, its clusters, and what a question highlights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_sdk.page.scene import write_scene_page
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.data.indoor import IndoorScene
from cg3d_training.evaluation.scenes import CLUSTERS, TOP, LabelledOut, ask
from cg3d_training.figures.sheet import write_sheet
from cg3d_training.figures.splat import points_picture

_WIDTH, _HEIGHT = 300, 220

#: Points of a picture; more would only lie over one another.
_MOST = 250_000

_FOUND, _OTHER = (214, 40, 40), (205, 205, 205)


def write_scene_figure(
    file: Path,
    recognizer: Recognizer,
    scene: IndoorScene,
    words: Sequence[str],
    way: str = "paper",
    clusters: int = CLUSTERS,
) -> None:
    """Write three panels for every word as a .png, or the scene to walk about as an .html page.

    The ceiling is left out of the pictures. The page shows the answers of `Scene.query` on the
    clusters of that way.

    Args:
        way: of `cg3d_training.evaluation.scenes.WAYS`.
        clusters: of the paper's way.

    Raises:
        VocabularyError: a word that the bundle does not know.
        InputError: the file cannot be written.
    """
    title = f"{scene.name}: {', '.join(words)}"
    if file.suffix == ".html":
        keep = ~scene.rows_of({"floor", "ceiling"})
        segmentation = LabelledOut(keep, clusters) if way == "paper" else None
        cut = recognizer.scene(scene.xyz, "z", segmentation)
        answers = cut.query_many(words, top=TOP)
        write_scene_page(file, scene.xyz, answers, title=title, colours=scene.rgb)
        return
    asked = ask(recognizer, scene, words, way, clusters)
    seen = np.flatnonzero(~scene.rows_of({"ceiling"}))
    if len(seen) > _MOST:
        seen = np.sort(np.random.default_rng(0).permutation(seen)[:_MOST])
    first = _drawn(scene, seen, scene.rgb)
    second = _drawn(scene, seen, _cluster_colours(asked.clusters))
    pale = 170 + scene.rgb // 4
    rows = []
    for answer in asked.answers:
        colours = np.where(answer.shown[:, None], _FOUND, pale).astype(np.uint8)
        result = f'query = "{answer.word}"'
        rows.append([
            (scene.name, first), (f"clusters ({way})", second),
            (result, _drawn(scene, seen, colours)),
        ])  # fmt: skip
    write_sheet(file, rows)


def _drawn(
    scene: IndoorScene, rows: NDArray[np.int64], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    return points_picture(scene.xyz[rows], colours[rows], _WIDTH, _HEIGHT, elevation=50.0)


def _cluster_colours(clusters: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(n, 3) uint8; points of no cluster are grey."""
    count = int(clusters.max(initial=-1)) + 1
    # Neighbouring numbers get colours far from each other.
    hue = (np.arange(count) * 0.618034) % 1.0
    wheel = np.abs((hue[:, None] * 6 + [0.0, 4.0, 2.0]) % 6 - 3) - 1
    palette = np.rint(255 * (0.25 + 0.7 * np.clip(wheel, 0, 1))).astype(np.uint8)
    return np.concatenate([palette, np.array([_OTHER], np.uint8)])[clusters]
