"""Spoil one layer, and the bisect names that layer."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cg3d_export.against_torch import worst_modules
from cg3d_export.bisect import blame, worst_layers
from cg3d_export.precision import half_products
from cg3d_training.encoders import PointEncoder


def weight_of(model: onnx.ModelProto, node: str) -> onnx.TensorProto:
    """The weight that the product of a name reads."""
    (found,) = [n for n in model.graph.node if n.name == node]
    (weight,) = [t for t in model.graph.initializer if t.name in found.input[:2]]
    return weight


def changed(
    model: onnx.ModelProto, node: str, factor: float, at: int | None = None
) -> onnx.ModelProto:
    """A copy with one weight multiplied, all of it or a single number."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = weight_of(copy, node)
    values = numpy_helper.to_array(tensor).copy()
    if at is None:
        values *= factor
    else:
        values.flat[at] = factor
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return copy


@pytest.mark.parametrize(
    "node",
    ["blocks.blocks.0.mlp.fc1/MatMul", "blocks.blocks.1.attn.proj/MatMul", "reduce_dim/MatMul"],
)
def test_a_weight_beyond_fp16(
    encoder_model: onnx.ModelProto, clouds: np.ndarray, node: str
) -> None:
    """FP32 takes it; FP16 has no number for it."""
    exact = changed(encoder_model, node, 1e5, at=7)
    first, *others = worst_layers(exact, half_products(exact), clouds)
    assert (first.node, first.after) == (node, np.inf)
    assert first.module == node.split("/")[0]
    # What follows is spoiled too, and is not blamed.
    assert all(np.isfinite(layer.growth) for layer in others)
    assert blame((first, *others)).startswith(f"The worst layer is {first.module} ({node})")


@pytest.mark.parametrize(
    "node", ["encoder.second_conv.3/Gemm", "blocks.blocks.1.attn.qkv/MatMul", "projection/Gemm"]
)
@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_a_corrupted_weight(
    encoder_model: onnx.ModelProto, clouds: np.ndarray, node: str, kind: str
) -> None:
    reduced = (
        changed(half_products(encoder_model, kind), node, -1.0)
        if kind == "fp16"
        else (half_products(changed(encoder_model, node, -1.0), "bf16"))
    )
    first, second, *_ = worst_layers(encoder_model, reduced, clouds)
    assert first.node == node
    assert first.growth > 4 * second.growth


def test_a_sound_graph_has_no_such_layer(
    encoder_model: onnx.ModelProto, clouds: np.ndarray
) -> None:
    layers = worst_layers(encoder_model, half_products(encoder_model), clouds)
    assert layers[0].growth < 0.01
    assert all(a.growth >= b.growth for a, b in itertools.pairwise(layers))
    assert len(layers) > 50


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("blocks.blocks.1.attn.proj/MatMul", "blocks.blocks.1.attn.proj"),
        ("reduce_dim/MatMul", "reduce_dim"),
        # Its module calls functions with the weights of its children, so that it is the least
        # that torch can show.
        ("encoder.second_conv.3/Gemm", "encoder"),
    ],
)
def test_an_fp32_graph_against_torch(
    encoder: PointEncoder,
    encoder_model: onnx.ModelProto,
    clouds: np.ndarray,
    node: str,
    module: str,
) -> None:
    first, second, *_ = worst_modules(encoder, changed(encoder_model, node, -1.0), clouds)
    assert first.module == module
    assert first.growth > 2 * second.growth
    assert not encoder._forward_hooks
    sound = worst_modules(encoder, encoder_model, clouds)
    assert sound[0].growth < 1e-4
    assert {"blocks.blocks.0.mlp.fc1", "norm", "projection"} <= {layer.module for layer in sound}
