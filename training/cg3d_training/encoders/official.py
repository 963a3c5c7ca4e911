"""Encoders from weights in the official repository's layout (`base_model` of its checkpoints)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.registry import EncoderSpec, PointEncoder, build_encoder, encoder_spec

#: An error lists this many keys and counts the others.
_SHOWN = 5


@dataclass(frozen=True)
class _Layout:
    """How to tell an official network by its keys.

    Attributes:
        name: of the network.
        mark: a key that no other network has.
        head: the last weight of its classification head.
        configs: our configs of it by the first number of the mark's shape, if it matters.
    """

    name: str
    mark: str
    head: str
    configs: Mapping[int, str]


_LAYOUTS = (
    _Layout(
        "PointTransformer", "cls_token", "cls_head_finetune.3.weight", {1: "point_transformer"}
    ),
    _Layout(
        "PointMLP", "embedding.net.0.weight", "classifier.8.weight",
        {64: "point_mlp", 32: "point_mlp_elite"},
    ),
)  # fmt: skip


def load_official(state: Mapping[str, Tensor]) -> PointEncoder:
    """A PointTransformer, PointMLP or PointMLP-elite with official weights, in eval mode.

    Args:
        state: the official `base_model`: keys as in the pre-trained or in the fine-tuned files,
            with or without the `module.` that data parallelism puts in front.

    Raises:
        TrainingError: keys or shapes are not those of an official network.
    """
    return load_official_spec(state)[1]


def load_official_spec(state: Mapping[str, Tensor]) -> tuple[EncoderSpec, PointEncoder]:
    """`load_official`, and the architecture and sizes that the weights have."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if len(plain) != len(state):
        raise TrainingError("these weights have the same key with and without 'module.' in front")
    spec, name = _spec(plain)
    encoder = build_encoder(spec)
    wrong = list(faults(encoder.state_dict(), plain))
    if wrong:
        raise TrainingError(
            f"these weights are not those of the official {name}: {'; '.join(wrong)}"
        )
    encoder.load_state_dict(plain, strict=True)
    return spec, encoder.eval()


def _spec(state: Mapping[str, Tensor]) -> tuple[EncoderSpec, str]:
    """Architecture, sizes and name of the network that has these weights."""
    for layout in _LAYOUTS:
        if layout.mark not in state:
            continue
        config = layout.configs.get(_first(state[layout.mark]))
        if config is None:
            raise TrainingError(
                f"{layout.mark} of shape {_shape(state[layout.mark])} is of no official "
                f"{layout.name}"
            )
        base = encoder_spec(config)
        sizes: dict[str, Any] = base.sizes | {
            "head_classes": _first(state[layout.head]) if layout.head in state else 0,
            "head_only": "projection.weight" not in state and layout.head in state,
        }
        return EncoderSpec(base.architecture, sizes), layout.name
    marks = " and no ".join(layout.mark for layout in _LAYOUTS)
    raise TrainingError(
        f"these weights have no {marks}, so they are of no official encoder; pass the "
        f"'base_model' of the checkpoint. There are: {_some(state)}"
    )


def faults(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterable[str]:
    """What keeps weights from being loaded."""
    unknown, missing = sorted(found.keys() - expected), sorted(expected.keys() - found)
    if unknown:
        yield f"unknown: {_some(unknown)}"
    if missing:
        yield f"missing: {_some(missing)}"
    misshapen = [
        f"{key} {_shape(found[key])} in place of {_shape(tensor)}"
        for key, tensor in expected.items()
        if key in found and _shape(found[key]) != _shape(tensor)
    ]
    if misshapen:
        yield f"of another shape: {_some(misshapen)}"


def _some(names: Iterable[str]) -> str:
    """The first few of many names, and how many there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more + f" ({len(names)} in all)" * bool(more)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _first(tensor: Tensor) -> int:
    """The length of the first dimension; 0 for a scalar."""
    return tensor.shape[0] if tensor.ndim else 0
