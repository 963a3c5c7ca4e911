"""Recipes: YAML files read into frozen dataclasses, with `--set a.b=c` on top.

An unknown key or a wrong type is an error that names it; nothing is silently ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from cg3d_runtime.errors import TrainingError
from cg3d_training.bounds import number
from cg3d_training.data.augment import Augmentation
from cg3d_training.data.partial import PartialViews
from cg3d_training.data.reading import read_text

T = TypeVar("T")

#: Of the encoder's forward pass. fp16 comes with a scaled loss.
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    Attributes:
        household: folder of the household set.
        clip_text: folder of CLIP's text vectors.
        open_licences_only: leave out objects whose licence does not allow shipping the weights.
        names: what names the objects: the rule of `cg3d-train names`, or the table written by
            hand (`cg3d-train names --curated`), which also leaves clutter and the useless out.
        validation: share of the training objects (by a hash of their name; with curated names, of
            their family) held out.
        orders: furthest point orders prepared for each object, each of another subset of its
            points; one is drawn at every visit.
        partial: further samples of each object, each as depth cameras see it; drawn as often as
            any of the orders.
        cameras: how those cameras stand and what they get wrong.
        clutter: generated clouds of each kind of clutter (`cg3d_training.data.clutter`) that are
            shown as well, and taught to be like no text more than like another; with curated
            names the set's own clutter is too. 0: neither.
        generated: shapes of each kind of our own generator (`cg3d_training.shapes`) that are
            learnt from as well.
        hide: names to keep out of training, or a published split of them ("split-1" to
            "split-3"): their objects, and they themselves as negatives.
        hide_near: labels with this cosine to a hidden one, of centred text vectors, are hidden
            with it.
    """

    household: str = "../shared/data/household"
    clip_text: str = "../shared/data/clip-text"
    open_licences_only: bool = True
    names: Literal["rule", "curated"] = "rule"
    validation: float = number(0.0, most=1)
    orders: int = number(8, least=1)
    partial: int = number(0)
    cameras: PartialViews = field(default_factory=PartialViews)
    clutter: int = number(0)
    generated: int = number(0)
    hide: tuple[str, ...] = ()
    hide_near: float = 0.5


@dataclass(frozen=True)
class LossConfig:
    """Equation 5.

    Attributes:
        temperature: tau.
        learn_temperature: learn it as CLIP does, beginning with `temperature`.
        negatives: the texts that a cloud is set against: those of the batch, as in the paper, or
            the whole vocabulary (the text vectors are frozen, so they cost one product).
    """

    temperature: float = 0.07
    learn_temperature: bool = False
    negatives: Literal["batch", "vocabulary"] = "batch"


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW, SGD with Nesterov's momentum, or Muon, with a cosine schedule.

    Attributes:
        kind: which of them. Muon (Jordan 2024) makes each step of a matrix orthogonal, and leaves
            everything that is no matrix to AdamW.
        epochs, batch_size: as everywhere.
        lr: peak learning rate; min_lr: at the end.
        matrix_lr: peak learning rate of the matrices that Muon moves; follows `lr`'s schedule.
        warmup_epochs: epochs of linear rise.
        warmup_lr: where the rise begins; null: a tenth of an epoch's rise above zero.
        momentum: of SGD; AdamW has none to set.
        weight_decay: on matrices only.
        clip_norm: largest norm of the gradient.
        chunk: clouds that a process embeds at once, at most; 0: its whole share of the batch. The
            loss is always that of the whole batch, see `cg3d_training.runs.chunks`.
        ema: decay of the running mean of the weights that is evaluated and exported; 0 for none.
    """

    kind: Literal["adamw", "sgd", "muon"] = "adamw"
    epochs: int = number(100)
    batch_size: int = number(64, least=1)
    lr: float = number(5e-5)
    min_lr: float = number(1e-6)
    matrix_lr: float = number(0.02, above=True)
    warmup_epochs: float = number(0.0)
    warmup_lr: float | None = number(None)
    momentum: float = number(0.9, most=1)
    weight_decay: float = number(0.05)
    clip_norm: float = number(10.0, above=True)
    chunk: int = number(0)
    ema: float = number(0.0, most=1)


@dataclass(frozen=True)
class PatchDrop:
    """Leaving out patches while training: faster, and as if parts of the object were hidden.

    Of encoders that take a cloud in patches (PointTransformer).

    Attributes:
        share: of the patches that every step leaves out, drawn for each cloud anew.
        until: the share of the epochs after which all of them are shown.
    """

    share: float = number(0.0, most=1)
    until: float = number(0.8, most=1)


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides a pre-training run.

    Attributes:
        encoder: name of an encoder config.
        encoder_sizes: sizes that differ from it.
        seed: of weights, order and augmentation.
        precision: of the forward pass; the loss is always float32.
        compile: have torch compile the encoder, which needs a C++ compiler or, on a GPU, triton.
        save_every: steps between states within an epoch to resume from; 0: at its end alone.
        validate: epochs between checks on the held-out objects, which `data.validation` says; the
            last epoch is always checked. 0: never.
        keep_best: also keep the weights of the epoch that did best on the held-out objects, the
            first of equals, as `best.safetensors`.
        patches: which of them a step leaves out.
    """

    encoder: str = "point_transformer_small"
    encoder_sizes: dict[str, Any] = field(default_factory=dict)
    seed: int = number(1)
    precision: Precision = "fp32"
    compile: bool = False
    save_every: int = number(0)
    validate: int = number(1)
    keep_best: bool = False
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    patches: PatchDrop = field(default_factory=PatchDrop)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)


