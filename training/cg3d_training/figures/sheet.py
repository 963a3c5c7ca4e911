"""Pictures side by side under words, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError

_LINE, _MARGIN = 18, 8

#: Colours that a PNG may keep; more would double its size.
_PALETTE = 128


def write_sheet(
    file: Path, rows: Sequence[Sequence[tuple[str, NDArray[np.uint8]]]], title: str = ""
) -> None:
    """Write rows of pictures of one size, each under its words.

    Args:
        file: .png.
        rows: of (words, (h, w, 3) uint8).
        title: above all.

    Raises:
        InputError: the file cannot be written.
        DependencyError: Pillow is not installed.
    """
    images = require("PIL.Image", "train", "Drawing figures")
    drawing = require("PIL.ImageDraw", "train", "Drawing figures")
    height, width = rows[0][0][1].shape[:2]
    top = _LINE if title else 0
    columns = max(len(row) for row in rows)
    size = (
        columns * (width + _MARGIN) + _MARGIN,
        top + len(rows) * (height + _LINE + _MARGIN) + _MARGIN,
    )
    sheet = images.new("RGB", size, "white")
    pen = drawing.Draw(sheet)
    pen.text((_MARGIN, 4), title, fill="black")
    for i, row in enumerate(rows):
        for j, (words, picture) in enumerate(row):
            x = _MARGIN + j * (width + _MARGIN)
            y = top + _MARGIN + i * (height + _LINE + _MARGIN)
            pen.text((x, y), words, fill="black")
            sheet.paste(images.fromarray(picture), (x, y + _LINE))
    stream = BytesIO()
    sheet.quantize(_PALETTE, dither=images.Dither.NONE).save(stream, "PNG", optimize=True)
    try:
        replace_file(file, stream.getvalue())
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error}") from error
