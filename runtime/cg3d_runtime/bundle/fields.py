"""JSON to frozen dataclasses and back, strictly: every fault is named by its field."""

from __future__ import annotations

import hashlib
import json
import math
import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cg3d_runtime.errors import BundleError, short

T = TypeVar("T")


def encode_json(value: object) -> bytes:
    """The one way in which this package writes a value as JSON; equal values give equal bytes.

    Args:
        value: dataclasses, mappings with text keys, sequences, text, finite numbers, None.

    Raises:
        ValueError: a number is not finite, or a text cannot be written as UTF-8.
        TypeError: a value that JSON has no form for.
    """
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def sealed(value: Mapping[str, Any]) -> bytes:
    """A value as JSON with a "digest" of all the rest, so that a changed byte is noticed.

    Raises:
        ValueError, TypeError: as `encode_json`.
    """
    digest = hashlib.sha256(encode_json(value)).hexdigest()
    return encode_json({**value, "digest": digest})


def decode_json(data: bytes, where: str) -> Any:
    """Read untrusted JSON: UTF-8, no key twice, no NaN.

    Args:
        data: the file's bytes.
        where: the file, for the error.

    Raises:
        BundleError: the bytes are no such JSON.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{where} is not valid JSON ({error}). The bundle is damaged: copy or export it again."
        ) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number that JSON knows")


def decode(kind: type[T], value: object, where: str) -> T:
    """Build a frozen dataclass from what `decode_json` gave, checking every field's type.

    Known types: dataclasses, str, int, float, bool, `Literal`, `X | None`, `tuple[X, ...]`,
    `dict[str, X]` and `dict[str, Any]`. An int passes for a float, nothing else for anything else.
    Fields with a default are required too: what was written is complete.

    Args:
        kind: the dataclass.
        value: the JSON value.
        where: the file and field, e.g. "manifest.json: encoder", for errors.

    Raises:
        BundleError: a field is missing, unknown, or of another type.
    """
    found: T = _decode(kind, value, where)
    return found


def _decode(kind: Any, value: object, where: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Literal:
        if any(type(value) is type(part) and value == part for part in parts):
            return value
        raise _fault(where, " or ".join(repr(part) for part in parts), value)
    if origin in (Union, types.UnionType):
        wanted = next(part for part in parts if part is not type(None))
        return None if value is None else _decode(wanted, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _fault(where, "a list", value)
        return tuple(_decode(parts[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise _fault(where, "an object", value)
        return {
            key: _decode(parts[1], item, f"{where}[{short(key)}]") for key, item in value.items()
        }
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    return _decode_scalar(kind, value, where)


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _decode_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _fault(where, "an object", value)
    hints = _hints(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise BundleError(
            f"{where}: unknown field {short(unknown[0])}. The bundle was made by another version "
            "of cg3d-sdk or changed by hand; update cg3d-sdk or export the bundle again."
        )
    built = {}
    for name, hint in hints.items():
        if name in value:
            built[name] = _decode(hint, value[name], _inside(where, name))
        else:
            raise BundleError(
                f"{where}: the field {name!r} is missing. The bundle is damaged or was changed "
                "by hand; copy or export it again."
            )
    return kind(**built)


def _decode_scalar(kind: Any, value: object, where: str) -> Any:
    # bool is an int to Python, never to us.
    if kind is float and type(value) in (int, float):
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    elif type(value) is kind:
        return value
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    raise _fault(where, names[kind], value)


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if ": " in where else f"{where}: {name}"


def _fault(where: str, wanted: str, value: object) -> BundleError:
    return BundleError(
        f"{where} should be {wanted}, not {short(value)}. The bundle is damaged or was "
        "changed by hand; copy or export it again."
    )
