"""Which types a network and an engine really work in, held against what was asked.

"FP16" that silently came out as FP32 is the fault that users of TensorRT meet most. Here the types
are read back: from the network after the parser, layer by layer against the graph, and, where there
is a device, from the engine through its inspector.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto

from cg3d_runtime.engines.plan import Precision
from cg3d_runtime.errors import EngineError

#: ONNX operators that multiply: what a precision is about.
PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum")

#: The type that products have in an engine of each precision. Quantised ones leave INT8 behind
#: before their result, so the layers around them tell.
_WANTED: dict[Precision, str] = {"fp32": "Float", "fp16": "Half", "bf16": "BFloat16"}

_ONNX_TYPES = {
    TensorProto.FLOAT: "Float",
    TensorProto.FLOAT16: "Half",
    TensorProto.BFLOAT16: "BFloat16",
    TensorProto.INT8: "Int8",
    TensorProto.INT32: "Int32",
    TensorProto.INT64: "Int64",
    TensorProto.BOOL: "Bool",
}

#: What an inspector's "Format/Datatype" says, in the order of looking: "BFloat16" holds "Float".
_FORMATS = (
    ("BFloat16", ("bf16", "bfloat16")),
    ("Half", ("fp16", "half")),
    ("Float", ("fp32", "float")),
    ("Int8", ("int8",)),
    ("Int32", ("int32",)),
    ("Int64", ("int64",)),
    ("Bool", ("bool",)),
)

_SHOWN = 5


def type_name(dtype: Any) -> str:
    """A type of TensorRT in the words of its inspector, e.g. "Half"."""
    name = str(dtype).rpartition(".")[2]
    return "BFloat16" if name == "BF16" else name.capitalize()


def graph_types(proto: onnx.ModelProto) -> dict[str, str]:
    """The type of every value of a graph, by its name."""
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types.update({tensor.name: tensor.data_type for tensor in inferred.initializer})
    return {name: _ONNX_TYPES.get(kind, str(kind)) for name, kind in types.items()}


def product_types(proto: onnx.ModelProto) -> dict[str, str]:
    """The type of every MatMul, Gemm, Conv and the like of a graph, by the node's name."""
    types = graph_types(proto)
    return {
        node.name or node.output[0]: types.get(node.output[0], "?")
        for node in proto.graph.node
        if node.op_type in PRODUCTS
    }


def is_quantised(proto: onnx.ModelProto) -> bool:
    """Whether the graph holds INT8 steps."""
    return any(node.op_type == "QuantizeLinear" for node in proto.graph.node)


def check_network(
    trt: Any, network: Any, proto: onnx.ModelProto, precision: Precision, part: str
) -> dict[str, int]:
    """Hold the types of a network's products, inputs and outputs against the graph and the wish.

    Returns:
        How many products work in each type, e.g. {"Half": 23, "Float": 11}.

    Raises:
        EngineError: a product, an input or an output has another type than in the graph, or
            nothing has the precision that was asked for.
    """
    for tensor, wanted in _ends(network, graph_types(proto)):
        if type_name(tensor.dtype) != wanted:
            raise EngineError(
                f"{part}: {tensor.name!r} came out as {type_name(tensor.dtype)}, in the graph it "
                f"is {wanted}. This TensorRT does not keep the graph's types; use another version."
            )
    expected = product_types(proto)
    found = dict(_network_products(trt, network))
    wrong = [name for name in found if name in expected and found[name] != expected[name]]
    if wrong:
        shown = ", ".join(f"{n} ({found[n]}, not {expected[n]})" for n in wrong[:_SHOWN])
        raise EngineError(
            f"{part}: {len(wrong)} products came out in another type than the graph's: {shown}. "
            "This TensorRT does not keep the graph's types; use another version."
        )
    counted = dict(sorted(Counter(found.values()).items()))
    if precision == "int8":
        kinds = (trt.LayerType.QUANTIZE, trt.LayerType.DEQUANTIZE)
        fine = any(network.get_layer(i).type in kinds for i in range(network.num_layers))
    elif precision == "fp32":
        fine = set(counted) <= {"Float"}
    else:
        fine = _WANTED[precision] in counted
    if not fine:
        raise EngineError(
            f"{part}: {precision} was asked for, but the network's products are {_shown(counted)}."
            " The bundle's graph does not hold this precision: export it again with "
            f"--precision {precision}."
        )
    return counted


