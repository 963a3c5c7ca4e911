"""The static check against TensorRT's tables: our graphs pass, forbidden things are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cg3d_export.operators import (
    TENSORRT,
    _operators,
    operator_table,
    operators_text,
    refused,
)
from cg3d_export.precision import half_products, half_weights
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.tensorrt_messages import messages_of
from cg3d_sdk.shipped import default_bundle

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
ALL = set(TENSORRT)


def graph(
    operator: str,
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, int],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 18,
    **attributes: Any,
) -> onnx.ModelProto:
    """A graph of one node, which takes the inputs, then the constants."""
    names = [*inputs, *(constants or {})]
    node = helper.make_node(operator, names, list(outputs), name="here/Node", **attributes)
    made = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()],
        [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()],
        [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def top_k(k: int, **attributes: int) -> onnx.ModelProto:
    outputs = {"v": FLOAT, "i": INT64}
    return graph("TopK", {"x": (FLOAT, [1, 9000])}, outputs, {"k": np.array([k])}, **attributes)


def pool(size: int) -> onnx.ModelProto:
    shape = [1, 3, *[8] * size]
    return graph("MaxPool", {"x": (FLOAT, shape)}, {"y": FLOAT}, kernel_shape=[2] * size)


def refusing(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    rows = operator_table(model)
    return {version: found for version in TENSORRT if (found := refused(rows, version))}


@pytest.mark.parametrize("name", ["encoder_model", "text_model"])
def test_our_graphs_pass_everywhere(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    for graph in (model, half_products(model), half_products(model, "bf16"), half_weights(model)):
        assert refusing(graph) == {}


def test_the_shipped_bundle_passes_everywhere() -> None:
    bundle = Bundle.open(default_bundle())
    for file in ("encoder.onnx", "text/encoder.onnx"):
        assert refusing(onnx.load_from_string(bundle.bytes(file))) == {}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (top_k(3841), "TopK: K is 3841, at most 3840 (here/Node)"),
        (top_k(5, sorted=0), "TopK: sorted must be 1"),
        (pool(1), "MaxPool: pooling is 2-D or 3-D only"),
        (graph("Unique", {"x": (FLOAT, [9])}, {"y": FLOAT}), "Unique: not supported"),
        (graph("Compress", {"x": (FLOAT, [9]), "c": (BOOL, [9])}, {"y": FLOAT}), "Compress: not"),
        (
            graph("ScatterND", {"x": (FLOAT, [9]), "i": (INT64, [3, 1]), "u": (FLOAT, [3])},
                  {"y": FLOAT}, reduction="add"),
            "ScatterND: no reduction",
        ),
        (
            graph("LayerNormalization", {"x": (FLOAT, [2, 4]), "s": (FLOAT, [4])},
                  {"y": FLOAT, "m": FLOAT}),
            "LayerNormalization: only the first output",
        ),
        (graph("ReduceMax", {"x": (BOOL, [9])}, {"y": BOOL}, opset=20), "ReduceMax: not of BOOL"),
        (graph("Softmax", {"x": (TensorProto.UINT16, [9])}, {"y": 4}), "Softmax: not of UINT16"),
        (graph("Relu", {"x": (FLOAT, [9])}, {"y": FLOAT}, opset=25), "opset: opset 25; it reads 9"),
        (graph("Relu", {"x": (FLOAT, [9])}, {"y": FLOAT}, opset=8), "opset: opset 8; it reads 9"),
        (
            graph("QuantizeLinear", {"x": (FLOAT, [9])}, {"y": TensorProto.INT8},
                  {"s": np.float32([0.1]), "z": np.int8([3])}),
            "QuantizeLinear: the zero point must be 0",
        ),
        (
            graph("ReduceSum", {"x": (FLOAT, [9]), "axes": (INT64, [1])}, {"y": FLOAT}),
            "ReduceSum: axes must be constant",
        ),
    ],
)  # fmt: skip
def test_what_no_version_takes(model: onnx.ModelProto, message: str) -> None:
    found = refusing(model)
    assert set(found) == ALL
    for problems in found.values():
        assert any(problem.startswith(message) for problem in problems), problems


@pytest.mark.parametrize(
    ("model", "versions"),
    [
        (top_k(3840), set()),
        (pool(2), set()),
        (graph("Relu", {"x": (FLOAT, [9])}, {"y": FLOAT}, opset=20), set()),
        (graph("Relu", {"x": (FLOAT, [9])}, {"y": FLOAT}, opset=21), {"10.3"}),
        (
            graph("Einsum", {"x": (FLOAT, [9, 9])}, {"y": FLOAT}, equation="...i->...i"),
            {"10.3"},
        ),
        (
            graph("CumSum", {"x": (FLOAT, [9]), "axis": (INT64, [])}, {"y": FLOAT}),
            {"10.3"},
        ),
        (graph("HannWindow", {"n": (INT64, [])}, {"y": FLOAT}), ALL),  # takes no INT64
        (graph("RMSNormalization", {"x": (FLOAT, [2, 4])}, {"y": FLOAT}, {"s": np.ones(4, "f")},
               opset=23), {"10.3", "10.13"}),
    ],
)  # fmt: skip
def test_what_some_versions_take(model: onnx.ModelProto, versions: set[str]) -> None:
    assert set(refusing(model)) == versions


def test_operators_of_others_and_inside_others() -> None:
    mine = graph("Relu", {"x": (FLOAT, [9])}, {"y": FLOAT})
    mine.graph.node[0].domain = "com.example"
    assert refusing(mine)["11.4"] == ("com.example.Relu: not supported (here/Node)",)

    inner = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["u"], name="inside")],
        "branch", [], [helper.make_tensor_value_info("u", FLOAT, None)],
    )  # fmt: skip
    outer = graph("If", {"c": (BOOL, [])}, {"y": FLOAT}, then_branch=inner, else_branch=inner)
    outer.graph.input.append(helper.make_tensor_value_info("x", FLOAT, [9]))
    assert refusing(outer)["10.3"] == ("Unique: not supported (inside)",)


def test_the_table_for_people() -> None:
    text = operators_text(operator_table(top_k(4000)))
    assert "TopK" in text
    assert "TensorRT 10.3 (JetPack 6.1, 6.2): TopK: K is 4000" in text
    assert [line.split()[2:] for line in text.splitlines()[1:3]] == [["yes"] * 4, ["no"] * 4]


@pytest.mark.parametrize(
    "model",
    [
        graph("Unique", {"x": (FLOAT, [9])}, {"y": FLOAT}),
        graph("ScatterND", {"x": (FLOAT, [9]), "i": (INT64, [3, 1]), "u": (FLOAT, [3])},
              {"y": FLOAT}, reduction="add"),
        graph("ReduceMax", {"x": (BOOL, [9])}, {"y": BOOL}, opset=20),
        top_k(8),
        pool(2),
        graph("Erf", {"x": (FLOAT, [9])}, {"y": FLOAT}),
    ],
)  # fmt: skip
def test_tensorrt_itself_agrees(model: onnx.ModelProto, tensorrt: Any) -> None:
    logger = messages_of(tensorrt).logger
    network = tensorrt.Builder(logger).create_network(0)
    taken = tensorrt.OnnxParser(network, logger).parse(model.SerializeToString())
    assert taken == (not refused(operator_table(model), "11.4"))


def test_the_table_is_tensorrts(tensorrt: Any) -> None:
    """Every operator of ONNX: what the table lists for 11.4 is what the parser of 11.4 knows."""
    logger = messages_of(tensorrt).logger
    network = tensorrt.Builder(logger).create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    names = {s.name for s in onnx.defs.get_all_schemas() if s.domain == ""}
    known = {name for name in names if parser.supports_operator(name)}
    listed = names & set(_operators())
    # A plugin of TensorRT that its stand-in for hosts without GPU lacks.
    assert listed - known == {"DeformConv"}
    # Of later versions of ONNX than any TensorRT here reads.
    assert known - listed <= {"LinearAttention", "CausalConvWithState"}
