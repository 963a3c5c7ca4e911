"""The real clouds that an export checks itself on."""

from __future__ import annotations

import json
import zipfile
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import InputError
from cg3d_runtime.files.read import read_points
from cg3d_runtime.points.prepare import PreprocessSpec, prepare

#: As many clouds say as much about a graph as all of them.
LIMIT = 200


def prepared_clouds(source: Path | None, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Up to `LIMIT` clouds, evenly picked from a source, as the encoder sees them on a robot.

    Args:
        source: an .npz with one array of clouds, (n, N, 3+) of any number type; or the folder of
            the household set, whose test split is taken; or None for the sample clouds that ship
            with cg3d-sdk.
        spec: what the encoder wants.

    Returns:
        (n, spec.points, 3) float32.

    Raises:
        InputError: there are no clouds in the source.
    """
    clouds = _samples() if source is None else _folder(source) if source.is_dir() else _npz(source)
    if len(clouds) == 0:
        raise InputError(
            f"{source or 'cg3d-sdk'} holds no clouds to check the export on; give some with "
            "--clouds"
        )
    picked = np.linspace(0, len(clouds) - 1, min(LIMIT, len(clouds))).round().astype(int)
    # Which axis is up does not matter to a comparison of two engines.
    rows = [prepare(clouds[i], spec, up="y").cloud for i in tqdm(picked, "clouds", unit="cloud")]
    return np.stack(rows)


def _samples() -> list[NDArray[np.float32]]:
    folder = resources.files("cg3d_sdk") / "samples"
    with resources.as_file(folder) as path:
        return [read_points(file).points for file in sorted(path.glob("*.npz"))]


def _npz(path: Path) -> NDArray[Any]:
    try:
        # Opened as a zip: numpy would take a lone .npy for one as well.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as archive:
            names = [n for n in archive.files if n.startswith(("xyz", "points", "clouds"))]
            name = names[0] if names else (archive.files or [""])[0]
            clouds: NDArray[Any] = archive[name] if name else np.empty(0)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not an .npz of clouds ({error})") from error
    if clouds.ndim != 3 or clouds.shape[2] < 3 or clouds.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: the array {name!r} is {clouds.shape} {clouds.dtype}; clouds are numbers of "
            "shape (n, N, 3)"
        )
    return clouds


def _folder(path: Path) -> NDArray[Any]:
    objects, points = path / "objects.jsonl", path / "points.npz"
    if not (objects.is_file() and points.is_file()):
        raise InputError(
            f"{path} is not the household set (objects.jsonl and points.npz); give an .npz instead"
        )
    clouds = _npz(points)
    try:
        lines = objects.read_text(encoding="utf-8").splitlines()
        test = [json.loads(line).get("split") == "test" for line in lines]
    except (ValueError, AttributeError) as error:
        raise InputError(f"{objects} is not JSON, one object a line ({error})") from error
    if len(test) != len(clouds):
        raise InputError(f"{objects} has {len(test)} lines for {len(clouds)} clouds")
    chosen: NDArray[Any] = clouds[np.array(test, dtype=bool)]
    return chosen
