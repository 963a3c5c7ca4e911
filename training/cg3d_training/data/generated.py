"""Shapes of our own generator as objects of the household set: named, open, without end."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from cg3d_runtime.points import unit_sphere
from cg3d_training.data.household import HouseholdObject, HouseholdSet
from cg3d_training.data.names import NameMatcher
from cg3d_training.shapes import SHAPES, generate

_POINTS = 2048


def generated_objects(
    each: int, matcher: NameMatcher, seed: int, quiet: bool = False
) -> HouseholdSet:
    """`each` objects of every kind whose name the vocabulary knows.

    Args:
        each: objects of a kind.
        matcher: of the vocabulary.
        seed: of what they look like.
        quiet: show no progress.
    """
    known = [(kind, match.row) for kind in SHAPES if (match := matcher.match(kind))]
    kinds = [(kind, row, i) for kind, row in known for i in range(each)]
    objects, clouds = [], np.empty((len(kinds), _POINTS, 3), np.uint16)
    bar = tqdm(kinds, "generated shapes", unit="shape", leave=False, disable=quiet)
    for number, (kind, row, i) in enumerate(bar):
        xyz = unit_sphere(generate(kind, seed * each + i, _POINTS)).xyz
        clouds[number] = np.rint((xyz + 1) / 2 * 65535)
        objects.append(_object(number, kind, i, row))
    return HouseholdSet(tuple(objects), clouds)


def _object(number: int, kind: str, i: int, row: int) -> HouseholdObject:
    return HouseholdObject(
        row=number, source="generated", id=f"{kind} {i}", name=kind, licence="Apache-2.0",
        creator="cg3d-sdk", split="train", modelnet40=None, scanobjectnn=None,
        name_row=row, rows=(row,),
    )  # fmt: skip
