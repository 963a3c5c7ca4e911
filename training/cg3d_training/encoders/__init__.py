"""3D encoders, by name: `create_encoder("point_transformer_small")`."""

from cg3d_training.encoders.registry import (
    EncoderSpec,
    PointEncoder,
    build_encoder,
    create_encoder,
    encoder_spec,
    list_encoders,
)

__all__ = [
    "EncoderSpec",
    "PointEncoder",
    "build_encoder",
    "create_encoder",
    "encoder_spec",
    "list_encoders",
]
