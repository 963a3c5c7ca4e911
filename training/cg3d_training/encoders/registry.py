"""The registry of 3D encoders: one file an architecture, one YAML config a size.

A new encoder is one module that subclasses `PointEncoder` and calls `register_encoder`, one line
in `_ARCHITECTURES`, and a config in `configs/`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

import yaml
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError


class PointEncoder(nn.Module, ABC):
    """What every 3D encoder offers.

    Attributes:
        config: its frozen config.
        points: the number of points that it is made for.
        fewest_points: the least that `embed_ordered` takes.
        embedding_dim: the size of its output.
        any_order: whether it was trained on points drawn at random, and gets them so in
            evaluation; else on furthest point samples.
        patch_drop: of encoders that take a cloud in patches: the share of them that
            `embed_ordered` leaves out in training, drawn for each cloud; None: has no patches.
    """

    config: Any
    any_order: ClassVar[bool] = False
    points: int
    fewest_points: int
    embedding_dim: int
    patch_drop: float | None = None

    @abstractmethod
    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) float32, y up, in the unit sphere, any order, to (B, embedding_dim)."""

    @abstractmethod
    def embed_ordered(self, points: Tensor) -> Tensor:
        """`forward` for points in furthest point order, without a sampling loop."""


#: architecture -> the module that registers it.
_ARCHITECTURES = {
    "point_transformer": "cg3d_training.encoders.point_transformer",
    "point_mlp": "cg3d_training.encoders.point_mlp",
    "ulip": "cg3d_training.encoders.ulip",
    "open_shape": "cg3d_training.encoders.open_shape",
    "uni3d": "cg3d_training.encoders.uni3d",
    "patch_pool": "cg3d_training.encoders.patch_pool",
    "committee": "cg3d_training.encoders.committee",
}
_REGISTRY: dict[str, tuple[type[PointEncoder], type]] = {}


@dataclass(frozen=True)
class EncoderSpec:
    """An architecture and its sizes; stored in every checkpoint.

    Attributes:
        architecture: a registered architecture.
        sizes: the fields of its config.
    """

    architecture: str
    sizes: dict[str, Any]


def register_encoder(architecture: str, module: type[PointEncoder], config: type) -> None:
    """Make an architecture known; called once by the module that defines it."""
    _REGISTRY[architecture] = (module, config)


def list_encoders() -> list[str]:
    """The names of the configs that ship with cg3d-sdk."""
    folder = resources.files("cg3d_training.encoders") / "configs"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name[-5:] == ".yaml")


def encoder_spec(name: str) -> EncoderSpec:
    """The architecture and sizes behind a config's name.

    Raises:
        TrainingError: no config has this name.
    """
    if name not in list_encoders():
        near = difflib.get_close_matches(name, list_encoders(), n=3, cutoff=0.4)
        raise TrainingError(
            f"no encoder is called {name!r}. "
            + (f"Did you mean {' or '.join(near)}? " if near else "")
            + f"There are: {', '.join(list_encoders())}."
        )
    file = resources.files("cg3d_training.encoders") / "configs" / f"{name}.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    return EncoderSpec(raw["architecture"], raw.get("sizes") or {})


def build_encoder(spec: EncoderSpec) -> PointEncoder:
    """A new encoder with random weights.

    Raises:
        TrainingError: the architecture or one of the sizes is unknown, or no size can be so.
    """
    if spec.architecture not in _ARCHITECTURES:
        raise TrainingError(
            f"no architecture is called {spec.architecture!r}; there are: "
            f"{', '.join(_ARCHITECTURES)}."
        )
    importlib.import_module(_ARCHITECTURES[spec.architecture])
    module, config = _REGISTRY[spec.architecture]
    known = {field.name for field in dataclasses.fields(config)}
    unknown = sorted(set(spec.sizes) - known)
    if unknown:
        raise TrainingError(
            f"{spec.architecture} has no size called {unknown[0]!r}; it has: "
            f"{', '.join(sorted(known))}."
        )
    sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in spec.sizes.items()}
    for field in dataclasses.fields(config):
        _check_size(f"{spec.architecture}: {field.name}", field.default, sizes.get(field.name))
    encoder = module(config(**sizes))
    if encoder.fewest_points > encoder.points:
        raise TrainingError(
            f"{spec.architecture} would take {encoder.points} points, and its sizes need "
            f"{encoder.fewest_points} or more"
        )
    return encoder


def _check_size(what: str, default: Any, size: Any) -> None:
    """Refuse a size, where one is given, that is not of its default's type, or below 0 or 1.

    Raises:
        TrainingError: it is.
    """
    if isinstance(default, tuple) and default and size is not None:
        if not isinstance(size, tuple) or not size:
            raise TrainingError(f"{what} is {size!r}; it should be a list such as {default}")
        for one in size:
            _check_size(what, type(default[0])(), one)
        return
    if size is None or not isinstance(default, (int, float)):
        return
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if type(size) not in kinds:
        raise TrainingError(f"{what} is {size!r}; it should be of the type of {default}")
    if size < (1 if type(default) is int and default else 0):  # 0 stands for none, where it can
        raise TrainingError(f"{what} is {size}, which is too small")


def create_encoder(name: str) -> PointEncoder:
    """A new encoder with random weights, by the name of its config."""
    return build_encoder(encoder_spec(name))
