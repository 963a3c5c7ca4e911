"""From which score on a thing counts as found in a scene: asked in generated flats.

Every flat is asked for all names of its furniture and for others that are not in it. The threshold
is the score that does best by the worse of two shares: hits that it keeps, absent names that it
turns down. Half of the flats are for choosing it, the other half for saying what it does.

The best score of many candidates is higher by chance than that of few, and robots ask rooms as
well as floors. So flats have one to six rooms, and the threshold grows with the candidates as far
as that serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cg3d_runtime.bundle import Bundle, ScenesInfo
from cg3d_runtime.bundle.writer import check_replaceable, rewrite_bundle
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.scene.scoring import SAME_MEANING, found_from
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.evaluation.seen_rooms import BUILDING, ROOMS, drawn_flat
from cg3d_training.shapes.registry import SHAPES

#: An answer is a hit from this intersection over union on, among the first three.
_HIT, _TOP = 0.25, 3

#: Growths that are tried.
_GROWTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

#: A thing of which fewer points are seen is not asked for.
_LEAST_SEEN = 50

#: Names that are not there, of our shapes and of the whole vocabulary each.
_ABSENT = 10


@dataclass(frozen=True)
class Asked:
    """One question to one flat.

    Attributes:
        name: asked for.
        present: whether it has it.
        hit: whether one of three answers overlaps it.
        score: of the best answer.
        candidates: of the flat.
    """

    name: str
    present: bool
    hit: bool
    score: float
    candidates: int


@dataclass(frozen=True)
class Rates:
    """What a threshold does to answers.

    Attributes:
        hits: questions that found what they asked for; hits_kept: share of them at or above it.
        absent: questions for what is not there; absent_told: share of them below it.
        present: questions for what is there.
    """

    present: int
    hits: int
    hits_kept: float
    absent: int
    absent_told: float

    @property
    def worse(self) -> float:
        """The lower of the two shares."""
        return min(self.hits_kept, self.absent_told)


@dataclass(frozen=True)
class ScenesCalibration:
    """What `calibrate_scenes` found.

    Attributes:
        found, growth: the threshold, see `ScenesInfo`.
        chosen_on, reported_on: its rates in the flats it was chosen on, and in others.
        said: in words, what they are.
    """

    found: float
    growth: float
    chosen_on: Rates
    reported_on: Rates
    said: str

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "said": self.said,
            "chosen_on": asdict(self.chosen_on),
            "reported_on": asdict(self.reported_on),
        }


def calibrate_scenes(bundle: Path, flats: int, seed: int = 0) -> ScenesCalibration:
    """Choose the threshold of a bundle.

    Args:
        bundle: its folder.
        flats: how many to ask, at least 4; every second one is as a camera sees it.
        seed: of the flats.

    Raises:
        BundleError: the bundle is missing or damaged.
        TrainingError: too few flats, or in none of them anything is found.
    """
    if flats < 4:
        raise TrainingError(f"a threshold needs 4 flats at least, not {flats}")
    recognizer = Recognizer(bundle)
    chosen_on: list[Asked] = []
    reported_on: list[Asked] = []
    for i in tqdm(range(flats), desc="flats", unit="flat"):
        # Of each half, every second one is seen by a camera.
        half = chosen_on if i // 2 % 2 == 0 else reported_on
        half.extend(ask_flat(recognizer, seed * 100_003 + i, camera=i % 2 == 1))
    found, growth = choose(chosen_on)
    said = (
        f"{flats} generated flats of 1 to {ROOMS} rooms, every second one as a depth camera sees "
        "it; one half to choose the threshold on, the other to report on"
    )
    return ScenesCalibration(
        found,
        growth,
        rates(chosen_on, found, growth),
        rates(reported_on, found, growth),
        said,
    )


def choose(asked: Sequence[Asked]) -> tuple[float, float]:
    """The threshold at which the lower of hits kept and absent names told is highest.

    Returns:
        `found` and `growth` of `ScenesInfo`; of growths that do as well the smallest.

    Raises:
        TrainingError: there are no hits, or nothing absent was asked.
    """
    hit = np.array([one.hit for one in asked], np.bool_)
    absent = ~np.array([one.present for one in asked], np.bool_)
    if not hit.any() or not absent.any():
        raise TrainingError(
            f"a threshold needs hits and absent names, not {hit.sum()} and {absent.sum()}: ask "
            "more flats, or the bundle finds nothing"
        )
    best = (-1.0, 0.0, 0.0)
    for growth in _GROWTHS:
        scores = np.array([one.score / found_from(one.candidates, 1e-9, growth) for one in asked])
        scores *= 1e-9  # so that nothing meets the bound of 1
        ascending = np.unique(scores)
        # Between two scores, so that rounding decides nothing.
        borders = (ascending[:-1] + ascending[1:]) / 2 if len(ascending) > 1 else ascending
        kept = (scores[hit] >= borders[:, None]).mean(axis=1)
        told = (scores[absent] < borders[:, None]).mean(axis=1)
        worse = np.minimum(kept, told)
        if worse.max() > best[0] + 1e-9:
            border = min(1.0, float(f"{borders[worse.argmax()]:.4g}"))
            best = (float(worse.max()), border, growth)
    return best[1], best[2]


def rates(asked: Sequence[Asked], found: float, growth: float) -> Rates:
    """What a threshold does."""
    told = [one.score >= found_from(one.candidates, found, growth) for one in asked]
    hits = [yes for yes, one in zip(told, asked, strict=True) if one.hit]
    absent = [not yes for yes, one in zip(told, asked, strict=True) if not one.present]
    return Rates(
        sum(one.present for one in asked),
        len(hits),
        float(np.mean(hits)) if hits else 0.0,
        len(absent),
        float(np.mean(absent)) if absent else 0.0,
    )


def ask_flat(recognizer: Recognizer, seed: int, camera: bool) -> list[Asked]:
    """All questions to one flat.

    Args:
        recognizer: of the bundle.
        seed: of the flat, of what sees it, and of the names.
        camera: whether it is as a depth camera sees it, and not from all sides.
    """
    rng = np.random.default_rng([seed, 7])
    flat = drawn_flat(rng, camera)
    scene = recognizer.scene(flat.points, up="z")
    bank, count = recognizer.bank, len(scene.embeddings)
    here = {name for name in flat.names if name in bank}
    asked = []
    for name in sorted(here - set(BUILDING)):
        instances = flat.instances(name, _LEAST_SEEN)
        if instances:  # what is out of sight is neither here nor absent
            regions = scene.query(name, top=_TOP).regions
            hit = any(flat.overlap(r.indices, instances) >= _HIT for r in regions)
            asked.append(Asked(name, True, hit, regions[0].score if regions else 0.0, count))
    vectors = bank.vectors[[bank.index(name) for name in here]]
    kinds = [name for name in SHAPES if name in bank and name not in here]
    others = [bank.labels[i] for i in rng.permutation(len(bank))]
    for pool in ([str(name) for name in rng.permutation(kinds)], others):
        # What means much the same as something here is no absent thing.
        strange = [n for n in pool if (vectors @ bank.vectors[bank.index(n)]).max() < SAME_MEANING]
        for name in strange[:_ABSENT]:
            regions = scene.query(name, top=1).regions
            asked.append(Asked(name, False, False, regions[0].score if regions else 0.0, count))
    return asked


def write_scenes(bundle: Bundle, found: ScenesCalibration, output: Path) -> Bundle:
    """Write the bundle with its threshold, whole or not at all.

    Args:
        bundle: the old one.
        found: by `calibrate_scenes`.
        output: a folder, which may be the old bundle's own.

    Raises:
        BundleError: `output` holds something else, or the disk refused.
    """
    check_replaceable(output)
    return rewrite_bundle(
        bundle, output, {}, scenes=ScenesInfo(found.found, found.growth, found.record())
    )
