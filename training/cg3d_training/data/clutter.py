"""Clouds that no name fits: what a recogniser is shown when a segmentation went wrong.

Generated ones (pieces of several objects with the plane they stand on, bare surfaces, blobs), and
ones cut from real views of tables and from furnished worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import unit_sphere
from cg3d_training.data.reading import read_arrays
from cg3d_training.data.tabletop import plane_normal, rotation_to_up

#: The fewest points of a piece that is worth showing, and the most that one has.
_FEWEST = 200
_MOST = 4096

#: An instance that makes up this share of a crop of a world could be named after all.
_ONE_THING = 0.6

#: Instances with such names are surfaces without an end: no piece of them is a thing.
_SURFACES = ("floor", "wall", "ceiling")

_TRIES = 200


def made_clutter(
    clouds: Sequence[NDArray[np.float32]], count: int, rng: np.random.Generator
) -> dict[str, list[NDArray[np.float32]]]:
    """Generated clouds (m, 3), y up, in the unit sphere: `count` of each kind, by its name.

    Args:
        clouds: objects (n, 3), y up, to take pieces of.
        count: of each kind.
        rng: draws everything.
    """
    kinds: dict[str, Callable[[], NDArray[np.float64]]] = {
        "pieces of several things": lambda: _pieces(clouds, rng),
        "bare surfaces": lambda: _surfaces(rng),
        "lumps and swarms": lambda: _blob(rng),
    }
    return {
        kind: [unit_sphere(make().astype(np.float32)).xyz for _ in range(count)]
        for kind, make in kinds.items()
    }


def table_patches(folder: Path, count: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Pieces of the bare tables of real views, y up: `count` clouds (m, 3), metres.

    Args:
        folder: of `cg3d_training.data.tabletop`.

    Raises:
        TrainingError: there are no views.
    """
    tables = []
    for file in sorted(folder.glob("*.npz")):
        xyz_mm, labels = read_arrays(file, "xyz_mm", "label")
        table = xyz_mm[labels == 1].astype(np.float32) / np.float32(1000)
        if len(table) >= _FEWEST:
            tables.append(_y_up(table @ rotation_to_up(plane_normal(table)).T))
    if not tables:
        raise TrainingError(f"{folder} holds no views of tables (*.npz with xyz_mm and label)")
    patches: list[NDArray[np.float32]] = []
    while len(patches) < count:
        table = tables[rng.integers(len(tables))]
        away = np.linalg.norm(table - table[rng.integers(len(table))], axis=1)
        piece = table[away < rng.uniform(0.04, 0.25)]
        if len(piece) >= _FEWEST:
            patches.append(_at_most(piece, rng))
    return patches


def world_crops(file: Path, count: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Pieces of a furnished world with several things in them, or of its walls alone, y up.

    Args:
        file: .npz with `xyz_mm` (n, 3), z up, `instance` (n,) and the instances' `names`.
        count: how many clouds (m, 3) to cut.

    Raises:
        TrainingError: the file is no such world, or nothing in it can be cut so.
    """
    xyz_mm, instance, called = read_arrays(file, "xyz_mm", "instance", "names")
    names = [str(name).lower() for name in called]
    if xyz_mm.shape != (*instance.shape, 3) or instance.dtype.kind not in "iu" or not len(xyz_mm):
        raise TrainingError(
            f"{file} is no furnished world: xyz_mm is {xyz_mm.shape}, instance {instance.dtype} "
            f"{instance.shape}"
        )
    if instance.min() < 0 or instance.max() >= len(names):
        raise TrainingError(f"{file} is no furnished world: instance does not point into names")
    xyz = _y_up(xyz_mm.astype(np.float32) / np.float32(1000))
    endless = np.array([any(word in name for word in _SURFACES) for name in names])
    crops: list[NDArray[np.float32]] = []
    for _ in range(_TRIES * count):
        if len(crops) == count:
            break
        centre = xyz[rng.integers(len(xyz))]
        inside = np.linalg.norm(xyz - centre, axis=1) < rng.uniform(0.2, 1.2)
        found = np.bincount(instance[inside], minlength=len(names)) / max(1, inside.sum())
        if inside.sum() >= _FEWEST and found[~endless].max(initial=0) < _ONE_THING:
            crops.append(_at_most(xyz[inside], rng))
    else:
        if len(crops) < count:
            raise TrainingError(f"{file}: only {len(crops)} of {count} pieces could be cut")
    return crops


def _pieces(clouds: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.float64]:
    """Two to four objects on a plane, of which a ball cuts out some of each."""
    standing = []
    for _ in range(int(rng.integers(2, 5))):
        cloud = clouds[int(rng.integers(len(clouds)))].astype(np.float64) * rng.uniform(0.4, 1.0)
        angle = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(angle), np.sin(angle)
        turned = cloud @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
        turned[:, 1] -= turned[:, 1].min()
        standing.append(turned + np.array([rng.uniform(-1, 1), 0, rng.uniform(-1, 1)]))
    plane = rng.uniform(-2, 2, (int(rng.integers(500, 2000)), 3)) * [1, 0, 1]
    scene = np.concatenate([*standing, plane])
    first, second = (standing[i] for i in rng.permutation(len(standing))[:2])
    # Between two of them, so that neither is whole.
    share = rng.uniform(0.3, 0.7)
    centre = (
        share * first[rng.integers(len(first))] + (1 - share) * second[rng.integers(len(second))]
    )
    away = np.linalg.norm(scene - centre, axis=1)
    kept: NDArray[np.float64] = scene[away <= max(rng.uniform(0.3, 0.8), np.sort(away)[_FEWEST])]
    return kept


def _surfaces(rng: np.random.Generator) -> NDArray[np.float64]:
    """A bare piece of a plane, or two or three that meet in an edge or a corner."""
    planes = []
    for axis in rng.permutation(3)[: rng.integers(1, 4)]:
        plane = rng.uniform(0, 1, (1024, 3)) * rng.uniform(0.3, 1.0, 3)
        plane[:, axis] = 0.02 * rng.random() * rng.standard_normal(1024)
        planes.append(plane)
    return np.concatenate(planes)


def _blob(rng: np.random.Generator) -> NDArray[np.float64]:
    """A lump without a plan: a ball pushed in and out by random waves, or a swarm of points."""
    points = rng.standard_normal((2048, 3))
    if rng.random() < 0.5:
        centres = rng.uniform(-1, 1, (int(rng.integers(2, 7)), 3))
        swarm: NDArray[np.float64] = centres[rng.integers(len(centres), size=2048)] + 0.25 * points
        return swarm
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    waves = rng.standard_normal((8, 3)) * rng.uniform(1, 4)
    radius = 1 + np.cos(points @ waves.T + rng.uniform(0, 2 * np.pi, 8)).mean(axis=1)
    return np.asarray(points * radius[:, None] * rng.uniform(0.4, 1.0, 3))


def _y_up(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """z up to y up."""
    return np.ascontiguousarray(np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1))


def _at_most(points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return points[rng.permutation(len(points))[:_MOST]]
