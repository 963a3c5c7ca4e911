"""Arguments that callers pass on from elsewhere (a parameter, a message), checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from cg3d_runtime.errors import Cg3dError, InputError, VocabularyError, short


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number.

    Raises:
        InputError: it is none, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, not {short(value)}")
    return int(value)


def share(name: str, value: object) -> float:
    """A number from 0 to 1.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise InputError(f"{name} must be a number from 0 to 1, not {short(value)}")
    return float(value)


def items(
    name: str, values: object, kind: str, error: type[Cg3dError] = InputError
) -> tuple[Any, ...]:
    """What a list or another iterable holds; one string or a mapping is not meant as a list.

    Args:
        name: of the argument, e.g. "labels".
        values: the list.
        kind: what it should hold, e.g. "names".
        error: what to raise.

    Raises:
        Cg3dError: of the kind `error`: it is no list.
    """
    if isinstance(values, str):
        raise error(f"{name} must be a list of {kind}, not the one string {short(values)}")
    listed = None if isinstance(values, (bytes, Mapping)) else values
    try:
        each = iter(listed)  # type: ignore[call-overload]
    except TypeError as fault:
        raise error(f"{name} must be a list of {kind}, not {short(values)}") from fault
    return tuple(each)


def as_texts(values: object) -> tuple[Any, ...]:
    """One text or a list of texts, as a list; what each is, is for its reader to check.

    Raises:
        VocabularyError: it is neither.
    """
    if isinstance(values, str):
        return (values,)
    return items("texts", values, "texts", VocabularyError)
