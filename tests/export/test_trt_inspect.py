"""Types read back from engines and graphs, and what is made of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cg3d_export.tensorrt.inspect import (
    EngineLayers,
    check_engine,
    engine_layers,
    product_types,
)
from cg3d_runtime.errors import EngineError


def layer(*types: str, name: str = "x", read: str = "Float") -> dict[str, object]:
    return {
        "Name": name,
        "Inputs": [{"Name": "a", "Format/Datatype": read}],
        "Outputs": [{"Name": "y", "Format/Datatype": kind} for kind in types],
    }


def engine(*layers: dict[str, object]) -> EngineLayers:
    return engine_layers(json.dumps({"Layers": layers}))


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
    assert engine(layer(said, said), layer("Int32")).types == {"Int32": 1, name: 2}


@pytest.mark.parametrize(
    "information", ["", "no JSON", "[]", '{"Layers": 3}', '{"Layers": ["a name", "another"]}']
)
def test_names_alone_are_no_types(information: str) -> None:
    found = engine_layers(information)
    assert found == EngineLayers({})
    check_engine(found, "fp16", {"Half", "Float"}, "encoder")


#: The types of graphs of each precision; the text encoder's weights are FP16, its products FP32.
GRAPHS = {
    "fp32": {"Float", "Int64"},
    "stored": {"Float", "Half", "Int64"},
    "fp16": {"Float", "Half", "Int64"},
    "bf16": {"Float", "BFloat16", "Int64"},
    "int8": {"Float", "Half", "Int8", "Int64"},
}


@pytest.mark.parametrize(
    ("layers", "precision", "graph"),
    [
        ([layer("Float")], "fp16", "fp16"),
        ([layer("Float", "Half")], "bf16", "bf16"),
        ([layer("Float", "Half")], "int8", "int8"),
        ([layer("Float", "Half")], "fp32", "fp32"),
        ([layer("Float", read="Half")], "fp32", "fp32"),
    ],
)
def test_an_engine_of_other_types_is_refused(layers: list, precision: Any, graph: str) -> None:
    with pytest.raises(EngineError, match=f"{precision} was asked for, .* 1 in Float"):
        check_engine(engine(*layers), precision, GRAPHS[graph], "encoder")


@pytest.mark.parametrize(
    ("layers", "precision", "graph"),
    [
        ([layer("Float", "Half")], "fp16", "fp16"),
        ([layer("BFloat16")], "bf16", "bf16"),
        ([layer("Half", read="Int8")], "int8", "int8"),
        ([layer("Float", "Int64")], "fp32", "fp32"),
        ([layer("Float", "Half")], "fp32", "stored"),
        ([layer("Float", name="{ForeignNode[a...b]}")], "fp16", "fp16"),
    ],
)
def test_an_engine_of_its_graphs_types_passes(layers: list, precision: Any, graph: str) -> None:
    check_engine(engine(*layers), precision, GRAPHS[graph], "encoder")


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
