"""A teacher by what a recipe says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cg3d_runtime.errors import TrainingError
from cg3d_training.teachers.open_clip import load_open_clip
from cg3d_training.teachers.slip import load_slip
from cg3d_training.teachers.teacher import Teacher


def load_teacher(kind: Literal["open_clip", "slip"], model: str, weights: str | None) -> Teacher:
    """A frozen teacher.

    Args:
        kind: where its code comes from.
        model: open_clip's name for it; not used for SLIP.
        weights: a file, a tag of open_clip, or None for random weights of an open_clip model.

    Raises:
        TrainingError: model and weights do not make a teacher; the message says why.
    """
    if kind == "open_clip":
        return load_open_clip(model, weights)
    if weights is None:
        raise TrainingError(
            "SLIP needs its weights: set teacher.weights to the path of slip_base_100ep.pt, see "
            "docs/official-weights.md"
        )
    return load_slip(Path(weights))
