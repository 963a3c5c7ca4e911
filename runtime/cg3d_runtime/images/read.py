"""Picture files, through Pillow."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError

#: Pillow has many more readers, of formats that nobody's camera writes.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")

_MOST_PIXELS = 100_000_000


def read_image(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8, turned upright as its EXIF says; what is transparent is white.

    Raises:
        InputError: the file is missing, damaged, too large, or of a format not read (`FORMATS`).
        DependencyError: Pillow is not installed.
    """
    path = Path(path)
    pillow = require("PIL.Image", "images", "Reading a picture")
    turn = require("PIL.ImageOps", "images", "Reading a picture").exif_transpose
    try:
        with pillow.open(path, formats=FORMATS) as file:
            if file.width * file.height > _MOST_PIXELS:
                raise InputError(f"{path}: {file.width} x {file.height} pixels are too many")
            picture = turn(file)
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                white = pillow.new("RGBA", picture.size, (255, 255, 255, 255))
                picture = pillow.alpha_composite(white, picture)
            return np.array(picture.convert("RGB"))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as a picture ({error}); these formats are: "
            f"{', '.join(FORMATS)}"
        ) from error
