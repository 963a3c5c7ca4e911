"""Every shape that can be made, by its everyday name (most are names of LVIS and Objects365)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_training.shapes import (
    bath,
    beds,
    building,
    electronics,
    lighting,
    music,
    outdoors,
    seating,
    storage,
    tables,
    vehicles,
    vessels,
)
from cg3d_training.shapes.mesh import Parts
from cg3d_training.shapes.sampling import sample_outside

SHAPES: dict[str, Callable[[np.random.Generator], Parts]] = {
    "airplane": vehicles.airplane,
    "armchair": seating.armchair,
    "bathtub": bath.bathtub,
    "bed": beds.bed,
    "bench": seating.bench,
    "bookcase": storage.bookcase,
    "bottle": vessels.bottle,
    "bowl": vessels.bowl,
    "cabinet": storage.cabinet,
    "car": vehicles.car,
    "chair": seating.chair,
    "computer keyboard": electronics.keyboard,
    "cone": outdoors.cone,
    "cup": vessels.cup,
    "curtain": building.curtain,
    "desk": tables.desk,
    "door": building.door,
    "dresser": storage.dresser,
    "fireplace": building.mantel,
    "flowerpot": vessels.flowerpot,
    "game console": electronics.games_console,
    "guitar": music.guitar,
    "lamp": lighting.lamp,
    "laptop": electronics.laptop,
    "monitor": electronics.monitor,
    "mug": vessels.mug,
    "nightstand": storage.nightstand,
    "person": outdoors.person,
    "piano": music.piano,
    "potted plant": vessels.plant,
    "radio": electronics.radio,
    "sink": bath.sink,
    "sofa": seating.sofa,
    "stairs": building.stairs,
    "stool": seating.stool,
    "table": tables.table,
    "tent": outdoors.tent,
    "toilet": bath.toilet,
    "tv stand": storage.tv_stand,
    "vase": vessels.vase,
    "wardrobe": storage.wardrobe,
}


def build(name: str, seed: int) -> Parts:
    """The solids of one object: metres, y up, on the floor at y = 0.

    Args:
        name: a key of `SHAPES`.
        seed: which one; the same seed gives the same object.

    Raises:
        TrainingError: there is no shape of that name.
    """
    return _maker(name)(_generator(name, seed))


def generate(name: str, seed: int, points: int = 2048) -> NDArray[np.float32]:
    """Points on the outside of one object, as even as chance makes them.

    Args:
        name: a key of `SHAPES`.
        seed: which one; the same seed gives the same points.
        points: how many.

    Returns:
        (points, 3) float32, metres, y up, on the floor at y = 0.

    Raises:
        TrainingError: there is no shape of that name.
    """
    rng = _generator(name, seed)
    return sample_outside(_maker(name)(rng), points, rng)


def _maker(name: str) -> Callable[[np.random.Generator], Parts]:
    if name not in SHAPES:
        raise TrainingError(f"no shape is called {name!r}; these are: {', '.join(SHAPES)}")
    return SHAPES[name]


def _generator(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, *name.encode()])
