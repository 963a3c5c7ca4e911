"""Points as text: .xyz, .txt, .pts and .csv, separated by blanks, commas or semicolons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError

_COMMENTS = ("#", "//")


def read_text(data: bytes, path: Path) -> tuple[NDArray[np.floating], int]:
    """Points of a text file, one a line: the columns headed x, y and z, or else the first three.

    Blank lines and lines after `#` or `//` are skipped. The first line may name the columns, or
    hold the number of points that follow (.pts).
    """
    lines = decode_lines(data)
    rows = [number for number, line in enumerate(lines) if _content(line)]
    if not rows:
        raise InputError("has no line with points")
    first = rows[0]
    delimiter = _delimiter(_content(lines[first]))
    cells = _cells(_content(lines[first]), delimiter)
    columns, promised = (0, 1, 2), None
    if not all(_is_number(cell) for cell in cells):
        columns = _named_columns(cells, first)
        rows = rows[1:]
    elif len(cells) == 1 and cells[0].isdecimal() and len(rows) > 1:
        promised = cells[0]
        rows = rows[1:]
        delimiter = _delimiter(_content(lines[rows[0]]))
    if not rows:
        raise InputError("has a header line but no points")
    if promised is not None and promised.lstrip("0") != str(len(rows)):
        raise InputError(f"line {first + 1} promises {promised} points, {len(rows)} follow")
    return parse_rows(lines, columns, delimiter=delimiter, first=rows[0]), 0


def decode_lines(data: bytes) -> list[str]:
    """The lines of a text file, without their ends.

    Raises:
        InputError: the bytes are not text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not text (byte {error.start} is not UTF-8)") from error
    if "\0" in text:
        raise InputError("is not text (it holds NUL bytes)")
    # str.splitlines would also break at characters that are not line ends in data files.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parse_rows(
    lines: Sequence[str], columns: Sequence[int], *, delimiter: str | None, first: int
) -> NDArray[np.float64]:
    """The numbers in some columns of `lines[first:]`; blank and comment lines are skipped.

    Args:
        lines: the lines of the file.
        columns: which columns to read.
        delimiter: what stands between them; None for blanks.
        first: where the numbers begin; also what the line numbers in errors count from.

    Returns:
        (n, len(columns)) float64.

    Raises:
        InputError: a line has too few columns or something that is not a number; it is named.
    """
    kept = [line for line in map(_content, lines[first:]) if line]
    if not kept:
        return np.empty((0, len(columns)))
    try:
        return np.loadtxt(kept, delimiter=delimiter, usecols=columns, ndmin=2, comments=None)
    except (ValueError, IndexError, OverflowError) as error:
        _name_bad_line(lines, columns, delimiter, first)
        raise InputError(f"its numbers cannot be read ({error})") from error


def _name_bad_line(
    lines: Sequence[str], columns: Sequence[int], delimiter: str | None, first: int
) -> None:
    """Raise for the first line that cannot be read; numpy counts kept rows, people count lines."""
    for number, line in enumerate(lines[first:], start=first + 1):
        content = _content(line)
        if not content:
            continue
        cells = _cells(content, delimiter)
        if len(cells) <= max(columns):
            raise InputError(f"line {number} has {len(cells)} columns, {max(columns) + 1} needed")
        bad = next((cells[c] for c in columns if not _is_number(cells[c])), None)
        if bad is not None:
            hint = ""
            if delimiter != "," and _is_number(bad.replace(",", ".", 1)):
                hint = "; decimal points are read, decimal commas are not"
            raise InputError(f"line {number}: {bad[:40]!r} is not a number{hint}")


def _content(line: str) -> str:
    for mark in _COMMENTS:
        if mark in line:
            line = line.split(mark, 1)[0]
    return line.strip()


def _delimiter(line: str) -> str | None:
    return next((mark for mark in (";", ",") if mark in line), None)


def _cells(line: str, delimiter: str | None) -> list[str]:
    cells = [cell.strip() for cell in line.split(delimiter)]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells  # a separator at the end


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _named_columns(cells: Sequence[str], line: int) -> tuple[int, int, int]:
    names = [cell.strip("\"'").lower() for cell in cells]
    try:
        return names.index("x"), names.index("y"), names.index("z")
    except ValueError:
        heading = " ".join(cells)[:60]
        raise InputError(
            f"line {line + 1} is neither numbers nor a header with the columns x, y and z: "
            f"{heading!r}"
        ) from None
