"""A scene map as plain files: arrays as .npy, and map.json.

    map.json            settings, numbers, the encoder, and the files with their hashes
    keys-VERSION.npy    (m,) int64 voxels, ascending
    places-VERSION.npy  (m, 3) float32 mean of the points in each, metres about the origin
    counts-VERSION.npy  (m, 3) int32 frames it was seen in, the last of them, its thing or -1
    sums-VERSION.npy    (t, d) float32 of each thing's views, times their quality
    things-VERSION.npy  (t, 7) float64 id, weight, views, first and last frame, cuts, base

A kill leaves the old map or the new one: `cg3d_runtime/bundle/versioned.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle.arrays import decode_array, npy_header
from cg3d_runtime.bundle.fields import decode, sealed
from cg3d_runtime.bundle.parts import FileInfo
from cg3d_runtime.bundle.versioned import VersionedFolder, damaged
from cg3d_runtime.errors import InputError
from cg3d_runtime.retrieval.protocol import Origin
from cg3d_runtime.scene.map_settings import MapSettings
from cg3d_runtime.scene.map_state import MapState
from cg3d_runtime.scene.map_things import Things
from cg3d_runtime.scene.voxel_map import NOBODY, VoxelMap

MAP = "map.json"
FORMAT = 2

FOLDER = VersionedFolder(
    kind="a map",
    contents=MAP,
    suffixes=dict.fromkeys(("keys", "places", "counts", "sums", "things"), "npy"),
    format=FORMAT,
    remedy="begin a new map",
)

_ROWS = 1 << 16


@dataclass(frozen=True)
class MapFiles:
    """A map as it lies on the disk.

    Attributes:
        state: all of it.
        origin: the encoder that its embeddings came from.
    """

    state: MapState
    origin: Origin


@dataclass(frozen=True)
class _Contents:
    """map.json without its digest."""

    format: int
    voxels: int
    things: int
    dim: int
    frame: int
    next_id: int
    origin: tuple[float, ...]
    position: tuple[float, ...]
    settings: MapSettings
    encoder: Origin
    version: str
    files: dict[str, FileInfo]


def save_map(folder: Path, map: MapFiles) -> None:
    """Write a map.

    Args:
        folder: made if it is not there; a map that is there is replaced.
        map: what to write.

    Raises:
        InputError: the folder holds something else, or the disk refused.
    """
    state, grid, things = map.state, map.state.grid, map.state.things

    def seal(version: str, files: dict[str, FileInfo]) -> bytes:
        contents = _Contents(
            format=FORMAT,
            voxels=len(grid),
            things=len(things),
            dim=things.sums.shape[1],
            frame=state.frame,
            next_id=things.next_id,
            origin=tuple(state.origin.tolist()),
            position=tuple(state.position.tolist()),
            settings=state.settings,
            encoder=map.origin,
            version=version,
            files=files,
        )
        return sealed(asdict(contents))

    rows = (
        things.ids, things.weight, things.views, things.first, things.last, things.cuts,
        things.bases,
    )  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {
        "keys": grid.keys,
        "places": grid.places,
        "counts": np.stack([grid.hits, grid.seen, grid.owner], axis=1),
        "sums": things.sums,
        "things": np.stack([np.asarray(row, np.float64) for row in rows], axis=1),
    }
    FOLDER.save(folder, {stem: _array_bytes(array) for stem, array in arrays.items()}, seal)


def open_map(folder: Path) -> MapFiles:
    """Read a map, trusting nothing: sizes, hashes and every number are checked.

    Raises:
        InputError: no map, a damaged one, or one of another version.
    """

    def read(value: dict[str, Any]) -> MapFiles:
        contents = _contents(value)
        FOLDER.check_names(contents.version, contents.files)
        return _read(folder, contents)

    return FOLDER.open(folder, read)


def _contents(value: dict[str, Any]) -> _Contents:
    try:
        contents: _Contents = decode(_Contents, value, MAP)
    except InputError as error:  # settings that cannot be meant
        raise damaged(MAP, str(error)) from error
    places = (*contents.origin, *contents.position)
    if len(contents.origin) != 3 or len(contents.position) != 3 or not np.isfinite(places).all():
        raise damaged(MAP, "its origin and position should be three numbers each")
    if not (0 <= contents.frame < 1 << 31 and 0 < contents.next_id < 1 << 31):
        raise damaged(MAP, "its counts of frames and things cannot be")
    return contents


def _read(folder: Path, contents: _Contents) -> MapFiles:
    m, t = contents.voxels, contents.things
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "keys": (np.int64, (m,)),
        "places": (np.float32, (m, 3)),
        "counts": (np.int32, (m, 3)),
        "sums": (np.float32, (t, contents.dim)),
        "things": (np.float64, (t, 7)),
    }
    arrays: dict[str, NDArray[Any]] = {}
    for stem, where in FOLDER.names(contents.version).items():
        array = decode_array(FOLDER.map(folder, where, contents.files[where]), where)
        kind, shape = shapes[stem]
        if array.dtype != kind or array.shape != shape:
            raise damaged(where, f"it holds {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise damaged(where, "it holds NaN or infinity")
        arrays[stem] = array.copy()  # the map goes on changing
    things = _things(arrays["sums"], arrays["things"], contents)
    grid = _grid(arrays["keys"], arrays["places"], arrays["counts"], contents, things)
    state = MapState(
        contents.settings, grid, things, np.array(contents.origin), np.array(contents.position),
        contents.frame,
    )  # fmt: skip
    return MapFiles(state, contents.encoder)


def _things(sums: NDArray[np.float32], table: NDArray[np.float64], contents: _Contents) -> Things:
    ids, weight, bases = table[:, 0].astype(np.int64), table[:, 1].copy(), table[:, 6].copy()
    views, first, last, cuts = (table[:, k].astype(np.int64) for k in (2, 3, 4, 5))
    sound = (np.diff(ids, prepend=0) > 0).all() and (ids < contents.next_id).all()
    if not sound or (table[:, :6] < 0).any() or (np.abs(table[:, 1:]) > 1e15).any():
        raise damaged("things", "its numbers are not of things")
    return Things(ids, sums, weight, views, first, last, cuts, bases, contents.next_id)


def _grid(
    keys: NDArray[np.int64],
    places: NDArray[np.float32],
    counts: NDArray[np.int32],
    contents: _Contents,
    things: Things,
) -> VoxelMap:
    hits, seen, owner = (np.ascontiguousarray(counts[:, k]) for k in range(3))
    sound = (
        (np.diff(keys) > 0).all()
        and (keys >= 0).all()
        and (hits > 0).all()
        and (seen >= 0).all()
        and (seen <= contents.frame).all()
        and np.isin(owner[owner != NOBODY], things.ids).all()
    )
    if not sound:
        raise damaged("counts", "its numbers are not of voxels")
    grid = VoxelMap(contents.settings.voxel, keys, places, hits, seen, owner)
    # A place lies in its voxel, give or take the rounding of float32.
    if len(keys) and float(np.abs(places - grid.corners()).max()) > 1.01 * grid.size + 1e-3:
        raise damaged("places", "points lie outside of their voxels")
    return grid


def _array_bytes(array: NDArray[Any]) -> Iterator[bytes]:
    yield npy_header(array)
    for start in range(0, len(array), _ROWS):
        yield np.ascontiguousarray(array[start : start + _ROWS]).tobytes()
