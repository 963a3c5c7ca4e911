"""Bounds of the numbers in a recipe, declared with its fields and checked before a run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from cg3d_runtime.errors import TrainingError


@dataclass(frozen=True)
class _Bounds:
    least: float
    most: float
    open: bool

    def __contains__(self, value: float) -> bool:
        inside = self.least < value if self.open else self.least <= value
        return inside and value <= self.most and math.isfinite(value)

    def __str__(self) -> str:
        low = f"above {self.least:g}" if self.open else f"{self.least:g} or more"
        return low if math.isinf(self.most) else f"{low}, and at most {self.most:g}"


def number(default: Any, least: float = 0, most: float = math.inf, above: bool = False) -> Any:
    """A field of a config that holds a number, or null.

    Args:
        default: its default.
        least, most: its bounds.
        above: `least` itself is out of bounds.
    """
    return dataclasses.field(default=default, metadata={"bounds": _Bounds(least, most, above)})


def check_recipe(config: Any) -> None:
    """Refuse a recipe of any kind with numbers that no run can mean.

    Args:
        config: a dataclass, with an `OptimiserConfig` and others inside.

    Raises:
        TrainingError: a number is out of its bounds; it is named.
    """
    _check(config, "")
    if config.optimiser.chunk == 1:
        raise TrainingError(
            "optimiser.chunk is 1: batch normalisation takes its statistics over a chunk, so that "
            "it needs more"
        )


def _check(config: Any, where: str) -> None:
    for field in dataclasses.fields(config):
        value, bounds = getattr(config, field.name), field.metadata.get("bounds")
        if dataclasses.is_dataclass(value):
            _check(value, f"{where}{field.name}.")
        elif bounds is not None and value is not None and value not in bounds:
            raise TrainingError(f"{where}{field.name} is {value}; it should be {bounds}")
