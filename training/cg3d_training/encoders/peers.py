"""Encoders from the published checkpoints of other projects: ULIP, OpenShape, Uni3D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.official import faults
from cg3d_training.encoders.registry import (
    EncoderSpec,
    PointEncoder,
    build_encoder,
    create_encoder,
    encoder_spec,
)


@dataclass(frozen=True)
class _Layout:
    """How to tell a project's weights by their names, and what they are called here.

    Attributes:
        name: of the project.
        mark: the end of a name that no other project has.
        renamed: beginnings of names to ours; all other names belong to other towers.
        unused: beginnings of our names that the encoder does not read.
        configs: those of the published models.
    """

    name: str
    mark: str
    renamed: Mapping[str, str]
    unused: tuple[str, ...]
    configs: tuple[str, ...]


_IMAGE_ONLY = tuple(
    f"visual.{part}" for part in ("cls_token", "pos_embed", "patch_embed.", "head.", "rope.")
)
_LAYOUTS = (
    _Layout(
        "Uni3D", "point_encoder.trans2embed.weight", {"point_encoder.": ""}, _IMAGE_ONLY,
        ("uni3d_base", "uni3d_large", "uni3d_giant"),
    ),
    _Layout(
        "ULIP", "pc_projection", {"point_encoder.": "", "pc_projection": "pc_projection"}, (),
        ("ulip_point_bert", "ulip2_point_bert"),
    ),
    _Layout(
        "OpenShape", "sa.mlp_convs.0.weight",
        {"pc_encoder.ppat.": "ppat.", "pc_encoder.proj.": "proj.", "pc_encoder.": "ppat.",
         "ppat.": "ppat.", "proj.": "proj."}, (),
        ("open_shape_vitg14", "open_shape_vitl14", "open_shape_vitb32"),
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Peer:
    """An encoder of another project.

    Attributes:
        name: of the project.
        config: the name of our config of it.
        spec: architecture and sizes.
        encoder: with its weights, in eval mode.
        logit_scale: 1 / temperature, if the file has it.
    """

    name: str
    config: str
    spec: EncoderSpec
    encoder: PointEncoder
    logit_scale: float | None


def load_peer(state: Mapping[str, Tensor]) -> Peer:
    """The encoder that published weights are of, in eval mode.

    Args:
        state: names to tensors as published, with or without `module.` in front.

    Raises:
        TrainingError: names or shapes are of no published encoder that is known here.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    layout = next((x for x in _LAYOUTS if any(key.endswith(x.mark) for key in plain)), None)
    if layout is None:
        marks = ", ".join(f"{x.mark} ({x.name})" for x in _LAYOUTS)
        raise TrainingError(f"these weights are of no encoder that is known here: no {marks}")
    own = _own(plain, layout)
    wrong = {name: list(faults(_shapes(name), own)) for name in layout.configs}
    config = min(wrong, key=lambda name: _distance(name, own))
    if wrong[config]:
        raise TrainingError(
            f"these weights are of no published {layout.name} that is known here; nearest is "
            f"{config}: {'; '.join(wrong[config])}"
        )
    spec = encoder_spec(config)
    with torch.device("meta"):  # the largest has a thousand million numbers
        encoder = build_encoder(spec)
    encoder.load_state_dict(own, strict=True, assign=True)
    return Peer(layout.name, config, spec, encoder.eval(), _scale(plain.get("logit_scale")))


def _own(state: Mapping[str, Tensor], layout: _Layout) -> dict[str, Tensor]:
    """The weights that the encoder reads, by our names; halves become float32."""
    own: dict[str, Tensor] = {}
    for key, value in state.items():
        start = next((x for x in layout.renamed if key.startswith(x)), None)
        if start is None:
            continue
        name = layout.renamed[start] + key[len(start) :]
        if not name.startswith(layout.unused or ("\0",)):
            own[name] = value.float() if value.is_floating_point() else value
    return own


def _shapes(config: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(create_encoder(config).state_dict())


def _distance(config: str, found: Mapping[str, Tensor]) -> int:
    """How many names or shapes differ."""
    expected = _shapes(config)
    known = [key for key in expected if key in found and expected[key].shape == found[key].shape]
    return len(expected) + len(found) - 2 * len(known)


def _scale(logarithm: Tensor | None) -> float | None:
    if logarithm is None or logarithm.numel() != 1:
        return None
    value = float(logarithm.float().exp())
    return value if 0 < value < 1e4 else None
