"""The recipe of pre-training on triplets: points, pictures and captions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cg3d_training.bounds import number
from cg3d_training.config import OptimiserConfig, Precision, register_recipes
from cg3d_training.data.augment import Augmentation


@dataclass(frozen=True)
class TeacherConfig:
    """The frozen vision-language model.

    Attributes:
        kind: a model of open_clip, or SLIP ViT-B/16.
        model: open_clip's name for it, a folder that `cg3d-train teacher` wrote, or a .json of
            open_clip's form; SLIP is only one, so there it says nothing.
        weights: a file, or for open_clip also a tag, which is downloaded once; null: those of
            the folder, and else random weights, which teach nothing and are there for trials.
    """

    kind: Literal["open_clip", "slip"] = "open_clip"
    model: str = "ViT-B-32"
    weights: str | None = "laion2b_s34b_b79k"


@dataclass(frozen=True)
class TripletDataConfig:
    """What to train on.

    Attributes:
        shards: a folder that `cg3d-train prepare` made, or its address in an object store.
        orders: furthest point orders of each object; one is drawn at every visit. 0: the first
            points of the shards, which are in order; that costs nothing.
        window: objects that are shuffled together; see `cg3d_training.data.order`.
        lanes: equal parts of the set that every batch draws from; a multiple of the number of
            processes lets each process read shards of its own.
        views: the picture of an object: another one at every visit (the paper's words), or one
            that is drawn once for the whole run (the official code).
        captions: "photo": "A photo of a NAME" (the paper). "templates": at every visit one of
            the captions given for the object, or one of 63 templates around its name where none
            are given (the official code). "prepared": the one that `prepare` chose.
        caption_table: distinct captions up to which their vectors are computed before the first
            step and held; those of a larger set are computed batch by batch.
        validation: a folder of shards of other objects, for zero-shot accuracy while training.
    """

    shards: str = "shards"
    orders: int = number(1)
    window: int = number(16384, least=1)
    lanes: int = number(1, least=1)
    views: Literal["random", "fixed"] = "random"
    captions: Literal["photo", "templates", "prepared"] = "photo"
    caption_table: int = number(200_000)
    validation: str | None = None


@dataclass(frozen=True)
class TripletLossConfig:
    """Equations 4 to 7 and 9.

    Attributes:
        images: have the term between points and images (eq. 4).
        texts: have the term between points and texts (eq. 5).
        positives: what belongs together: all pairs of the same class name (the paper's words), or
            each object with itself alone (the official code).
        temperature: tau of all terms; null: the teacher's own (the official code).
        learn_temperature: learn it as CLIP does, beginning with `temperature`, at the encoder's
            steps; the prompts' take it as it is.
        centre: take the mean of the captions' vectors off them, as `cg3d-train pretrain` does;
            images stay as they are. The paper does not.
    """

    images: bool = True
    texts: bool = True
    positives: Literal["class", "diagonal"] = "class"
    temperature: float | None = 0.07
    learn_temperature: bool = False
    centre: bool = False


@dataclass(frozen=True)
class PromptConfig:
    """Visual prompts and their optimiser: SGD with momentum and a cosine schedule.

    Attributes:
        tokens: prompts at every layer; 0: none, and every step trains the encoder.
        initialisation: their range, see `cg3d_training.teachers.INITIALISATIONS`.
        lr: at the start; min_lr: at the end; equal ones make a constant rate.
        momentum, weight_decay: of SGD. The paper does not give the momentum; this is the code's.
    """

    tokens: int = 5
    initialisation: Literal["vpt", "official"] = "vpt"
    lr: float = number(2e-3)
    min_lr: float = number(1e-6)
    momentum: float = number(0.9, most=1)
    weight_decay: float = number(1e-4)


@dataclass(frozen=True)
class TripletConfig:
    """Everything that decides pre-training on triplets; the defaults are the paper's.

    Attributes:
        encoder: name of an encoder config.
        encoder_sizes: sizes that differ from it; `embedding_dim` has to be the teacher's.
        start: a checkpoint whose encoder to go on with, of the same sizes; null: from scratch.
        seed: of weights, prompts, order, views, captions and augmentation.
        precision: of the encoder's forward pass; teacher and loss are always float32.
        compile: have torch compile the encoder, which needs a C++ compiler or, on a GPU, triton.
        save_every: steps between states within an epoch to resume from; 0: at its end alone.
        validate: epochs between checks on the objects of `data.validation`; the last epoch is
            always checked. 0: never.
        keep_best: also keep the weights of the epoch that did best on the held-out objects, the
            first of equals, as `best.safetensors`.
        optimiser: of the encoder; its epochs, batch_size, clip_norm and chunk are the prompts' too.
    """

    encoder: str = "point_transformer"
    encoder_sizes: dict[str, Any] = field(default_factory=dict)
    start: str | None = None
    seed: int = number(1)
    precision: Precision = "fp32"
    compile: bool = False
    save_every: int = number(0)
    validate: int = number(1)
    keep_best: bool = False
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    data: TripletDataConfig = field(default_factory=TripletDataConfig)
    loss: TripletLossConfig = field(default_factory=TripletLossConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(batch_size=32))
    prompts: PromptConfig = field(default_factory=PromptConfig)


register_recipes(TripletConfig, "triplets")
