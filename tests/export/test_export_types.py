"""The precision table, and that nothing delicate runs in half precision, for every encoder."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from cg3d_export.precision import (
    bfloat16_bits,
    emulated,
    half_products,
    precision_share,
)
from cg3d_export.types import (
    SENSITIVE,
    node_types,
    precision_table,
    spoiled_by_half,
    table_text,
)
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import EngineError, InputError


def of_type(model: onnx.ModelProto, *kinds: str) -> set[str]:
    return {node.operator for node in node_types(model) if node.type in kinds}


def assert_delicate_work_is_fp32(model: onnx.ModelProto) -> None:
    for kind, name in (("fp16", "FP16"), ("bf16", "BF16")):
        reduced = half_products(model, kind)  # type: ignore[arg-type]
        assert spoiled_by_half(reduced) == ()
        assert of_type(reduced, name) <= {"MatMul", "Gemm", "Conv"}
        # The neighbours' distances are a product without a weight.
        distances = [n for n in node_types(reduced) if n.name == "forward/MatMul"]
        assert [node.type for node in distances] == ["FP32"]
        assert len(of_type(reduced, "FP32") & SENSITIVE) >= 4


def test_delicate_work_is_fp32_in_transformers(encoder_model: onnx.ModelProto) -> None:
    assert_delicate_work_is_fp32(encoder_model)


def test_delicate_work_is_fp32_in_point_mlps(mlp_model: onnx.ModelProto) -> None:
    assert_delicate_work_is_fp32(mlp_model)
    share = precision_share(half_products(mlp_model))
    assert share.fp16 > 0.9 * (share.fp16 + share.fp32)
    # What reads bare coordinates.
    products = [n for n in node_types(half_products(mlp_model)) if n.name == "embedding/Gemm"]
    assert [node.type for node in products] == ["FP32"]


def test_spoiled_work_is_found() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], name="a/Cast", to=TensorProto.FLOAT16),
        helper.make_node("Softmax", ["h"], ["s"], name="attn/Softmax"),
        helper.make_node("Cast", ["s"], ["y"], name="a/Cast_2", to=TensorProto.FLOAT),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (found,) = spoiled_by_half(model)
    assert (found.module, found.operator, found.type) == ("attn", "Softmax", "FP16")


def test_the_table(encoder_model: onnx.ModelProto) -> None:
    rows = {(r.module, r.operator, r.type): r.count for r in precision_table(
        half_products(encoder_model)
    )}  # fmt: skip
    assert rows["blocks.blocks.*.attn.qkv", "MatMul", "FP16"] == 2
    assert rows["blocks.blocks.*.attn.qkv", "Cast", "FP32 to FP16"] == 2
    assert rows["blocks.blocks.*.attn", "Softmax", "FP32"] == 2
    assert rows["forward", "TopK", "FP32"] == 1
    assert not any("INT64" in kind for _, _, kind in rows)
    text = table_text(precision_table(half_products(encoder_model)))
    assert any(
        line.split() == ["blocks.blocks.*.attn.qkv", "FP16", "MatMul", "x2"]
        for line in text.splitlines()
    )


def test_kept_modules_stay_fp32(encoder_model: onnx.ModelProto) -> None:
    kept = half_products(encoder_model, "fp16", ["blocks.blocks.1", "reduce_dim"])
    types = {node.name: node.type for node in node_types(kept)}
    assert types["blocks.blocks.1.mlp.fc1/MatMul"] == types["reduce_dim/MatMul"] == "FP32"
    assert types["blocks.blocks.0.mlp.fc1/MatMul"] == "FP16"
    with pytest.raises(InputError, match=r"'blocks\.block' is no module.*blocks\.blocks\.0"):
        half_products(encoder_model, "fp16", ["blocks.block"])


floats = arrays(
    np.float32,
    st.integers(1, 20),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)


@settings(max_examples=200, deadline=None)
@given(floats)
def test_bfloat16_is_ml_dtypes(values: np.ndarray) -> None:
    ours = bfloat16_bits(values).view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(ours, values.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_bf16_weights_and_answers(encoder_model: onnx.ModelProto, clouds: np.ndarray) -> None:
    model = half_products(encoder_model, "bf16")
    share = precision_share(model)
    assert share.bf16 > 0.95 * (share.bf16 + share.fp32)
    single = open_engine(encoder_model.SerializeToString(), "cpu", 1).run({"points": clouds})
    found = open_engine(emulated(model).SerializeToString(), "cpu", 1).run({"points": clouds})
    cosine = (single["embedding"] * found["embedding"]).sum(axis=1)
    assert cosine.min() > 0.999
    assert (found["embedding"] != single["embedding"]).any()


def test_bf16_on_a_cpu_says_what_to_do(encoder_model: onnx.ModelProto) -> None:
    """Should ONNX Runtime learn BF16 products one day, the emulation has had its day."""
    model = half_products(encoder_model, "bf16").SerializeToString()
    with pytest.raises(EngineError, match=r"bf16 needs TensorRT.*--precision fp16"):
        open_engine(model, "cpu", 1)


def test_emulation_rounds_as_bf16_does() -> None:
    """Operands and result rounded, the sum in FP32: against ml_dtypes."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 16)).astype(np.float32)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 16]) for n in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="layer/MatMul")
    graph = helper.make_graph(
        [node], "test", values[:1], values[1:], [numpy_helper.from_array(weight, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    x = rng.standard_normal((5, 16)).astype(np.float32)
    run = open_engine(emulated(half_products(model, "bf16")).SerializeToString(), "cpu", 1)

    def rounded(a: np.ndarray) -> np.ndarray:
        return a.astype(ml_dtypes.bfloat16).astype(np.float32)

    expected = rounded(rounded(x) @ rounded(weight))
    np.testing.assert_allclose(run.run({"x": x})["y"], expected, rtol=2**-8)
    exact = run.run({"x": x})["y"]
    np.testing.assert_array_equal(exact, rounded(exact))
