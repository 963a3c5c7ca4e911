"""Types read back from engines and graphs, and what is made of them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cg3d_export.tensorrt.inspect import check_engine, engine_layer_types, product_types
from cg3d_runtime.errors import EngineError


def layer(*types: str) -> dict[str, object]:
    return {"Name": "x", "Outputs": [{"Name": "y", "Format/Datatype": kind} for kind in types]}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Half", "Half"),
        ("Row major linear FP16 format", "Half"),
        ("Row major linear FP32", "Float"),
        ("Float", "Float"),
        ("BFloat16", "BFloat16"),
        ("Row major linear BF16 format", "BFloat16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "Int8"),
        ("Int64", "Int64"),
        ("Bool", "Bool"),
    ],
)
def test_words_of_inspectors(said: str, name: str) -> None:
    """As TensorRT 8 to 11 have said it."""
    information = json.dumps({"Layers": [layer(said, said), layer("Int32")]})
    assert engine_layer_types(information) == {"Int32": 1, name: 2}


@pytest.mark.parametrize(
    "information", ["", "no JSON", "[]", '{"Layers": 3}', '{"Layers": ["a name", "another"]}']
)
def test_names_alone_are_no_types(information: str) -> None:
    assert engine_layer_types(information) == {}


@pytest.mark.parametrize(
    ("types", "precision"),
    [
        ({"Float": 60}, "fp16"),
        ({"Float": 60, "Half": 3}, "bf16"),
        ({"Float": 60, "Half": 3}, "int8"),
        ({"Float": 60, "Half": 3}, "fp32"),
    ],
)
def test_an_engine_without_what_was_asked_is_refused(types: dict, precision: str) -> None:
    with pytest.raises(EngineError, match=f"{precision} was asked for, .* 60 in Float"):
        check_engine(types, precision, "encoder")


@pytest.mark.parametrize(
    ("types", "precision"),
    [
        ({"Float": 60, "Half": 41}, "fp16"),
        ({"BFloat16": 41}, "bf16"),
        ({"Half": 5, "Int8": 41}, "int8"),
        ({"Float": 60, "Int64": 3}, "fp32"),
        ({}, "fp16"),
    ],
)
def test_an_engine_with_what_was_asked_passes(types: dict, precision: str) -> None:
    check_engine(types, precision, "encoder")


def test_types_of_products() -> None:
    def node(name: str, *inputs: str) -> onnx.NodeProto:
        return helper.make_node("MatMul", inputs, [name.lower()], name=name)

    graph = helper.make_graph(
        [
            node("A", "x", "w"),
            helper.make_node("Cast", ["a"], ["b"], to=TensorProto.FLOAT16),
            node("C", "b", "half"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT16, ["batch", 2])],
        [
            numpy_helper.from_array(np.eye(2, dtype=np.float32), "w"),
            numpy_helper.from_array(np.eye(2, dtype=np.float16), "half"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert product_types(model) == {"A": "Float", "C": "Half"}
