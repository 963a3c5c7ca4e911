"""INT8: symmetric pairs of quantisers on products alone, scales from real values, right answers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cg3d_export import int8
from cg3d_export.int8 import LEAST_CLOUDS, int8_products
from cg3d_export.operators import TENSORRT, operator_table, refused
from cg3d_export.precision import precision_share
from cg3d_export.tensorrt.build import batch_profiles, build_plan
from cg3d_export.tensorrt.options import BuildOptions
from cg3d_export.types import node_types, spoiled_by_half
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import EngineError, InputError


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    """(40, 64, 3) float32: clouds of all proportions."""
    rng = np.random.default_rng(1)
    return (rng.uniform(-1, 1, (40, 64, 3)) * rng.uniform(0.1, 1, (40, 1, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def quantised(encoder_model: onnx.ModelProto, many: np.ndarray) -> onnx.ModelProto:
    return int8_products(encoder_model, many, ["projection", "blocks.blocks.1.mlp"])


def types(model: onnx.ModelProto) -> dict[str, str]:
    return {node.name: node.type for node in node_types(model)}


def test_products_are_int8_and_kept_ones_fp16(quantised: onnx.ModelProto) -> None:
    found = types(quantised)
    assert found["blocks.blocks.0.attn.qkv/MatMul"] == "INT8"
    assert found["projection/Gemm"] == found["blocks.blocks.1.mlp.fc2/MatMul"] == "FP16"
    assert found["blocks.blocks.0.attn/MatMul"] == found["forward/MatMul"] == "FP32"
    assert found["pos_embed.0/MatMul"] == "FP32"  # reads bare coordinates
    assert spoiled_by_half(quantised) == ()
    share = precision_share(quantised)
    assert share.int8 > share.fp16 > 0
    assert share.fp32 < 0.2 * share.int8


@pytest.mark.usefixtures("tensorrt")
def test_tensorrt_builds_it(quantised: onnx.ModelProto) -> None:
    """The builder takes the quantiser pairs, and a wish for FP32 does not pass for them."""
    options = BuildOptions(optimization_level=0)
    data, profiles = quantised.SerializeToString(), batch_profiles(quantised, options, "encoder")
    built = build_plan(data, profiles, options, "encoder", "int8")
    assert (built.inputs, built.outputs) == ({"points": "Float"}, {"embedding": "Float"})
    assert built.plan
    with pytest.raises(EngineError, match="fp32 was asked for"):
        build_plan(data, profiles, options, "encoder", "fp32")


def test_as_tensorrt_takes_it(quantised: onnx.ModelProto) -> None:
    rows = operator_table(quantised)
    assert [refused(rows, version) for version in TENSORRT] == [()] * len(TENSORRT)
    constants = {t.name: numpy_helper.to_array(t) for t in quantised.graph.initializer}
    pairs = [n for n in quantised.graph.node if n.op_type.endswith("quantizeLinear")]
    pairs += [n for n in quantised.graph.node if n.op_type == "QuantizeLinear"]
    assert len(pairs) > 20
    for node in pairs:
        scale, zero = (constants[name] for name in node.input[1:])
        assert scale.dtype == np.float32
        assert (scale > 0).all()
        assert zero.dtype == np.int8
        assert not zero.any()


def test_weights_have_a_scale_for_each_output(
    encoder_model: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    constants = {t.name: numpy_helper.to_array(t) for t in quantised.graph.initializer}
    before = {t.name: numpy_helper.to_array(t) for t in encoder_model.graph.initializer}
    checked = 0
    for node in quantised.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            continue
        axis = next(a.i for a in node.attribute if a.name == "axis")
        stored, scale, _ = (constants[name] for name in node.input)
        exact = before[node.input[0].rpartition("_axis")[0]]
        shape = [1] * exact.ndim
        shape[axis] = -1
        restored = stored.astype(np.float32) * scale.reshape(shape)
        # Half a step at most, and some channel uses the whole range.
        assert (np.abs(restored - exact) <= 0.5001 * scale.reshape(shape)).all()
        assert (np.abs(stored).max(axis=tuple(set(range(exact.ndim)) - {axis})) == 127).all()
        assert scale.shape == (exact.shape[axis],)
        checked += 1
    assert checked > 5


def test_answers(
    encoder_model: onnx.ModelProto, quantised: onnx.ModelProto, clouds: np.ndarray
) -> None:
    single = open_engine(encoder_model.SerializeToString(), "cpu", 1).run({"points": clouds})
    found = open_engine(quantised.SerializeToString(), "cpu", 1).run({"points": clouds})
    cosine = (single["embedding"] * found["embedding"]).sum(axis=1)
    assert cosine.mean() > 0.999
    assert cosine.max() < 1 - 1e-7


def product(weight: np.ndarray, transposed: bool) -> onnx.ModelProto:
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", w])
        for n, w in (("x", 16), ("embedding", 4))
    ]
    given = numpy_helper.from_array(weight.T.copy() if transposed else weight, "w")
    node = helper.make_node("Gemm", ["x", "w"], ["embedding"], name="a/Gemm", transB=transposed)
    graph = helper.make_graph([node], "test", values[:1], values[1:], [given])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_against_numpy(transposed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels of very different size, each with its own scale, either way round in memory."""
    monkeypatch.setattr(int8, "BUDGET", 1.0)
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((16, 4)) * [1, 10, 100, 1000]).astype(np.float32)
    x = rng.uniform(-1, 1, (LEAST_CLOUDS, 16)).astype(np.float32)
    model = int8_products(product(weight, transposed), x)
    assert types(model)["a/Gemm"] == "INT8"
    found = open_engine(model.SerializeToString(), "cpu", 1).run({"x": x})["embedding"]
    error = np.abs(found - x @ weight).max(axis=0) / np.abs(x @ weight).max(axis=0)
    assert (error < 0.03).all()


def test_the_range_is_cut_where_the_error_is_least() -> None:
    rng = np.random.default_rng(0)
    flat = rng.uniform(0, 1, 10000).astype(np.float32)
    assert int8._best_scale(flat, 1.0) == pytest.approx(1 / 127)
    # A single outlier is not worth the precision of all the others.
    far = np.append(np.abs(rng.standard_normal(100000)), 40.0).astype(np.float32)
    assert int8._best_scale(far, 40.0) < 0.8 * 40 / 127
    assert int8._best_scale(np.zeros(9, np.float32), 0.0) == 1.0


def test_the_dearest_products_stay_fp16(
    encoder_model: onnx.ModelProto, many: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quantised_at(budget: float) -> set[str]:
        monkeypatch.setattr(int8, "BUDGET", budget)
        found = types(int8_products(encoder_model, many))
        return {name for name, kind in found.items() if kind == "INT8"}

    few, many_of_them = quantised_at(2e-6), quantised_at(1.0)
    assert few < many_of_them
    with pytest.raises(InputError, match="every product of this network loses too much in INT8"):
        quantised_at(-1.0)


def test_too_few_clouds(encoder_model: onnx.ModelProto, many: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"which are 31 here; it takes 32.*--clouds"):
        int8_products(encoder_model, many[:31])
