"""The recipe of a teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cg3d_training.bounds import number
from cg3d_training.config import OptimiserConfig, register_recipes


@dataclass(frozen=True)
class TeachingDataConfig:
    """What to train on.

    Attributes:
        shards: a folder that `cg3d-train prepare` made.
        captions: at every visit one of those given for the object, or one of 63 templates around
            its name where none are given; "photo": "A photo of a NAME"; "prepared": the one that
            `prepare` chose.
    """

    shards: str = "shards"
    captions: Literal["photo", "templates", "prepared"] = "templates"


@dataclass(frozen=True)
class PictureConfig:
    """What happens to a picture before it is seen.

    Attributes:
        crop: smallest and largest share of the area that is cut out and shown at full size.
        flip: the chance to mirror it, left and right.
        light: lowest and highest factor on its brightness.
    """

    crop: tuple[float, float] = (0.6, 1.0)
    flip: float = number(0.5, most=1)
    light: tuple[float, float] = (0.8, 1.2)


@dataclass(frozen=True)
class TeachingConfig:
    """Everything that decides the training of a CLIP.

    Attributes:
        model: open_clip's name for it, a name of ours (cg3d-mini-64), or a .json of its form.
        weights: to begin with: a file, or a tag of open_clip; null: random.
        seed: of weights, order, captions, views and changes to the pictures.
        precision: of the forward pass; the loss is always float32.
        positives: what belongs together: pictures and captions of one name, or each picture with
            its own caption alone, as CLIP was trained.
        data, pictures, optimiser: see there. The temperature is learnt, from 0.07, as in CLIP.
    """

    model: str = "cg3d-mini-64"
    weights: str | None = None
    seed: int = number(1)
    precision: Literal["fp32", "bf16"] = "fp32"
    positives: Literal["class", "diagonal"] = "class"
    data: TeachingDataConfig = field(default_factory=TeachingDataConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)


register_recipes(TeachingConfig, "teacher")
