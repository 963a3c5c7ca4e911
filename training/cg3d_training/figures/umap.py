"""Figures 6 and 7: maps of features by class, before and after."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_sdk.page.assets import write_html
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.encoders import PointEncoder, build_encoder
from cg3d_training.evaluation.any_order import embed_any_order
from cg3d_training.evaluation.plots import draw_maps, embedding_map, map_colours
from cg3d_training.losses import unit_rows
from cg3d_training.paper.depth_maps import DEPTH_MAPS
from cg3d_training.paper.pictures import ImageTower, of_clouds, open_prompts, view_vectors
from cg3d_training.paper.protocol import PROTOCOLS, prepared
from cg3d_training.paper.words import open_teacher

_BATCH = 32

#: Of the untrained weights.
_SEED = 1


@dataclass(frozen=True, eq=False)
class Panel:
    """One map.

    Attributes:
        title: above it.
        features: (n, d) float32.
    """

    title: str
    features: NDArray[np.float32]


def chosen(clouds: LabelledClouds, most: int) -> LabelledClouds:
    """At most so many clouds of each class, the first ones of the set.

    Raises:
        TrainingError: fewer than five clouds, of which no map can be made.
    """
    rows = [row for c in range(len(clouds.classes)) for row in _first(clouds.labels, c, most)]
    if len(rows) < 5:
        raise TrainingError(f"a map needs five clouds at least, not {len(rows)}")
    at = np.array(sorted(rows))
    return LabelledClouds(clouds.classes, clouds.clouds[at], clouds.labels[at])


def _first(labels: NDArray[np.int64], label: int, most: int) -> list[int]:
    return [int(row) for row in np.flatnonzero(labels == label)[:most]]


def cloud_panels(checkpoint: Path, clouds: LabelledClouds) -> list[Panel]:
    """Figure 6: features of the encoder with random weights, and with the checkpoint's.

    Raises:
        TrainingError: the checkpoint cannot be read.
    """
    own = load_checkpoint(checkpoint)
    torch.manual_seed(_SEED)
    before = build_encoder(own.spec).eval()
    return [
        Panel("before training", cloud_features(before, clouds)),
        Panel("after training", cloud_features(own.build(), clouds)),
    ]


@torch.inference_mode()
def cloud_features(encoder: PointEncoder, clouds: LabelledClouds) -> NDArray[np.float32]:
    """(n, d) unit rows of clouds, prepared as by a bundle."""
    if encoder.any_order:
        return embed_any_order(encoder, list(clouds.clouds), "y")
    rows = []
    for start in range(0, len(clouds), _BATCH):
        batch = [
            prepared(cloud, PROTOCOLS["sdk"], encoder.points)
            for cloud in clouds.clouds[start : start + _BATCH]
        ]
        rows.append(unit_rows(encoder.embed_ordered(torch.from_numpy(np.stack(batch)))).numpy())
    return np.concatenate(rows)


def picture_panels(
    teacher: str, prompts: Path, clouds: LabelledClouds, maps: str = "prepared"
) -> list[Panel]:
    """Figure 7: features of depth maps by a teacher's image tower, without and with prompts.

    Args:
        teacher: as `open_teacher` takes it.
        prompts: of a run on triplets with that teacher.
        maps: a key of `DEPTH_MAPS`; several views of a cloud are averaged.

    Raises:
        TrainingError: teacher or prompts cannot be read, or do not fit each other.
    """
    tower = open_teacher(teacher).teacher
    towers = [
        ImageTower("without prompts", tower),
        ImageTower("with prompts", tower, open_prompts(prompts)),
    ]
    found = view_vectors(towers, of_clouds("depth maps", clouds, DEPTH_MAPS[maps]))
    return [
        Panel(own.name, features.mean(axis=1)) for own, features in zip(towers, found, strict=True)
    ]


def write_umap(file: Path, panels: Sequence[Panel], classes: Sequence[str], title: str) -> None:
    """Write the maps side by side, as a .png, or as an .html page to point at.

    Args:
        classes: of each row of the features.

    Raises:
        DependencyError: umap-learn, or for a .png matplotlib, is not installed.
        InputError: the file cannot be written.
    """
    maps = [(panel.title, embedding_map(panel.features)) for panel in panels]
    if file.suffix == ".html":
        write_html(file, _page(maps, classes, title))
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draw_maps(maps, classes, title, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error}") from error


def _page(
    maps: Sequence[tuple[str, NDArray[np.float32]]], classes: Sequence[str], title: str
) -> str:
    names = [name for name, _ in Counter(classes).most_common()]
    place = {name: i for i, name in enumerate(names)}
    content = {
        "names": [name.replace("_", " ") for name in names],
        "colours": map_colours(len(names)),
        "own": [place[name] for name in classes],
        "maps": [{"title": t, "xy": _unit_square(xy).round(4).tolist()} for t, xy in maps],
    }
    template = resources.files("cg3d_training.figures").joinpath("umap.html")
    # "<" would end the script, wherever it stands in a name.
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    html = template.read_text(encoding="utf-8")
    return html.replace("@title@", escape(title)).replace("@data@", data)


def _unit_square(xy: NDArray[np.float32]) -> NDArray[np.float64]:
    low, span = xy.min(axis=0), np.ptp(xy, axis=0)
    return np.asarray((xy - low) / np.maximum(span, 1e-9), np.float64)