#: The folder in `recipes` of each kind of config; names are unique within a folder.
_FOLDERS: dict[type, str] = {PretrainConfig: "pretrain"}


def register_recipes(kind: type, folder: str) -> None:
    """Say where the recipes of a kind lie; called once by the module that defines it."""
    _FOLDERS[kind] = folder


def list_recipes(kind: type) -> list[str]:
    """The names of the recipes of a kind that ship with cg3d-sdk, for `load_config`."""
    folder = resources.files("cg3d_training") / "recipes" / _FOLDERS[kind]
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_config(kind: type[T], source: str, overrides: Sequence[str] = ()) -> T:
    """Read a recipe.

    Args:
        kind: the dataclass to make.
        source: a YAML file, or the name of a recipe of this kind that ships with cg3d-sdk.
        overrides: "a.b=c" each; the value is read as YAML.

    Raises:
        TrainingError: no such file, broken YAML, an unknown key or a value of the wrong type.
    """
    raw = _read(kind, source)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise TrainingError(f"--set {override!r}: write it as a.b=value")
        *parents, last = key.strip().split(".")
        node = raw
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise TrainingError(f"--set {override!r}: {parent!r} is not a section")
        try:
            node[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise TrainingError(f"--set {override!r}: the value is not valid YAML") from error
    return from_dict(kind, raw, where=source)


def _read(kind: type, source: str) -> dict[str, Any]:
    path = Path(source)
    name = source.removesuffix(".yaml")
    if path.is_file():
        text = read_text(path)
    elif name in list_recipes(kind):
        folder = resources.files("cg3d_training") / "recipes" / _FOLDERS[kind]
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise TrainingError(
            f"{source!r} is neither a file nor a recipe of this verb, which has: "
            f"{', '.join(list_recipes(kind))} (`cg3d-train recipes` says what they are)"
        )
    try:
        raw = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise TrainingError(f"{source}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise TrainingError(f"{source}: should hold keys and values, not a {type(raw).__name__}")
    return raw


def from_dict(kind: type[T], raw: dict[str, Any], where: str) -> T:
    """Make a config dataclass from plain values, strictly.

    Raises:
        TrainingError: an unknown key or a value of the wrong type, with its place.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(raw) - set(hints))
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(hints), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(hints)}."
        raise TrainingError(f"{where}: unknown key {unknown[0]!r}.{hint}")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in raw.items()}
    return kind(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise TrainingError(f"{where} should be a section of keys, not {value!r}")
        return from_dict(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise TrainingError(
                f"{where} is {value!r}; choose from {', '.join(map(str, arguments))}"
            )
        return value
    if origin is tuple:
        if arguments[1:] == (...,) and isinstance(value, list):
            arguments = arguments[:1] * len(value)
        if not isinstance(value, list) or len(value) != len(arguments):
            raise TrainingError(f"{where} should be a list of {len(arguments)}, not {value!r}")
        return tuple(_convert(h, v, where) for h, v in zip(arguments, value, strict=True))
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in arguments if a is not type(None)]
        return None if value is None else _convert(inner[0], value, where)
    if origin is dict:
        hint = dict
    # YAML reads 5e-5 as text: accept whatever float() takes.
    if hint is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise TrainingError(f"{where} should be a {hint.__name__}, not {value!r}")
    return value
