"""The hand-written names of the household set: what every object is, and what it is good for.

Two tables lie beside this module. `household_names.csv` (set, name, id, family) says which family
an object belongs to; `household_families.csv` (family, use, labels, caption) says what a family is
called. A name is written as `table_key` gives it. The column `id` is empty, or an id, or the
beginning of one and `*`: the row then holds for those objects of that name only.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal, get_args

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.clip_text import Vocabulary

#: What an object is good for. keep: a thing that a robot may meet. low: named, but a thing of
#: games or a broken, rare or coarse one. clutter: pieces of walls, floors, rocks, pipes and heaps,
#: which have no name that matters but do lie around, so they are negatives. drop: letters, roads,
#: castle walls, logos: no use at all.
Use = Literal["keep", "low", "clutter", "drop"]

NAMES_FILE, FAMILIES_FILE = "household_names.csv", "household_families.csv"
_NAMES_HEADER = ["set", "name", "id", "family"]
_FAMILIES_HEADER = ["family", "use", "labels", "caption"]


@dataclass(frozen=True)
class Family:
    """Objects of one kind, and often of one maker.

    Attributes:
        name: a short noun phrase.
        use: what its objects are good for.
        rows: the rows of the vocabulary that name it, best first: the name itself, its synonyms,
            then what it is a kind of. Not those so wide that they say little (furniture, animal),
            where a narrower one is there. May be empty.
        caption: what to call it where no label does, or "".
    """

    name: str
    use: Use
    rows: tuple[int, ...]
    caption: str


class CuratedNames:
    """The two tables, over a vocabulary."""

    def __init__(
        self, families: Mapping[str, Family], rows: Mapping[tuple[str, str], Mapping[str, str]]
    ) -> None:
        """`rows`: for (set, name) the family by id pattern, "" for all others of that name."""
        self.families = dict(families)
        self._rows = rows

    def find(self, source: str, name: str, id: str) -> Family | None:
        """The family of an object, or None where the table has no row for it.

        The id itself goes before the beginning of one, a longer beginning before a shorter one,
        and any of them before a row for all ids.
        """
        by_id = self._rows.get((source, table_key(name)), {})
        if id in by_id:
            return self.families[by_id[id]]
        fitting = [p for p in by_id if p.endswith("*") and id.startswith(p[:-1])]
        pattern = max(fitting, key=len, default="")
        return self.families[by_id[pattern]] if pattern in by_id else None


def table_key(name: str) -> str:
    """A name as the table writes it: lower case, words only, no digits.

    >>> table_key("Chair_02 (red)")
    'chair red'
    """
    return " ".join(re.findall(r"[a-z]+(?:['-][a-z]+)*", name.lower()))


def read_curated(
    vocabulary: Vocabulary, names: str | None = None, families: str | None = None
) -> CuratedNames:
    """The tables that ship with cg3d-sdk, or two others as text.

    Raises:
        TrainingError: a row is malformed or comes twice, a label is not in the vocabulary, or the
            two tables do not fit each other.
    """
    folder = resources.files("cg3d_training.data")
    if names is None:
        names = (folder / NAMES_FILE).read_text(encoding="utf-8")
    if families is None:
        families = (folder / FAMILIES_FILE).read_text(encoding="utf-8")
    known: dict[str, Family] = {}
    for line, row in _lines(families, _FAMILIES_HEADER, FAMILIES_FILE):
        family = _family(row, vocabulary, f"{FAMILIES_FILE}, line {line}")
        if family.name in known:
            raise TrainingError(f"{FAMILIES_FILE}, line {line}: {family.name!r} comes twice")
        known[family.name] = family
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for line, (source, name, id, family_name) in _lines(names, _NAMES_HEADER, NAMES_FILE):
        where = f"{NAMES_FILE}, line {line}"
        if family_name not in known:
            raise TrainingError(
                f"{where}: no family {family_name!r} in {FAMILIES_FILE}.{_near(family_name, known)}"
            )
        if name != table_key(name):
            raise TrainingError(f"{where}: {name!r} should be written {table_key(name)!r}")
        by_id = rows.setdefault((source, name), {})
        if id in by_id:
            raise TrainingError(f"{where}: {source}, {name!r}, {id!r} comes twice")
        by_id[id] = family_name
    unused = set(known) - {f for by_id in rows.values() for f in by_id.values()}
    if unused:
        raise TrainingError(f"{FAMILIES_FILE}: no object is of the family {min(unused)!r}")
    return CuratedNames(known, rows)


def _lines(text: str, header: list[str], file: str) -> list[tuple[int, list[str]]]:
    rows = list(enumerate(csv.reader(io.StringIO(text)), 1))
    if not rows or rows[0][1] != header:
        raise TrainingError(f"{file}: the first line should be {','.join(header)}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise TrainingError(f"{file}, line {line}: {len(row)} columns, not {len(header)}")
    return rows[1:]


def _family(row: list[str], vocabulary: Vocabulary, where: str) -> Family:
    name, use, labels, caption = row
    if use not in get_args(Use):
        raise TrainingError(f"{where}: use is {use!r}; choose from {', '.join(get_args(Use))}")
    rows = []
    for label in filter(None, labels.split("; ")):
        # An alias would do, but then two rows of the table could say the same in other words.
        row_of = vocabulary.rows.get(label)
        if row_of is None or vocabulary.labels[row_of] != label:
            raise TrainingError(
                f"{where}: {label!r} is no label of the vocabulary."
                f"{_near(label, vocabulary.labels)}"
            )
        rows.append(row_of)
    if len(set(rows)) < len(rows):
        raise TrainingError(f"{where}: a label comes twice")
    if use in ("keep", "low") and bool(rows) == bool(caption):
        raise TrainingError(f"{where}: {use} needs labels, or a caption where no label fits")
    return Family(name, use, tuple(rows), caption)  # type: ignore[arg-type]


def _near(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f" The nearest is {near[0]!r}." if near else ""