@dataclass(frozen=True)
class EngineLayers:
    """What an engine's inspector says about its layers.

    Attributes:
        types: type -> results of layers in it, e.g. {"Half": 41, "Float": 60}; {} where the
            inspector knows names alone.
        seen: the types of all results and of all that layers read.
        hidden: layers that are whole subgraphs, whose types inside are not shown.
    """

    types: dict[str, int]
    seen: frozenset[str] = frozenset()
    hidden: int = 0


def engine_layers(information: str) -> EngineLayers:
    """Read what `EngineInspector.get_engine_information` gives as JSON, of 10.x and of 11.x."""
    try:
        layers = json.loads(information)["Layers"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return EngineLayers({})
    known = [x for x in layers if isinstance(x, dict)] if isinstance(layers, list) else []
    made = Counter(_format(tensor) for layer in known for tensor in _list(layer, "Outputs"))
    read = {_format(tensor) for layer in known for tensor in _list(layer, "Inputs")}
    hidden = sum("ForeignNode" in str(layer.get("Name")) for layer in known)
    return EngineLayers(dict(sorted(made.items())), frozenset(made) | read, hidden)


def check_engine(
    layers: EngineLayers, precision: Precision, graph: Collection[str], part: str
) -> None:
    """Refuse an engine that works in a type that its graph does not have, or not in the one wanted.

    Layers that are whole subgraphs hide the types inside; with such a layer, or where the
    inspector gave no types at all, that a type was not seen proves nothing.

    Args:
        layers: of the engine.
        precision: that was asked for.
        graph: the types of all values of the graph.
        part: what it is, for the error.

    Raises:
        EngineError: with what was found.
    """
    wanted = "Int8" if precision == "int8" else _WANTED[precision]
    strange = ({"Half", "BFloat16", "Int8"} & layers.seen) - set(graph)
    missing = bool(layers.types) and not layers.hidden and wanted not in layers.seen
    if strange or missing:
        raise EngineError(
            f"{part}: {precision} was asked for, but the engine's layers are "
            f"{_shown(layers.types)}. The engine was thrown away; use another version of TensorRT."
        )


def _ends(network: Any, types: Mapping[str, str]) -> Iterator[tuple[Any, str]]:
    """The network's inputs and outputs with their types in the graph."""
    for i in range(network.num_inputs):
        yield network.get_input(i), types[network.get_input(i).name]
    for i in range(network.num_outputs):
        yield network.get_output(i), types[network.get_output(i).name]


def _network_products(trt: Any, network: Any) -> Iterator[tuple[str, str]]:
    """ONNX node (or the layer, where that is not said) and type of every product."""
    kinds = {
        getattr(trt.LayerType, name)
        for name in ("MATRIX_MULTIPLY", "CONVOLUTION", "DECONVOLUTION", "EINSUM")
    }
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.type in kinds:
            node = re.search(r"\[ONNX Layer: (.*?)\]", layer.metadata or "")
            yield node[1] if node else layer.name, type_name(layer.get_output(0).dtype)


def _list(layer: Mapping[str, Any], key: str) -> list[Any]:
    tensors = layer.get(key)
    return tensors if isinstance(tensors, list) else []


def _format(tensor: Any) -> str:
    """The type of one of the inspector's tensors, from e.g. "Row major linear FP16 format"."""
    said = ""
    if isinstance(tensor, dict):
        said = str(tensor.get("Format/Datatype") or tensor.get("DataType") or "")
    for name, words in _FORMATS:
        if any(word in said.lower() for word in words):
            return name
    return said or "unknown"


def _shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {name}" for name, count in counts.items()) or "none at all"
