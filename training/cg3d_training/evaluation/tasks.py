"""What is asked: clouds, made one by one, and the labels to choose from.

Every cloud draws its own randomness from the seed, what is done to it and its object's row, so that
no result depends on which others were asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import Up
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.data.curated import CuratedNames, read_curated
from cg3d_training.data.household import HouseholdObject, HouseholdSet, load_household
from cg3d_training.data.names import NameMatcher, name_rules
from cg3d_training.data.partial import PartialViews, partial_view
from cg3d_training.data.tabletop import scanned_objects
from cg3d_training.evaluation.corruptions import CORRUPTIONS, SEVERITIES, clean, corrupt
from cg3d_training.evaluation.poses import TILT, any_rotation, tilt, yaw

Cloud = NDArray[np.float32]
#: What is done to an object's points.
Change = Callable[[Cloud, np.random.Generator], Cloud]

Part = Literal["whole", "rotations", "views", "tabletop", "corruptions", "points", "hidden"]
PARTS: tuple[Part, ...] = get_args(Part)

#: ModelNet40's class names, as the benchmark writes them.
MODELNET40 = (
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser "
    "flower_pot glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano "
    "plant radio range_hood sink sofa stairs stool table tent toilet tv_stand vase wardrobe xbox"
).split()

#: ScanObjectNN's.
SCANOBJECTNN = (
    "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet".split()
)

#: How many points of an object are kept, at random.
POINTS_KEPT = (2048, 1024, 512, 256, 128, 64, 32, 16)

#: How often an object is shown turned or from one side, each time another way.
VIEWS = 3

#: A name that was not trained on is asked for with so many objects at most, so that tables and
#: chairs do not make up the whole.
_OF_A_NAME = 30

_SEED = 0
_SINGLE = PartialViews(most=1)


@dataclass(frozen=True)
class Question:
    """Some clouds to be named, out of some labels.

    Attributes:
        task: for the table.
        rows: which clouds.
        truth: for each its name.
        choices: name -> label of the bank; None: all labels of the bank, by their own names.
        accepted: for each further names that are right; () where there are none for any.
        sweep: what grows in a series of questions, and how far it is here.
    """

    task: str
    rows: tuple[int, ...]
    truth: tuple[str, ...]
    choices: Mapping[str, str] | None
    accepted: tuple[tuple[str, ...], ...] = ()
    sweep: tuple[str, float] | None = None


@dataclass(frozen=True)
class Clouds:
    """Clouds that are embedded once, and what is asked about them.

    Attributes:
        what: for the bar.
        objects: for each cloud a number of its object.
        make: the cloud of an index, (n, 3) float32.
        up: the axis that points up.
        questions: each gives a line of the table.
    """

    what: str
    objects: tuple[int, ...]
    make: Callable[[int], Cloud]
    up: Up
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Asked:
    """A task over household objects, before anything is done to them.

    Attributes:
        task: for the table.
        truth: for each index of an object that is asked for, its name.
        choices: as in `Question`.
        accepted: for those that have any, further names that are right.
    """

    task: str
    truth: Mapping[int, str]
    choices: Mapping[str, str] | None
    accepted: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def household_tasks(
    folder: Path,
    vocabulary: Vocabulary,
    parts: Sequence[Part],
    record: Mapping[str, Any],
    curated: CuratedNames | None = None,
) -> Iterator[Clouds]:
    """The test split over ModelNet40's names, ScanObjectNN's names and the whole vocabulary.

    Objects are asked for by their benchmark class where they have one, and over the whole
    vocabulary by the label that the name rule gives their name (`cg3d-train names` shows it).

    Args:
        folder: of the household set.
        parts: which of `PARTS`.
        record: of the subject's training run; names that it says were hidden are asked for with
            objects of both splits.
        curated: the hand-written table, by which the whole vocabulary is asked too.

    Raises:
        TrainingError: the set is missing, or the vocabulary lacks a class.
    """
    matcher = NameMatcher(vocabulary)
    everything = load_household(folder, matcher)
    test = everything.where(lambda o: o.split == "test")
    modelnet = _benchmark("ModelNet40 names", MODELNET40, test, matcher, lambda o: o.modelnet40)
    scan = _benchmark("ScanObjectNN names", SCANOBJECTNN, test, matcher, lambda o: o.scanobjectnn)
    named = {i: o.name_row for i, o in enumerate(test.objects) if o.name_row is not None}
    whole = Asked("whole vocabulary", {i: vocabulary.labels[row] for i, row in named.items()}, None)
    asked = [modelnet, scan, whole]
    if curated:
        by_hand = load_household(folder, matcher, curated).where(lambda o: o.split == "test")
        asked += curated_vocabulary(by_hand, vocabulary)
    if "whole" in parts:
        yield shown_clouds(test, asked, views=1)
    if "rotations" in parts:
        yield shown_clouds(test, asked, "random yaw", yaw)
        yield shown_clouds(test, asked, f"yaw, tilt of {TILT:.0f} degrees", tilt)
        yield shown_clouds(test, asked, "any rotation", any_rotation)
    if "views" in parts:
        yield shown_clouds(test, asked, "single partial view", _single_view)
    if "hidden" in parts and record.get("hidden"):
        if record["hidden"].get("by") == "curated":
            everything = load_household(folder, matcher, read_curated(vocabulary))
        unseen = _unseen(everything, vocabulary, record["hidden"]["names"])
        yield shown_clouds(everything, [unseen], "random yaw", yaw, views=1)
        yield shown_clouds(everything, [unseen], "single partial view", _single_view, views=1)
    if "points" in parts:
        for count in POINTS_KEPT:
            change = partial(_kept, count)
            yield shown_clouds(
                test, [modelnet], f"{count} points", change, 1, ("points kept", count)
            )
    if "corruptions" in parts:
        yield shown_clouds(test, [modelnet], "1024 points, clean", _thinned, 1, ("clean", 0))
        for kind in CORRUPTIONS:
            for severity in SEVERITIES:
                change = partial(_corrupted, kind, severity)
                what = f"{kind}, severity {severity}"
                yield shown_clouds(test, [modelnet], what, change, 1, (kind, severity))


def tabletop_tasks(folder: Path) -> Iterator[Clouds]:
    """Real objects on tables, seen from one side, over the classes of their annotation.

    Raises:
        TrainingError: the set is missing or damaged.
    """
    words = name_rules().tabletop_classes
    objects = list(scanned_objects(folder))
    unknown = {o.name for o in objects} - set(words)
    if unknown:
        raise TrainingError(f"{folder}: no label is known for the class {min(unknown)!r}")
    everyone = tuple(range(len(objects)))
    truth = tuple(words[o.name] for o in objects)
    choices = {label: label for label in words.values()}
    question = Question("tabletop scans", everyone, truth, choices)
    yield Clouds("tabletop scans", everyone, lambda i: objects[i].points, "z", (question,))


def _benchmark(
    task: str,
    classes: Sequence[str],
    test: HouseholdSet,
    matcher: NameMatcher,
    class_of: Callable[[HouseholdObject], str | None],
) -> Asked:
    choices = {}
    for name in classes:
        row = matcher.benchmark_row(name)
        if row is None:
            raise TrainingError(f"the vocabulary has no label for the class {name!r}")
        choices[name] = matcher.labels[row]
    found = {i: class_of(o) or "" for i, o in enumerate(test.objects)}
    return Asked(task, {i: name for i, name in found.items() if name in choices}, choices)


def curated_vocabulary(objects: HouseholdSet, vocabulary: Vocabulary) -> list[Asked]:
    """Objects named by the hand-written table, over all labels.

    Those without a label, clutter and the useless are left out. Asked twice: a hit is the first
    label alone, and any label that is true of the object.
    """
    labels = {
        i: tuple(vocabulary.labels[row] for row in o.rows)
        for i, o in enumerate(objects.objects)
        if o.rows and o.use in ("keep", "low")
    }
    first = {i: own[0] for i, own in labels.items()}
    task = "whole vocabulary, curated"
    return [Asked(task, first, None), Asked(f"{task}, any true label", first, None, labels)]


def _unseen(objects: HouseholdSet, vocabulary: Vocabulary, names: Sequence[str]) -> Asked:
    """Objects that bear one of the hidden names, those of the test split first."""
    rows = {vocabulary.index(name): name for name in names}
    truth: dict[int, str] = {}
    useful = [i for i, o in enumerate(objects.objects) if o.use in ("keep", "low")]
    for i in sorted(useful, key=lambda i: objects.objects[i].split != "test"):
        own = [rows[row] for row in objects.objects[i].rows if row in rows]
        if len(own) == 1 and list(truth.values()).count(own[0]) < _OF_A_NAME:
            truth[i] = own[0]
    return Asked("names never seen", truth, {name: name for name in names})


def shown_clouds(
    objects: HouseholdSet,
    asked: Sequence[Asked],
    how: str = "",
    change: Change | None = None,
    views: int = VIEWS,
    sweep: tuple[str, float] | None = None,
) -> Clouds:
    """Every object that is asked for, `views` times, changed each time; None: as it stands."""
    shown = sorted(set().union(*(a.truth for a in asked)))
    place = {o: j * views for j, o in enumerate(shown)}

    def make(index: int) -> Cloud:
        o, view = shown[index // views], index % views
        if change is None:
            return objects.points(o)
        rng = np.random.default_rng([_SEED, _number(how), objects.objects[o].row, view])
        return change(objects.points(o), rng)

    questions = tuple(
        Question(
            f"{a.task}, {how}" if how else a.task,
            tuple(place[o] + view for o in a.truth for view in range(views)),
            tuple(name for name in a.truth.values() for _ in range(views)),
            a.choices,
            tuple(a.accepted[o] for o in a.truth for _ in range(views)) if a.accepted else (),
            sweep,
        )
        for a in asked
    )
    numbers = tuple(o for o in shown for _ in range(views))
    return Clouds(how or "as they stand", numbers, make, "y", questions)


def _number(how: str) -> int:
    return int.from_bytes(hashlib.sha256(how.encode()).digest()[:4], "little")


def _single_view(cloud: Cloud, rng: np.random.Generator) -> Cloud:
    return partial_view(cloud, _SINGLE, rng)


def _kept(count: int, cloud: Cloud, rng: np.random.Generator) -> Cloud:
    return cloud[rng.permutation(len(cloud))[:count]]


def _thinned(cloud: Cloud, rng: np.random.Generator) -> Cloud:
    return clean(cloud, rng)


def _corrupted(kind: str, severity: int, cloud: Cloud, rng: np.random.Generator) -> Cloud:
    return corrupt(clean(cloud, rng), kind, severity, rng)
