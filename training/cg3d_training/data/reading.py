"""Arrays and JSON of other people's sets, or an error that names the file."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError


def read_arrays(file: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """Arrays of an .npz by their names.

    Raises:
        TrainingError: the file is missing, damaged, no .npz, or lacks an array.
    """
    try:
        # Opened as a zip: numpy would take a lone .npy for one as well.
        with ZipFile(file), np.load(file, allow_pickle=False) as archive:
            for name in names:
                if name not in archive:
                    raise TrainingError(f"{file} has no array {name}, only {archive.files}")
            return tuple(archive[name] for name in names)
    except FileNotFoundError as error:
        raise TrainingError(f"{file} is missing") from error
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise TrainingError(f"{file} is damaged, or no .npz of numbers ({error})") from error


def read_text(file: Path) -> str:
    """A file of UTF-8.

    Raises:
        TrainingError: it is missing or not text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TrainingError(f"{file} is missing") from error
    except OSError as error:
        raise TrainingError(f"{file} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TrainingError(f"{file} is not text (byte {error.start} is not UTF-8)") from error


def read_json(file: Path) -> Any:
    """A file of JSON.

    Raises:
        TrainingError: it is missing or not JSON.
    """
    try:
        return json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{file} is not JSON ({str(error)[:80]})") from error
