"""What `pretrain` learns from: the recipe's objects, what is held out of them, and clutter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import PretrainConfig
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary
from cg3d_training.data.clutter import made_clutter
from cg3d_training.data.curated import read_curated
from cg3d_training.data.generated import generated_objects
from cg3d_training.data.hidden import HiddenNames, hidden_names
from cg3d_training.data.household import HouseholdSet, held_out, is_open, load_household
from cg3d_training.data.names import NameMatcher


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on and what it is checked on.

    Attributes:
        vocabulary: names and CLIP's vectors for them.
        train: the objects to learn from, each with at least one name.
        validation: objects held out; may be empty.
        hidden: names that neither of them bears.
        clutter: clouds (n, 3) that no name fits.
    """

    vocabulary: Vocabulary
    train: HouseholdSet
    validation: HouseholdSet
    hidden: HiddenNames = field(default_factory=HiddenNames)
    clutter: tuple[NDArray[np.float32], ...] = ()


def training_data(config: PretrainConfig, quiet: bool = False) -> TrainingData:
    """Read the vocabulary and the training split, as the recipe says.

    Args:
        config: the recipe.
        quiet: show no progress.

    Raises:
        TrainingError: files are missing or damaged, or nothing is left to train on.
    """
    vocabulary = load_vocabulary(Path(config.data.clip_text))
    hidden = hidden_names(vocabulary, config.data.hide, config.data.hide_near)
    curated = read_curated(vocabulary) if config.data.names == "curated" else None
    matcher = NameMatcher(vocabulary)
    objects = load_household(Path(config.data.household), matcher, curated)
    usable = objects.where(
        lambda o: (
            o.split == "train"
            and bool(o.rows)
            and o.use in ("keep", "low")
            and not hidden.covers(o.rows)
            and (is_open(o.licence) or not config.data.open_licences_only)
        )
    )
    share = config.data.validation
    train = usable.where(lambda o: not held_out(o.kin, share))
    made = generated_objects(config.data.generated, matcher, config.seed, quiet)
    data = TrainingData(
        vocabulary,
        train.and_also(made.where(lambda o: not hidden.covers(o.rows))),
        usable.where(lambda o: held_out(o.kin, share)),
        hidden,
        _clutter(objects, train, config) if config.data.clutter else (),
    )
    if len(data.train) < config.optimiser.batch_size:
        raise TrainingError(
            f"{config.data.household}: {len(data.train)} objects to train on, fewer than one "
            f"batch of {config.optimiser.batch_size}"
        )
    return data


def _clutter(
    objects: HouseholdSet, train: HouseholdSet, config: PretrainConfig
) -> tuple[NDArray[np.float32], ...]:
    """The set's own clutter, then what is made of pieces of the objects to learn from."""
    own = objects.where(
        lambda o: (
            o.split == "train"
            and o.use == "clutter"
            and (is_open(o.licence) or not config.data.open_licences_only)
        )
    )
    made = made_clutter(
        [train.points(i) for i in range(len(train))],
        config.data.clutter,
        np.random.default_rng([config.seed, 2]),
    )
    return (
        *(own.points(i) for i in range(len(own))),
        *(cloud for kind in made.values() for cloud in kind),
    )
