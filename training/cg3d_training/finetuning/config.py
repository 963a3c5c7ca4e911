"""The recipe of fine-tuning for classification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cg3d_training.bounds import number
from cg3d_training.config import OptimiserConfig, Precision, register_recipes
from cg3d_training.data.augment import Augmentation


@dataclass(frozen=True)
class LabelledConfig:
    """What to fine-tune on.

    Attributes:
        set: a labelled set, see `cg3d_training.data.labelled.READERS`.
        folder: where it lies.
        share: share of the training split to learn from, above 0 and at most 1.
        choice: which share. "stratified": that share of every class, at least one cloud, drawn
            by the seed. "every_nth": every int(1 / share)-th cloud of the list sorted by class,
            as in the official code, which makes 30 % a third; the same for every seed.
        validation: share of what is left of every class to check on after every epoch.
        candidates: furthest point samples of a cloud, of which every visit draws the encoder's
            number of points at random; tests take the first ones (official: 1200 for 1024).
    """

    set: str = "household"
    folder: str = "../shared/data/household"
    share: float = 1.0
    choice: Literal["stratified", "every_nth"] = "stratified"
    validation: float = 0.0
    candidates: int = number(1200, least=1)


@dataclass(frozen=True)
class VotingConfig:
    """Voting at test time: the logits of several views of a cloud are averaged.

    Attributes:
        views: how many; 0 for no voting.
        augmentation: of each view (official: scale and shift).
    """

    views: int = 10
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(probability=0.0))


@dataclass(frozen=True)
class FinetuneConfig:
    """Everything that decides fine-tuning.

    Attributes:
        encoder: name of an encoder config; the network is that encoder with the official head
            for classes in place of the projection into CLIP's space.
        encoder_sizes: sizes that differ from it.
        start: checkpoint whose weights to begin with, all but head and projection; null: scratch.
        seeds: one run each; of weights, shares, order, augmentation and votes.
        precision: of the forward pass in training; the loss is always float32.
        label_smoothing: of the cross-entropy.
        validate: epochs between checks on the share `data.validation`; the last epoch is always
            checked. 0: never.
        augmentation: in training (official: scale and shift, which `probability: 0` leaves).
    """

    encoder: str = "point_transformer_small"
    encoder_sizes: dict[str, Any] = field(default_factory=dict)
    start: str | None = None
    seeds: tuple[int, ...] = (1, 2, 3)
    precision: Precision = "fp32"
    label_smoothing: float = number(0.0, most=1)
    validate: int = number(1)
    data: LabelledConfig = field(default_factory=LabelledConfig)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(probability=0.0))
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    voting: VotingConfig = field(default_factory=VotingConfig)


register_recipes(FinetuneConfig, "finetune")
