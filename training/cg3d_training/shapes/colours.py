"""Colours for generated objects: each kind in those that such things have, by simple rules.

A kind's `Look` says from which palettes its main parts, its small parts (wheels, handles, keys)
and its upper parts (leaves, mattresses, lampshades) are coloured. An object draws one colour of
each, shifts it a little, and gives every part its own shade of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.shapes.mesh import join
from cg3d_training.shapes.registry import build

#: sRGB, as on the web.
PALETTES: dict[str, tuple[str, ...]] = {
    "wood": ("8b5a2b", "a0703c", "c49a6c", "5c3a21", "d8b98a", "6e4630", "b5814f", "3e2a1c"),
    "paint": ("f2efe6", "d9d4c7", "9fb3b8", "7a8b6f", "b5533c", "33475b", "e3c565", "2f2f33"),
    "metal": ("b8bcc0", "8d9297", "6b6f75", "d6d8da", "4a4d52", "c9b27a"),
    "fabric": ("7b6f64", "35507a", "8a3b3b", "b9ad97", "4f6b4a", "5b5b63", "c88d5a", "8e6f9e"),
    "plastic": ("e23b2e", "1f6fc2", "f2c029", "3aa655", "f4f4f2", "222326", "e87f2a", "8754a1"),
    "ceramic": ("f7f5ef", "e9e2d0", "dfe8ea", "c7d3cf", "f0d9c8"),
    "glaze": ("2f5d8a", "a63d2f", "e0d6bf", "3f7a62", "d79b3b", "6c4a77", "f3f0e8", "303338"),
    "glass": ("2e6b3e", "5b3a1e", "a9cfd6", "d7e4e0", "3f7f9f", "c9d9b5"),
    "clay": ("b5653a", "c97b4a", "9c5230", "7d6a58", "d9cdbd"),
    "leaf": ("2f6b2c", "4d8b31", "6aa84f", "3b5e2b", "86a843"),
    "dark": ("1b1c1f", "26282c", "33363b", "3f4247"),
    "grey": ("8f9296", "b3b6b9", "d2d4d6", "6f7377", "ececea"),
    "white": ("fafaf8", "f0efeb", "e6e5e0"),
    "car": ("b3201f", "1d3f7a", "e9eaec", "1f2124", "9fa4a8", "2d6b4f", "d9a520", "6b1f2b"),
    "stone": ("a8a39a", "8a857c", "c8c2b6", "e6e1d8", "9b4f3a"),
    "tent": ("d9772b", "4e7d3a", "2c6aa0", "b59a5a", "b23a35", "6b7a3a"),
    "cone": ("f26a1b", "ef5a12", "e8471a", "f0852d"),
    "brass": ("c9a24a", "b08d3f", "d8b86a"),
    "skin": ("f1c9a5", "d9a37c", "a8714a", "6f4630", "e6b58f"),
    "lacquer": ("141416", "1f1a18", "f2f0ea", "5a2a1c", "3c2015"),
    "sunburst": ("b5651d", "8a2f1c", "d9963b", "1e1e22", "e3c28a", "2f4f7a"),
    "shade": ("f4ead2", "efe0bd", "ffffff", "d9c7a3", "b04a3a", "3c5a6b"),
}


@dataclass(frozen=True)
class Look:
    """Palettes of a kind.

    Attributes:
        main: one of these for what is neither small nor above.
        small: for parts below `small_share` of the largest part's area; None: as the main ones.
        above: for parts whose middle is higher than `above_share` of the height.
    """

    main: tuple[str, ...]
    small: tuple[str, ...] | None = None
    above: tuple[str, ...] | None = None
    small_share: float = 0.15
    above_share: float = 0.5


_FURNITURE = ("wood", "wood", "paint")
_KNOBS = ("metal", "brass", "dark", "wood")

#: The look of each kind of `SHAPES`.
LOOKS: dict[str, Look] = {
    "airplane": Look(("white", "metal", "paint"), ("metal", "dark", "car")),
    "armchair": Look(("fabric",), ("wood", "dark")),
    "bathtub": Look(("ceramic", "white")),
    "bed": Look(("wood", "fabric"), ("wood", "dark"), ("fabric", "white"), 0.05),
    "bench": Look(("wood", "paint"), ("dark", "metal", "wood"), small_share=0.4),
    "bookcase": Look(_FURNITURE, ("plastic", "fabric"), small_share=0.1),
    "bottle": Look(("glass", "plastic")),
    "bowl": Look(("glaze", "ceramic", "wood")),
    "cabinet": Look(_FURNITURE, _KNOBS),
    "car": Look(("car",), ("dark",), ("dark", "car"), 0.5, 0.7),
    "chair": Look(("wood", "plastic", "paint"), ("wood", "metal", "dark"), small_share=0.4),
    "computer keyboard": Look(("dark", "grey"), ("dark", "white"), small_share=0.2),
    "cone": Look(("cone",), ("white",), small_share=0.5),
    "cup": Look(("ceramic", "glaze", "plastic")),
    "curtain": Look(("fabric", "white"), ("brass", "metal", "wood"), small_share=0.3),
    "desk": Look(_FURNITURE, ("metal", "dark", "wood"), small_share=0.4),
    "door": Look(("wood", "paint"), ("brass", "metal"), small_share=0.1),
    "dresser": Look(_FURNITURE, _KNOBS),
    "fireplace": Look(("stone", "white")),
    "flowerpot": Look(("clay", "glaze")),
    "game console": Look(("dark", "white"), ("plastic", "dark"), small_share=0.4),
    "guitar": Look(("sunburst",), ("dark", "wood"), ("wood",), 0.3, 0.6),
    "lamp": Look(("metal", "brass", "glaze", "wood"), None, ("shade",)),
    "laptop": Look(("metal", "dark"), ("dark",), small_share=0.2),
    "monitor": Look(("dark", "grey"), ("dark", "metal"), small_share=0.3),
    "mug": Look(("glaze", "ceramic", "plastic")),
    "nightstand": Look(_FURNITURE, _KNOBS),
    "person": Look(("fabric", "dark"), ("skin",), ("skin",), 0.25, 0.87),
    "piano": Look(("lacquer", "wood"), ("white", "dark"), small_share=0.05),
    "potted plant": Look(("clay", "glaze"), None, ("leaf",)),
    "radio": Look(("plastic", "wood", "dark"), ("metal", "dark"), small_share=0.3),
    "sink": Look(("ceramic", "metal"), ("metal",), small_share=0.3),
    "sofa": Look(("fabric",), ("wood", "dark")),
    "stairs": Look(("wood", "stone"), ("dark", "wood", "metal"), small_share=0.3),
    "stool": Look(("wood", "fabric", "plastic"), ("metal", "wood", "dark"), small_share=0.5),
    "table": Look(("wood", "wood", "glass", "white"), ("wood", "metal", "dark"), small_share=0.5),
    "tent": Look(("tent",)),
    "toilet": Look(("ceramic", "white")),
    "tv stand": Look(("wood", "dark", "white"), _KNOBS),
    "vase": Look(("glaze", "glass", "clay")),
    "wardrobe": Look(_FURNITURE, _KNOBS),
}

_STREAM = 7  # of colours, beside the shape's own, which stays as it is
_SHIFT, _SHADE = 0.06, 0.08


def coloured(name: str, seed: int) -> ColouredMesh:
    """One object with colours; its shape is that of `build` with the same seed.

    Args:
        name: a key of `SHAPES`.
        seed: which one; the same seed gives the same object.

    Returns:
        A mesh in metres, y up, on the floor at y = 0, coloured part by part.

    Raises:
        TrainingError: there is no shape of that name.
    """
    parts = build(name, seed)
    rng = np.random.default_rng([_STREAM, seed, *name.encode()])
    look = LOOKS[name]
    main = _colour(look.main, rng)
    small = main if look.small is None else _colour(look.small, rng)
    above = main if look.above is None else _colour(look.above, rng)

    whole = join(parts)
    low, high = whole.vertices[:, 1].min(), whole.vertices[:, 1].max()
    split = low + look.above_share * (high - low)
    areas = np.array([_area(part.vertices[part.faces]) for part in parts])
    colours = []
    for part, area in zip(parts, areas, strict=True):
        middle = (part.vertices[:, 1].min() + part.vertices[:, 1].max()) / 2
        colour = main
        if look.above is not None and middle > split:
            colour = above
        elif look.small is not None and area < look.small_share * areas.max():
            colour = small
        shade = 1 + rng.uniform(-_SHADE, _SHADE)
        colours.append(np.tile((colour * shade).clip(0, 1), (len(part.faces), 1)))
    by_face = np.concatenate(colours)
    return ColouredMesh.plain(whole.vertices, whole.faces, by_face[:, None].repeat(3, axis=1))


def _colour(palettes: tuple[str, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """(3,) sRGB from 0 to 1."""
    palette = PALETTES[palettes[int(rng.integers(len(palettes)))]]
    code = palette[int(rng.integers(len(palette)))]
    plain = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return (plain + rng.uniform(-_SHIFT, _SHIFT, 3)).clip(0, 1)


def _area(corners: NDArray[np.float64]) -> float:
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum() / 2)
