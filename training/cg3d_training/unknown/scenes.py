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
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.bundle import Bundle, ScenesInfo
from cg3d_runtime.bundle.writer import check_replaceable, rewrite_bundle
from cg3d_runtime.errors import InputError, TrainingError
from cg3d_runtime.scene.scoring import SAME_MEANING, found_from
from cg3d_sdk.recognizer import Recognizer
from cg3d_sdk.scene import Scene
from cg3d_training.render.depth_camera import DepthCamera, tour
from cg3d_training.shapes.registry import SHAPES
from cg3d_training.shapes.rooms import Room, furnished_room

#: An answer is a hit from this intersection over union on, among the first three.
_HIT, _TOP = 0.25, 3

#: Growths that are tried.
_GROWTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

_BUILDING = ("floor", "wall", "ceiling")

#: What may stand in a room, and how many of it do at most.
_AT_WALLS = (
    "sofa", "bed", "bookcase", "dresser", "cabinet", "wardrobe", "desk", "piano", "bathtub",
    "toilet", "nightstand",
)  # fmt: skip
_FREE = ("armchair", "chair", "chair", "stool", "bench")
_ON_TOPS = (
    "vase", "potted plant", "lamp", "laptop", "monitor", "mug", "bottle", "bowl", "radio",
)  # fmt: skip

#: A thing of which fewer points are seen is not asked for.
_LEAST_SEEN = 50

#: Rooms of a flat at most, and what is between two of them, metres.
_ROOMS, _WALL = 6, 0.3

#: Names that are not there, of our shapes and of the whole vocabulary each.
_ABSENT = 10

#: Points for each square metre where a room is known from all sides; where a camera saw it, the
#: pictures and the edge of the cubes, metres, in which one point stays.
_DENSITY, _FRAMES, _CUBE = 400.0, 8, 0.02


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
        f"{flats} generated flats of 1 to {_ROOMS} rooms, every second one as a depth camera sees "
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
    points, owner, things = _flat(rng, camera)
    scene = recognizer.scene(points, up="z")
    bank, count = recognizer.bank, len(scene.embeddings)
    seen = np.bincount(owner, minlength=len(things))
    here = {name for name in things if name in bank}
    asked = []
    for name in sorted(here - set(_BUILDING)):
        rows = [i for i, n in enumerate(things) if n == name and seen[i] >= _LEAST_SEEN]
        if rows:  # what is out of sight is neither here nor absent
            overlap, score = _answer(scene, name, owner, rows)
            asked.append(Asked(name, True, overlap >= _HIT, score, count))
    vectors = bank.vectors[[bank.index(name) for name in here]]
    kinds = [name for name in SHAPES if name in bank and name not in here]
    others = [bank.labels[i] for i in rng.permutation(len(bank))]
    for pool in ([str(name) for name in rng.permutation(kinds)], others):
        # What means much the same as something here is no absent thing.
        strange = [n for n in pool if (vectors @ bank.vectors[bank.index(n)]).max() < SAME_MEANING]
        for name in strange[:_ABSENT]:
            asked.append(Asked(name, False, False, _answer(scene, name, owner, [])[1], count))
    return asked


def _flat(
    rng: np.random.Generator, camera: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Rooms side by side: (n, 3) points, the thing of each, and the things' names."""
    points: list[NDArray[np.float32]] = []
    owners: list[NDArray[np.int64]] = []
    names: list[str] = []
    right = 0.0
    for _ in range(rng.integers(1, _ROOMS + 1)):
        room = draw_room(rng)
        if camera:
            cloud, owner = seen_by_camera(room, rng)
        else:
            cloud, owner = room.sample(_DENSITY, int(rng.integers(1 << 31)))
        points.append(cloud + np.array([right + room.size[0] / 2, 0, 0], np.float32))
        owners.append(owner + len(names))
        names += room.names
        right += room.size[0] + _WALL
    return np.concatenate(points), np.concatenate(owners), names


def draw_room(rng: np.random.Generator) -> Room:
    """A room of chance size with furniture of chance."""
    while True:
        size = (rng.uniform(4.5, 8), rng.uniform(4, 7), rng.uniform(2.4, 3))
        walls = rng.permutation(_AT_WALLS)[: rng.integers(2, 6)]
        free = rng.permutation(_FREE)[: rng.integers(1, 5)]
        tops = rng.permutation(_ON_TOPS)[: rng.integers(1, 4)]
        try:
            return furnished_room(
                int(rng.integers(1 << 31)),
                size,
                [str(n) for n in walls],
                ["table", *(str(n) for n in free)],
                [str(n) for n in tops],
            )
        except InputError:  # it did not fit
            continue


def seen_by_camera(
    room: Room, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What a depth camera gathers on its way through a room: points, and the thing of each."""
    points, owners = [], []
    for pose in tour(room, _FRAMES):
        frame = DepthCamera().look(room, pose, rng)
        points.append(frame.points @ pose[:3, :3].T + pose[:3, 3])
        owners.append(frame.owners)
    cloud, owner = np.concatenate(points), np.concatenate(owners)
    cubes = np.floor(cloud / _CUBE).astype(np.int64)
    cubes -= cubes.min(axis=0)
    _, first = np.unique(np.ravel_multi_index(cubes.T, cubes.max(axis=0) + 1), return_index=True)
    return cloud[first].astype(np.float32), owner[first]


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


def _answer(
    scene: Scene, name: str, owner: NDArray[np.int64], rows: Sequence[int]
) -> tuple[float, float]:
    """The best overlap of three answers with one of the instances, and the best score."""
    regions = scene.query(name, top=_TOP if rows else 1).regions
    best = 0.0
    for row in rows:
        mine = owner == row
        for region in regions:
            shared = int(mine[region.indices].sum())
            best = max(best, shared / (len(region.indices) + int(mine.sum()) - shared))
    return best, regions[0].score if regions else 0.0
