"""The household set: thousands of named real-world objects as coloured point clouds.

Layout of the folder: `points.npz` with `xyz_u16` (n, 2048, 3) uint16 (value / 65535 * 2 - 1; unit
sphere, y up) and `objects.jsonl`, one object a line in the same order with at least `set`, `id`,
`name`, `license`, `creator` and `split` ("train" or "test"); `mn40` and `sonn15` give the class in
the benchmarks' word lists, or null.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.clip_text import NO_VOCABULARY
from cg3d_training.data.curated import CuratedNames, Use
from cg3d_training.data.labelled import LabelledClouds, Split
from cg3d_training.data.names import NameMatcher
from cg3d_training.data.reading import read_arrays, read_text

#: Licences, by the start of their name, under which an object may be trained on and shipped as
#: weights. "Free Art" is copyleft and stays out.
OPEN_LICENCES = ("CC0", "CC-0", "CC-BY", "MIT", "Apache", "BSD")


@dataclass(frozen=True)
class HouseholdObject:
    """One object, without its points.

    Attributes:
        row: its row in the arrays of the set.
        source, id, name, licence, creator: as the set states them.
        split: "train" or "test".
        modelnet40, scanobjectnn: its class in those word lists, or None.
        name_row: the vocabulary row of its name, or None where the name is not understood.
        rows: every vocabulary row that names it: its name and its benchmark classes; by the
            hand-written table those of its family, best first.
        family: its family in the table, or None where the rule named it.
        use: what it is good for, see `cg3d_training.data.curated`.
        caption: what to call it where no label fits, or "".
    """

    row: int
    source: str
    id: str
    name: str
    licence: str
    creator: str
    split: str
    modelnet40: str | None
    scanobjectnn: str | None
    name_row: int | None
    rows: tuple[int, ...]
    family: str | None = None
    use: Use = "keep"
    caption: str = ""

    @property
    def kin(self) -> str:
        """What it shares with objects that are too like it to be split from it."""
        return self.family or self.name


@dataclass(frozen=True)
class HouseholdSet:
    """Objects and their points.

    Attributes:
        objects: n objects.
        xyz_u16: (n, 2048, 3) uint16.
    """

    objects: tuple[HouseholdObject, ...]
    xyz_u16: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.objects)

    def points(self, index: int) -> NDArray[np.float32]:
        """(2048, 3) float32, y up, about the unit sphere."""
        points: NDArray[np.float32] = self.xyz_u16[index] * np.float32(2 / 65535) - np.float32(1)
        return points

    def where(self, keep: Callable[[HouseholdObject], bool]) -> HouseholdSet:
        """The objects that `keep` says yes to."""
        rows = [i for i, o in enumerate(self.objects) if keep(o)]
        return HouseholdSet(tuple(self.objects[i] for i in rows), self.xyz_u16[rows])

    def and_also(self, other: HouseholdSet) -> HouseholdSet:
        """These objects, then those."""
        if not other.objects:
            return self
        return HouseholdSet(
            self.objects + other.objects, np.concatenate([self.xyz_u16, other.xyz_u16])
        )


def is_open(licence: str) -> bool:
    """Whether `OPEN_LICENCES` covers a licence as the set writes it."""
    return licence.startswith(OPEN_LICENCES)


def held_out(name: str, share: float) -> bool:
    """Whether a name, of an object or a family, falls into the validation share.

    By a hash, so that it never moves.
    """
    digest = hashlib.sha256(f"validation:{name.lower()}".encode()).digest()
    return int.from_bytes(digest[:4], "little") < share * 2**32


def load_household(
    folder: Path, matcher: NameMatcher, curated: CuratedNames | None = None
) -> HouseholdSet:
    """Read the set and match its names to the vocabulary.

    Args:
        folder: `points.npz` and `objects.jsonl`.
        matcher: the rule.
        curated: the hand-written table; objects that have no row in it are left to the rule.

    Raises:
        TrainingError: a file is missing or damaged, or objects and points do not fit each other.
    """
    points_file, objects_file = folder / "points.npz", folder / "objects.jsonl"
    for file in (points_file, objects_file):
        if not file.is_file():
            raise TrainingError(f"{file} is missing; the household set is points.npz and it")
    (xyz,) = read_arrays(points_file, "xyz_u16")
    lines = read_text(objects_file).splitlines()
    if xyz.ndim != 3 or xyz.shape[2] != 3 or xyz.dtype != np.uint16 or len(xyz) != len(lines):
        raise TrainingError(
            f"{points_file}: xyz_u16 is {xyz.dtype} {xyz.shape}; {objects_file.name} has "
            f"{len(lines)} lines, so it should be uint16 ({len(lines)}, points, 3)"
        )
    objects = []
    for row, line in enumerate(lines):
        try:
            objects.append(_object(row, json.loads(line), matcher, curated))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TrainingError(f"{objects_file}, line {row + 1}: {error!r}") from error
    return HouseholdSet(tuple(objects), xyz)


def _object(
    row: int, raw: dict[str, Any], matcher: NameMatcher, curated: CuratedNames | None
) -> HouseholdObject:
    family = curated.find(raw["set"], raw["name"], raw["id"]) if curated else None
    match = matcher.match(raw["name"])
    name_row = match.row if match else None
    classes = [c for c in (raw.get("mn40"), raw.get("sonn15")) if c]
    found = [name_row, *(matcher.benchmark_row(c) for c in classes)]
    rows = tuple(dict.fromkeys(r for r in found if r is not None))
    if family:
        name_row, rows = (family.rows[0] if family.rows else None), family.rows
    return HouseholdObject(
        row=row, source=raw["set"], id=raw["id"], name=raw["name"], licence=raw["license"],
        creator=_creator(raw["creator"]), split=raw["split"], modelnet40=raw.get("mn40"),
        scanobjectnn=raw.get("sonn15"), name_row=name_row, rows=rows,
        family=family.name if family else None, use=family.use if family else "keep",
        caption=family.caption if family else "",
    )  # fmt: skip


def read_household_classes(folder: Path, split: Split) -> LabelledClouds:
    """The objects with a ModelNet40 class, as a labelled set of the classes that occur in it.

    Raises:
        TrainingError: as `load_household`.
    """
    objects = load_household(folder, NameMatcher(NO_VOCABULARY))
    classes = tuple(sorted({o.modelnet40 for o in objects.objects if o.modelnet40}))
    chosen = objects.where(lambda o: o.split == split and o.modelnet40 is not None)
    clouds = np.stack([chosen.points(i) for i in range(len(chosen))])
    labels = [classes.index(o.modelnet40 or "") for o in chosen.objects]
    return LabelledClouds(classes, clouds, np.array(labels, np.int64))


def _creator(raw: str | dict[str, str] | list[dict[str, str]]) -> str:
    """Who made an object; some sources give names with links, or several of them."""
    if isinstance(raw, str):
        return raw
    people = raw if isinstance(raw, list) else [raw]
    return ", ".join(f"{person['name']} ({person['link']})" for person in people)


def positives(objects: Sequence[HouseholdObject], labels: int) -> NDArray[np.float32]:
    """(n, labels) float32: 1 where a label names the object."""
    matrix = np.zeros((len(objects), labels), np.float32)
    for i, obj in enumerate(objects):
        matrix[i, list(obj.rows)] = 1.0
    return matrix
