"""What may stand in an index: ids, vectors, metadata and filters, checked in one place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.arguments import items, whole
from cg3d_runtime.errors import InputError, short
from cg3d_runtime.text.space import unit_rows

#: Characters of an id: a path fits, a document does not.
MAX_ID = 4096

#: Characters of one shape's metadata as JSON.
MAX_METADATA = 1 << 20

_SCALARS = (str, int, float, bool, type(None))
_ROWS = 8192


def checked_ids(ids: Iterable[str]) -> list[str]:
    """A list of different ids.

    Raises:
        InputError: one string in place of a list, an id that is none, or one that stands twice.
    """
    wanted = list(items("ids", ids, "strings"))
    for id in wanted:
        check_id(id)
    if len(set(wanted)) < len(wanted):
        seen: set[str] = set()
        twice = next(id for id in wanted if id in seen or seen.add(id))  # type: ignore[func-returns-value]
        raise InputError(f"the id {short(twice)} is given twice; every shape needs its own")
    return wanted


def check_id(id: object) -> None:
    """Refuse what cannot name a shape.

    Raises:
        InputError: no string, an empty or a very long one, or one that UTF-8 cannot hold.
    """
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        raise InputError(f"an id must be a string of 1 to {MAX_ID} characters, not {short(id)}")
    try:
        id.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the id {short(id)} cannot be written as UTF-8 ({error})") from error


def checked_metadata(metadata: Sequence[Mapping[str, Any]] | None, n: int) -> list[dict[str, Any]]:
    """A copy of the metadata of n shapes, of JSON values.

    Raises:
        InputError: another number of entries, or a value that JSON has no form for.
    """
    if metadata is None:
        return [{} for _ in range(n)]
    if len(metadata) != n:
        raise InputError(f"metadata is given for {len(metadata)} shapes, ids for {n}")
    return [_copied(entry) for entry in metadata]


def checked_vectors(vectors: ArrayLike, dim: int, n: int | None = None) -> NDArray[np.float32]:
    """(n, d) float32 unit rows.

    Raises:
        InputError: another shape, or a row that is zero or not finite.
    """
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise InputError(f"vectors are not an array ({error})") from error
    if array.ndim != 2 or array.shape[1] != dim or (n is not None and len(array) != n):
        count = "n" if n is None else str(n)
        raise InputError(f"vectors must have shape ({count}, {dim}), not {array.shape}")
    rows = np.empty(array.shape, np.float32)
    for start in range(0, len(array), _ROWS):  # unit_rows works in FP64, twice the memory
        what = f"vectors from row {start}" if start else "vectors"
        rows[start : start + _ROWS] = unit_rows(array[start : start + _ROWS], what)
    return rows


def check_search(top: int, where: Mapping[str, Any] | None) -> None:
    """Refuse a search that cannot be meant.

    Raises:
        InputError: `top` below 1, or a filter that is no object of plain values.
    """
    whole("top", top)
    if where is None:
        return
    if not isinstance(where, Mapping):
        raise InputError(f"where must be keys with values, not {short(where)}")
    for key, value in where.items():
        if not isinstance(key, str) or not isinstance(value, _SCALARS):
            raise InputError(
                f"where asks for {short(key)}: {short(value)}; keys are strings, and values are "
                "strings, numbers, true, false or null"
            )


def fits(metadata: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether the metadata has these values; 1 and 1.0 are equal, 1 and true are not."""
    return all(
        key in metadata
        and metadata[key] == value
        and isinstance(metadata[key], bool) == isinstance(value, bool)
        for key, value in where.items()
    )


def _copied(entry: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(entry, Mapping) or not all(isinstance(key, str) for key in entry):
        raise InputError(f"metadata must be an object with text keys, not {short(entry)}")
    try:
        text = json.dumps(dict(entry), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"metadata must hold JSON values: {error} in {short(entry)}") from error
    if len(text) > MAX_METADATA:
        raise InputError(
            f"the metadata of a shape has {len(text)} characters as JSON; {MAX_METADATA} are the "
            "most. Keep large things in files and their names here."
        )
    copied: dict[str, Any] = json.loads(text)
    return copied
