"""Encoders as classifiers: the official head for classes in place of the projection.

A classifier is an ordinary encoder in the official fine-tuned layout (`head_only`), so that it is
saved, loaded and compared with official files like any other.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.committee import Committee
from cg3d_training.encoders.registry import EncoderSpec, PointEncoder, build_encoder

#: Sizes that say what comes out; all others say what the body is.
_OUTPUT_SIZES = ("embedding_dim", "head_classes", "head_only")


def classifier_spec(spec: EncoderSpec, classes: int) -> EncoderSpec:
    """The classifier with an encoder's body; its "embedding" is (B, classes) logits."""
    return EncoderSpec(spec.architecture, spec.sizes | {"head_classes": classes, "head_only": True})


def load_body(
    classifier: PointEncoder, spec: EncoderSpec, start: PointEncoder, start_spec: EncoderSpec
) -> dict[str, tuple[Any, Any]]:
    """Copy all weights but those of the head from another encoder.

    Args:
        classifier, spec: what to fill, from `classifier_spec`.
        start, start_spec: an encoder with a projection or a head of any size; of a committee,
            the member with the classifier's sizes.

    Returns:
        Sizes without weights that differ, such as `points`: name to (start's, classifier's).

    Raises:
        TrainingError: the bodies are not alike.
    """
    if isinstance(start, Committee) and spec.architecture != start_spec.architecture:
        start, start_spec = _member(start, spec)
    if spec.architecture != start_spec.architecture:
        raise TrainingError(
            f"the recipe trains a {spec.architecture}, the checkpoint holds a "
            f"{start_spec.architecture}: set encoder to one of that architecture"
        )
    mine, theirs = (_body_sizes(encoder) for encoder in (classifier, start))
    changed = {k: (theirs[k], mine[k]) for k in mine if mine[k] != theirs[k]}
    found = start.state_dict()
    weights = {k: v for k, v in classifier.state_dict().items() if k in _body_keys(spec)}
    for key, value in weights.items():
        if key not in found or found[key].shape != value.shape:
            sizes = ", ".join(f"{k} {a} in place of {b}" for k, (a, b) in changed.items())
            raise TrainingError(
                f"the checkpoint's encoder has other sizes than the recipe's ({sizes}): set "
                "encoder and encoder_sizes to what it was trained with"
            )
    with torch.no_grad():
        for key, value in weights.items():
            value.copy_(found[key])
    return changed


def _member(committee: Committee, spec: EncoderSpec) -> tuple[PointEncoder, EncoderSpec]:
    """The first member whose weights fit; if none does, the first of all, to say why."""
    keys = _body_keys(spec)
    shapes = {k: v.shape for k, v in build_encoder(spec).state_dict().items() if k in keys}
    members = [
        (member, EncoderSpec(str(raw["architecture"]), dict(raw["sizes"])))
        for member, raw in zip(committee.members, committee.config.members, strict=True)
        if isinstance(member, PointEncoder)
    ]

    def fits(member: PointEncoder) -> bool:
        found = member.state_dict()
        return all(key in found and found[key].shape == shape for key, shape in shapes.items())

    return next((pair for pair in members if fits(pair[0])), members[0])


def _body_keys(spec: EncoderSpec) -> set[str]:
    """Names of the weights that a classifier shares with the plain encoder."""
    plain = EncoderSpec(spec.architecture, spec.sizes | {"head_classes": 0, "head_only": False})
    return set(build_encoder(plain).state_dict())


def _body_sizes(encoder: PointEncoder) -> dict[str, Any]:
    sizes = dataclasses.asdict(encoder.config)
    return {k: v for k, v in sizes.items() if k not in _OUTPUT_SIZES}
