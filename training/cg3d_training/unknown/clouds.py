"""The clouds that a calibration is fitted to and reported on, through the Recognizer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.errors import TrainingError
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.data.clutter import made_clutter, table_patches, world_crops
from cg3d_training.data.household import HouseholdObject, HouseholdSet, held_out
from cg3d_training.data.partial import PartialViews, partial_view
from cg3d_training.evaluation.poses import yaw
from cg3d_training.unknown.fit import Known

#: How often each object is shown whole, and how often from one side.
_VIEWS = 2

#: Clouds of each kind of generated clutter, and of each real set.
_CLUTTER = 300
_REAL = 200


@dataclass(frozen=True)
class Parts:
    """Objects for fitting and for the report; none trained on with a name.

    Attributes:
        fit, report: the objects, with and without names.
        said: in words, what they are.
    """

    fit: HouseholdSet
    report: HouseholdSet
    said: str


@dataclass(frozen=True)
class Shown:
    """Embeddings of what was shown.

    Attributes:
        whole: known things as they are; one_sided: the same, from one side.
        unknown: what has no name, by kind.
    """

    whole: Known
    one_sided: Known
    unknown: dict[str, NDArray[np.float32]]

    def known(self) -> Known:
        """Both."""
        return Known(
            np.concatenate([self.whole.embeddings, self.one_sided.embeddings]),
            self.whole.rows + self.one_sided.rows,
            self.whole.kin + self.one_sided.kin,
        )


def split_objects(bundle: Bundle, objects: HouseholdSet) -> Parts:
    """Fit on what training held out; where it held nothing out, on half of the test split.

    Objects without a name are no training data: those of the training split are fitted to, those of
    the test split reported on.

    Args:
        bundle: whose recipe says what was held out.
        objects: the whole set, named by the hand-written table.
    """
    recipe: Mapping[str, Any] = bundle.manifest.training.get("recipe") or {}
    data = recipe.get("data") or {}
    share = float(data.get("validation") or 0.0)
    by_family = data.get("names") == "curated"

    def unseen(o: HouseholdObject) -> bool:
        if share > 0:
            return o.split == "train" and held_out(o.kin if by_family else o.name, share)
        return o.split == "test" and _first_half(o.kin)

    def fits(o: HouseholdObject) -> bool:
        return unseen(o) if o.rows else o.split == "train"

    said = (
        "the model was trained without a validation share, so: fitted to the named objects of half "
        "of the test split (whole families, by a hash), reported on the other half"
    )
    if share > 0:
        said = (
            f"fitted to the {share:.0%} of the training objects that were held out, reported on "
            "the test split"
        )
    return Parts(
        objects.where(fits), objects.where(lambda o: o.split == "test" and not fits(o)), said
    )


def show(
    recognizer: Recognizer,
    objects: HouseholdSet,
    vocabulary: Vocabulary,
    seed: int,
    tabletop: Path | None = None,
    worlds: Sequence[Path] = (),
) -> Shown:
    """Embed objects, whole and from one side, and clutter.

    Args:
        recognizer: of the whole vocabulary.
        objects: those with labels are known; those without are unknown.
        vocabulary: of the objects' rows.
        seed: of everything that is drawn.
        tabletop, worlds: real clutter, see `table_patches` and `world_crops`.

    Raises:
        TrainingError: nothing is known, data are missing, or the bundle lacks a label.
    """
    rng = np.random.default_rng(seed)
    known = [i for i, o in enumerate(objects.objects) if o.rows and o.use in ("keep", "low")]
    if not known:
        raise TrainingError("none of the objects to calibrate with has a label")
    rows = [
        tuple(recognizer.bank.index(vocabulary.labels[r]) for r in objects.objects[i].rows)
        for i in known
    ]
    kin = [objects.objects[i].kin for i in known]
    clutter = [i for i, o in enumerate(objects.objects) if o.use == "clutter"]
    nameless = [i for i, o in enumerate(objects.objects) if not o.rows and o.use != "clutter"]
    clouds = made_clutter([objects.points(i) for i in known], _CLUTTER, rng)
    for kind, chosen in (("wall pieces, rocks, heaps", clutter), ("never-named shapes", nameless)):
        clouds[kind] = [
            view
            for i in chosen
            for view in (yaw(objects.points(i), rng), _one_sided(objects.points(i), rng))
        ]
    if tabletop:
        clouds["patches of real tables"] = table_patches(tabletop, _REAL, rng)
    for world in worlds:
        clouds[f"crops of {world.stem}"] = world_crops(world, _REAL, rng)
    shown = {
        "whole": [yaw(objects.points(i), rng) for i in known * _VIEWS],
        "one side": [_one_sided(objects.points(i), rng) for i in known * _VIEWS],
        **{kind: made for kind, made in clouds.items() if made},
    }
    embedded = {kind: _embed(recognizer, made, kind) for kind, made in shown.items()}
    names = tuple(rows) * _VIEWS, tuple(kin) * _VIEWS
    return Shown(
        Known(embedded.pop("whole"), *names), Known(embedded.pop("one side"), *names), embedded
    )


def _one_sided(points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return partial_view(yaw(points, rng), PartialViews(most=1), rng)


def _embed(
    recognizer: Recognizer, clouds: Sequence[NDArray[np.float32]], what: str
) -> NDArray[np.float32]:
    steps = tqdm(range(0, len(clouds), 32), desc=what)
    return np.concatenate([recognizer.embed(list(clouds[i : i + 32]), "y") for i in steps])


def _first_half(kin: str) -> bool:
    return hashlib.sha256(f"calibration:{kin.lower()}".encode()).digest()[0] < 128
