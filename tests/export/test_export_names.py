"""Nodes carry the path of their module, and nothing else of where they were made."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from cg3d_export.names import ROOT, module_of, name_nodes
from cg3d_export.precision import half_products
from cg3d_training.encoders import PointEncoder
from cg3d_training.text.model import TextTower


def modules(network: PointEncoder | TextTower) -> set[str]:
    return {name for name, _ in network.named_modules() if name}


def test_encoder_nodes_name_modules_that_exist(
    encoder: PointEncoder, encoder_model: onnx.ModelProto
) -> None:
    named = {module_of(node.name) for node in encoder_model.graph.node}
    assert named - {ROOT} <= modules(encoder)
    # As many as do something, and not only their parents.
    assert len(named) > 15


def test_text_nodes_name_modules_that_exist(tower: TextTower, text_model: onnx.ModelProto) -> None:
    named = {module_of(node.name) for node in text_model.graph.node}
    assert named - {ROOT} <= modules(tower)
    assert len(named) > 4


def test_products_name_the_module_of_their_weights(encoder_model: onnx.ModelProto) -> None:
    names = {node.name for node in encoder_model.graph.node}
    assert {
        "blocks.blocks.0.attn.qkv/MatMul",
        "blocks.blocks.1.mlp.fc2/MatMul",
        "blocks.blocks.1.attn/Softmax",
        "encoder.first_conv.3/Gemm",
        "reduce_dim/MatMul",
        "forward/TopK",
        "forward/ReduceL2",
    } <= names


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_every_name_is_its_own(encoder_model: onnx.ModelProto, kind: str) -> None:
    model = encoder_model if kind == "fp32" else half_products(encoder_model)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert "" not in names


def test_casts_belong_to_their_product(encoder_model: onnx.ModelProto) -> None:
    casts = [n for n in half_products(encoder_model).graph.node if n.op_type == "Cast"]
    assert "blocks.blocks.0.attn.qkv" in {module_of(node.name) for node in casts}
    assert module_of("blocks.0.attn.qkv/MatMul_to_fp16") == "blocks.0.attn.qkv"


def test_a_graph_without_notes_still_gets_names() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    nodes[1].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="not a list")
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "z")]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:])
    name_nodes(graph)
    assert [node.name for node in graph.node] == ["forward/Relu", "forward/Relu_2"]
    assert module_of("") == module_of("node_linear_5") == ""
