"""Frozen CLIP text embeddings of a vocabulary of names, read from a folder.

The folder holds `names.json` (for each word list, the names in row order; LVIS entries also carry
synonyms) and one `.npz` with an array of vectors for each word list. See `load_vocabulary`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError, VocabularyError
from cg3d_runtime.text.templates import normal_name
from cg3d_training.data.reading import read_arrays, read_json


@dataclass(frozen=True)
class Vocabulary:
    """Names with their CLIP text embeddings.

    Attributes:
        labels: (L) distinct names, lower case, in the order of the word lists.
        aliases: (L) further names of the same thing; an alias is never a label, and no two
            labels share one.
        vectors: (L, d) float32, as CLIP's text tower gives them: neither normalised nor centred.
    """

    labels: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    vectors: NDArray[np.float32]

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of every label and alias."""
        rows = {label: row for row, label in enumerate(self.labels)}
        for row, aliases in enumerate(self.aliases):
            rows.update((alias, row) for alias in aliases)
        return rows

    def index(self, name: str) -> int:
        """The row of a label or alias.

        Raises:
            VocabularyError: the name is neither.
        """
        try:
            return self.rows[normal_name(name)]
        except KeyError:
            raise VocabularyError(f"{name!r} is neither a label nor an alias here") from None


#: For readers of sets whose names do not matter.
NO_VOCABULARY = Vocabulary((), (), np.empty((0, 512), np.float32))


def derived_aliases(name: str) -> list[str]:
    """Shorter ways to say a name: without its remark in brackets, and each half of "a/b".

    >>> derived_aliases("pan (metal container)")
    ['pan']
    >>> derived_aliases("cabinet/shelf")
    ['cabinet', 'shelf']
    """
    plain = " ".join(re.sub(r"\([^)]*\)", " ", name).split())
    wordings = plain.split("/")
    # "cutting/chopping board" shares its last word; "cabinet/shelf" does not.
    if len(wordings) == 2 and " " not in wordings[0] and " " in wordings[1]:
        wordings[0] = f"{wordings[0]} {wordings[1].split()[-1]}"
    return [w.strip() for w in wordings if w.strip() not in ("", name)]


def load_vocabulary(folder: Path) -> Vocabulary:
    """Read `names.json` and the `.npz` of vectors beside it.

    A name that occurs in several word lists keeps its first vector. A synonym, or a name without
    its bracketed remark, becomes an alias unless it is a label itself or would stand for two
    different labels; so every alias is unambiguous.

    Args:
        folder: holds `names.json` ({list: [{"name": ..., "synonyms": [...]}, ...]}) and one
            `.npz` whose arrays bear the names of the lists, (rows, d) of any float type.

    Raises:
        TrainingError: a file is missing, or names and vectors do not fit each other.
    """
    names_file = folder / "names.json"
    archives = sorted(folder.glob("*.npz"))
    if not names_file.is_file() or len(archives) != 1:
        raise TrainingError(
            f"{folder} should hold names.json and exactly one .npz of text vectors; found "
            f"{sorted(p.name for p in folder.glob('*')) if folder.is_dir() else 'no such folder'}"
        )
    lists = _word_lists(names_file)
    arrays = read_arrays(archives[0], *lists)
    labels: dict[str, list[str]] = {}
    vectors: list[NDArray[np.float32]] = []
    for (list_name, entries), array in zip(lists.items(), arrays, strict=True):
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) != len(entries):
            raise TrainingError(
                f"{archives[0]}: the list {list_name!r} of {names_file.name} has {len(entries)} "
                f"names, but no array with as many rows of floats: {array.dtype} {array.shape}"
            )
        for (name, synonyms), vector in zip(entries, array.astype(np.float32), strict=True):
            if name not in labels:
                labels[name] = []
                vectors.append(vector)
            labels[name] += synonyms
    if len({len(vector) for vector in vectors}) != 1:
        raise TrainingError(f"{archives[0]}: the vectors are of several lengths, or there are none")
    for alias, label in everyday_aliases().items():
        if label in labels:
            labels[label].append(alias)
    return Vocabulary(tuple(labels), _unambiguous_aliases(labels), np.stack(vectors))


def _word_lists(file: Path) -> dict[str, list[tuple[str, list[str]]]]:
    """Of each word list its names, and the synonyms of each."""
    try:
        return {
            str(title): [
                (normal_name(entry["name"]), [normal_name(s) for s in entry.get("synonyms", [])])
                for entry in entries
            ]
            for title, entries in read_json(file).items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise TrainingError(f"{file} holds no lists of names ({error!r})") from error


@cache
def everyday_aliases() -> dict[str, str]:
    """Hand-written synonyms, alias to label; the `everyday` part of `aliases.yaml`."""
    text = (resources.files("cg3d_training.data") / "aliases.yaml").read_text(encoding="utf-8")
    aliases: dict[str, str] = yaml.safe_load(text)["everyday"]
    return aliases


def _unambiguous_aliases(labels: dict[str, list[str]]) -> tuple[tuple[str, ...], ...]:
    candidates = {
        name: dict.fromkeys(
            alias
            for wording in [name, *synonyms]
            for alias in ([wording] if wording != name else []) + derived_aliases(wording)
        )
        for name, synonyms in labels.items()
    }
    everyday = everyday_aliases()
    claims: dict[str, int] = {}
    for aliases in candidates.values():
        for alias in aliases:
            claims[alias] = claims.get(alias, 0) + 1
    return tuple(
        tuple(
            alias
            for alias in aliases
            if alias not in labels and (claims[alias] == 1 or everyday.get(alias) == name)
        )
        for name, aliases in candidates.items()
    )
