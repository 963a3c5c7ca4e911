"""Encoders from weights in the official repository's layout (`base_model` of its checkpoints)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders.registry import EncoderSpec, PointEncoder, build_encoder, encoder_spec

_HEAD = "cls_head_finetune.3.weight"


def load_official(state: Mapping[str, Tensor]) -> PointEncoder:
    """A PointTransformer with official weights, in eval mode.

    Args:
        state: the official `base_model`: keys as in the pre-trained or in the fine-tuned files,
            with or without the `module.` that data parallelism puts in front.

    Raises:
        TrainingError: keys or shapes are not those of the official PointTransformer.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if "cls_token" not in plain:
        raise TrainingError(
            "these weights have no cls_token, so they are not an official PointTransformer; pass "
            "the 'base_model' of the checkpoint"
        )
    base = encoder_spec("point_transformer")
    sizes = base.sizes | {
        "head_classes": len(plain[_HEAD]) if _HEAD in plain else 0,
        "head_only": "projection.weight" not in plain,
    }
    encoder = build_encoder(EncoderSpec(base.architecture, sizes))
    try:
        encoder.load_state_dict(plain, strict=True)
    except RuntimeError as error:
        raise TrainingError(
            f"these weights are not those of the official PointTransformer: {error}"
        ) from error
    return encoder.eval()
