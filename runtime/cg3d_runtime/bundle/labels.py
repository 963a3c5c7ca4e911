"""The names of a text bank as they lie in a bundle: labels and aliases, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cg3d_runtime.bundle.fields import decode, decode_json, encode_json
from cg3d_runtime.errors import BundleError


@dataclass(frozen=True)
class LabelRow:
    """One row of the bank.

    Attributes:
        label: the name that is shown, e.g. "pan (metal container)".
        aliases: other names for it, e.g. ("pan",).
    """

    label: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class _LabelTable:
    rows: tuple[LabelRow, ...]


def encode_labels(rows: Sequence[LabelRow]) -> bytes:
    """The text of labels.json."""
    return encode_json([{"label": row.label, "aliases": row.aliases} for row in rows])


def decode_labels(data: bytes, where: str) -> tuple[LabelRow, ...]:
    """Read labels.json.

    Args:
        data: the file's bytes.
        where: the file, for errors.

    Raises:
        BundleError: it is not a list of labels with their aliases, or a label is empty.
    """
    rows = decode(_LabelTable, {"rows": decode_json(data, where)}, where).rows
    for i, row in enumerate(rows):
        if not row.label.strip():
            raise BundleError(f"{where}: the label of row {i} is empty. Export the bundle again.")
    return rows
