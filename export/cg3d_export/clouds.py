"""The real clouds that an export checks itself on."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import InputError
from cg3d_runtime.files.read import read_points
from cg3d_runtime.points.normalize import Up
from cg3d_runtime.points.prepare import PreprocessSpec, prepare

#: As many clouds say as much about a graph as all of them.
LIMIT = 200


@dataclass(frozen=True)
class CheckClouds:
    """Real clouds, raw and as the encoder sees them.

    Attributes:
        source: where they come from, for people.
        names: (n) of each.
        raw: (n) arrays (N, 3), as they were read.
        prepared: (n, points, 3) float32.
        up: the axis that points up in the raw ones.
    """

    source: str
    names: tuple[str, ...]
    raw: tuple[NDArray[Any], ...]
    prepared: NDArray[np.float32]
    up: Up

    def __getitem__(self, part: slice) -> CheckClouds:
        """Some of them."""
        return CheckClouds(
            self.source, self.names[part], self.raw[part], self.prepared[part], self.up
        )


def check_clouds(source: Path | None, spec: PreprocessSpec) -> CheckClouds:
    """Up to `LIMIT` clouds, evenly picked from a source, as the encoder sees them on a robot.

    Args:
        source: an .npz with one array of clouds, (n, N, 3+) of any number type; or the folder of
            the household set, whose test split is taken; or None for the sample clouds that ship
            with cg3d-sdk.
        spec: what the encoder wants.

    Raises:
        InputError: there are no clouds in the source, or one of them cannot be used.
    """
    if source is None:
        named = _samples()
    else:
        clouds = _folder(source) if source.is_dir() else _npz(source)
        named = [(f"{source.name} {i}", cloud) for i, cloud in enumerate(clouds)]
    if not named:
        raise InputError(
            f"{source or 'cg3d-sdk'} holds no clouds to check the export on; give some with "
            "--clouds"
        )
    picked = np.linspace(0, len(named) - 1, min(LIMIT, len(named))).round().astype(int)
    chosen = [named[i] for i in picked]
    raw = tuple(cloud[:, :3] for _, cloud in chosen)
    # As robots see the world for the samples, as meshes are drawn for the others.
    up: Up = "z" if source is None else "y"
    names = tuple(name for name, _ in chosen)
    rows = [
        _prepared(*named, spec, up)
        for named in tqdm(zip(names, raw, strict=True), "clouds", len(raw), unit="cloud")
    ]
    return CheckClouds(
        source="samples of cg3d-sdk" if source is None else source.name,
        names=names,
        raw=raw,
        prepared=np.stack(rows),
        up=up,
    )


def _prepared(name: str, cloud: NDArray[Any], spec: PreprocessSpec, up: Up) -> NDArray[np.float32]:
    try:
        return prepare(cloud, spec, up=up).cloud
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _samples() -> list[tuple[str, NDArray[Any]]]:
    folder = resources.files("cg3d_sdk") / "samples"
    with resources.as_file(folder) as path:
        return [(file.stem, read_points(file).points) for file in sorted(path.glob("*.npz"))]


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
