"""Finished checkpoints to one, a committee of their encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import Checkpoint
from cg3d_training.encoders import EncoderSpec


def join_checkpoints(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """A checkpoint whose embedding is the mean of the unit embeddings of several.

    Recipe and record are those of the first, with all of them under "members".

    Raises:
        TrainingError: a checkpoint is a classifier, they were trained against other texts or at
            other temperatures, or they cannot sit in one committee (`Committee`).
    """
    first = checkpoints[0]
    for number, other in enumerate(checkpoints):
        if other.record.get("classes"):
            raise TrainingError(f"checkpoint {number + 1} is a classifier's: it has no embedding")
        if not torch.equal(other.text_mean, first.text_mean):
            raise TrainingError(
                f"checkpoints 1 and {number + 1} were trained against other texts: their text "
                "means differ, so their embeddings lie in different spaces"
            )
        if abs(other.logit_scale - first.logit_scale) > 1e-3 * first.logit_scale:
            raise TrainingError(
                f"checkpoints 1 and {number + 1} have logit scales of {first.logit_scale:.3g} and "
                f"{other.logit_scale:.3g}: join those of one temperature"
            )
    members = [{"architecture": c.spec.architecture, "sizes": c.spec.sizes} for c in checkpoints]
    state = {
        f"members.{number}.{key}": value
        for number, checkpoint in enumerate(checkpoints)
        for key, value in checkpoint.state_dict.items()
    }
    record: dict[str, Any] = first.record | {
        "seconds": sum(c.record.get("seconds", 0) for c in checkpoints),
        "members": [c.record for c in checkpoints],
    }
    joined = Checkpoint(
        EncoderSpec("committee", {"members": members}), state, first.text_mean, first.logit_scale,
        first.recipe | {"members": [c.recipe for c in checkpoints]}, record,
    )  # fmt: skip
    joined.build()
    return joined
