"""Half precision in the graph: where it belongs, nowhere else, and with the same answers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, shape_inference
from small_checkpoints import LABELS

from cg3d_export.precision import half_products, half_weights, precision_share
from cg3d_runtime.engines.choose import open_engine
from cg3d_training.text.merges import clip_tokenizer

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


@pytest.fixture(scope="module")
def halved(encoder_model: onnx.ModelProto) -> onnx.ModelProto:
    return half_products(encoder_model)


def types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every value in a graph, as ONNX itself infers it."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    known = {t.name: t.data_type for t in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        known[value.name] = value.type.tensor_type.elem_type
    return known


def test_weights_are_fp16(halved: onnx.ModelProto, encoder_model: onnx.ModelProto) -> None:
    share = precision_share(halved)
    assert share.fp16 / (share.fp16 + share.fp32) > 0.95
    assert precision_share(encoder_model).fp16 == 0
    assert halved.ByteSize() < 0.65 * encoder_model.ByteSize()


def test_inputs_and_outputs_stay_fp32(halved: onnx.ModelProto) -> None:
    for value in (*halved.graph.input, *halved.graph.output):
        assert value.type.tensor_type.elem_type == SINGLE


def test_geometry_is_fp32(halved: onnx.ModelProto) -> None:
    """Nothing on the way to the neighbours, or from them to the patches, is FP16."""
    known = types(halved)
    makers = {name: node for node in halved.graph.node for name in node.output}
    weights = {tensor.name for tensor in halved.graph.initializer}
    ends = [
        node.output[0]
        for node in halved.graph.node
        if node.op_type == "Gather" and not weights & set(node.input)  # by indices that it found
    ]
    assert len(ends) == 1
    seen: set[str] = set()
    while ends:
        name = ends.pop()
        if name and name not in seen:
            seen.add(name)
            assert known[name] != HALF, name
            ends += makers[name].input if name in makers else []
    assert "points" in seen
    assert {"TopK", "MatMul"} <= {makers[name].op_type for name in seen if name in makers}


def test_only_products_are_fp16(halved: onnx.ModelProto) -> None:
    known = types(halved)
    used = {n.op_type for n in halved.graph.node if known.get(n.output[0]) == HALF}
    assert used <= {"MatMul", "Gemm", "Conv", "Cast"}
    sensitive = {"LayerNormalization", "Softmax", "Erf", "ReduceL2", "TopK"}
    exact = [node for node in halved.graph.node if node.op_type in sensitive]
    assert {node.op_type for node in exact} == sensitive
    for node in exact:
        assert all(known[name] != HALF for name in node.input if name)


def test_products_with_weights_are_fp16_but_for_coordinates(halved: onnx.ModelProto) -> None:
    weights = {t.name: t for t in halved.graph.initializer}
    products = [n for n in halved.graph.node if n.op_type in ("MatMul", "Gemm", "Conv")]
    trained = [weights[name] for n in products for name in n.input[:2] if name in weights]
    single = [tuple(t.dims) for t in trained if t.data_type == SINGLE]
    # The first layers of the patches and of the positions read bare coordinates.
    assert len(single) == 2
    assert all(3 in dims for dims in single)
    assert len(trained) - len(single) > 10


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_same_answers(
    halved: onnx.ModelProto, encoder_model: onnx.ModelProto, clouds: np.ndarray, batch: int
) -> None:
    given = {"points": clouds[:batch]}
    half = open_engine(halved.SerializeToString(), "cpu", 1).run(given)["embedding"]
    single = open_engine(encoder_model.SerializeToString(), "cpu", 1).run(given)["embedding"]
    assert half.dtype == np.float32
    assert (half != single).any()
    assert ((half * single).sum(axis=1) > 0.99999).all()
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)


def test_the_original_is_left_alone(encoder_model: onnx.ModelProto) -> None:
    before = encoder_model.SerializeToString()
    half_products(encoder_model)
    half_weights(encoder_model)
    assert encoder_model.SerializeToString() == before


def test_stored_weights(text_model: onnx.ModelProto) -> None:
    """FP16 in the file, FP32 in the sums: only the rounding of the weights is lost."""
    stored = half_weights(text_model)
    share = precision_share(stored)
    assert share.fp16 > 4 * share.fp32
    known = types(stored)
    computed = {n.op_type for n in stored.graph.node if known.get(n.output[0]) == HALF}
    assert computed == {"Gather"}  # of the table's rows, before they are widened
    tokens = clip_tokenizer()(list(LABELS), 24)
    single = open_engine(text_model.SerializeToString(), "cpu", 1).run({"tokens": tokens})
    half = open_engine(stored.SerializeToString(), "cpu", 1).run({"tokens": tokens})
    a, b = single["embedding"], half["embedding"]
    assert (a != b).any()
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1) > 0.9999).all()


@settings(max_examples=25, deadline=None)
@given(
    inner=st.integers(4, 9),
    transposed=st.booleans(),
    bias=st.booleans(),
    left=st.booleans(),
    chained=st.booleans(),
)
def test_any_product(inner: int, transposed: bool, bias: bool, left: bool, chained: bool) -> None:
    """Weights on either side, transposed or not, shared by two products in a row or not."""
    rng = np.random.default_rng(inner)

    def weight(name: str, *dims: int) -> TensorProto:
        return numpy_helper.from_array(rng.uniform(-1, 1, dims).astype(np.float32), name)

    if left:
        nodes = [helper.make_node("MatMul", ["w", "x"], ["y"])]
        weights = [weight("w", inner, inner)]
    else:
        nodes = [
            helper.make_node("Gemm", ["x", "w", *(["b"] if bias else [])], ["y"], transB=transposed)
        ]
        weights = [weight("w", inner, inner), *([weight("b", inner)] if bias else [])]
    if chained:
        nodes.append(helper.make_node("MatMul", ["y", "w"], ["z"]))
    out = nodes[-1].output[0]
    values = [helper.make_tensor_value_info(n, SINGLE, [inner, inner]) for n in ("x", out)]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    half = half_products(model)
    assert precision_share(half).fp32 == 0
    given = {"x": rng.uniform(-1, 1, (inner, inner)).astype(np.float32)}
    exact = open_engine(model.SerializeToString(), "cpu", 1).run(given)[out]
    found = open_engine(half.SerializeToString(), "cpu", 1).run(given)[out]
    np.testing.assert_allclose(found, exact, atol=0.03)


@pytest.mark.parametrize("transposed", [True, False])
def test_coordinates_are_known_by_what_enters_a_product(transposed: bool) -> None:
    """(3 -> 8) reads coordinates, (8 -> 3) does not, however their weights lie in memory."""
    for fan_in, fan_out in ((3, 8), (8, 3)):
        dims = (fan_out, fan_in) if transposed else (fan_in, fan_out)
        weight = numpy_helper.from_array(np.ones(dims, np.float32), "w")
        node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=int(transposed))
        values = [
            helper.make_tensor_value_info("x", SINGLE, ["n", fan_in]),
            helper.make_tensor_value_info("y", SINGLE, ["n", fan_out]),
        ]
        graph = helper.make_graph([node], "test", values[:1], values[1:], [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        assert (precision_share(half_products(model)).fp16 > 0) == (fan_in == 8)
