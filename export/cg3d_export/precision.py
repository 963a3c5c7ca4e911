"""Half precision, written into the graph itself.

TensorRT 11 takes its precision from the graph alone, so FP16 cannot be left to a flag. The graph is
converted and not the torch module, because modules read their weights in ways that a converted
module would break (sliced, shared, functional), and because FP32 and FP16 then come from one and
the same export.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Products with weights, and where each takes its operands: all of them become FP16.
_PRODUCTS = ("MatMul", "Gemm", "Conv")

#: A layer that reads bare coordinates works on geometry, which needs FP32: half a millimetre in
#: a metre is half of the digits that FP16 has.
_COORDINATES = 3

#: Smaller tensors (biases, scales) are not worth a cast.
_WORTH_HALVING = 1024


@dataclass(frozen=True)
class PrecisionShare:
    """Where the bytes of a graph's weights lie.

    Attributes:
        fp16: bytes in FP16.
        fp32: bytes in FP32.
    """

    fp16: int
    fp32: int


def half_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that multiplies by its weights in FP16 and does everything else in FP32.

    Every MatMul, Gemm and Conv with a weight runs in FP16, from its rounded input to its output.
    What has no weight stays in FP32: the search for neighbours and all other geometry, attention's
    products and softmax, layer norms, the residual stream, the last normalisation. So do layers
    that read bare coordinates. Inputs and outputs of the graph keep their types.
    """
    model = _copy(model)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    halved: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if not _is_trunk_product(node, weights):
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name in weights:
                node.input[i] = _half_weight(graph, weights[name], halved)
            else:
                if name not in halved:
                    halved[name] = f"{name}_fp16"
                    nodes.append(_cast(name, halved[name], TensorProto.FLOAT16))
                node.input[i] = halved[name]
        result = node.output[0]
        # The next product, if this one feeds it, takes the FP16 result as it is.
        node.output[0] = halved[result] = f"{result}_fp16"
        nodes += [node, _cast(node.output[0], result, TensorProto.FLOAT)]
    return _with_nodes(model, nodes)


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that stores its weights in FP16 and computes in FP32.

    Half the file and half the download; ONNX Runtime widens the weights once, at the start. Rows
    looked up in a table are widened after the look-up, so that the table stays small.
    """
    model = _copy(model)
    graph = model.graph
    weights = {t.name: t for t in graph.initializer if _is_fp32(t) and _size(t) >= _WORTH_HALVING}
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    tables -= {name for node in graph.node for name in _operands(node)}
    halved: dict[str, str] = {}
    nodes = []
    for name, tensor in weights.items():
        half = _half_weight(graph, tensor, halved)
        if name not in tables:
            nodes.append(_cast(half, name, TensorProto.FLOAT))
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gather" and node.input[0] in tables & weights.keys():
            node.input[0] = halved[node.input[0]]
            result = node.output[0]
            node.output[0] = f"{result}_fp16"
            nodes.append(_cast(node.output[0], result, TensorProto.FLOAT))
    return _with_nodes(model, nodes)


def precision_share(model: onnx.ModelProto) -> PrecisionShare:
    """How many bytes of weights a graph holds in either precision."""
    size = {TensorProto.FLOAT16: 0, TensorProto.FLOAT: 0}
    for tensor in model.graph.initializer:
        if tensor.data_type in size:
            size[tensor.data_type] += numpy_helper.to_array(tensor).nbytes
    return PrecisionShare(size[TensorProto.FLOAT16], size[TensorProto.FLOAT])


def _is_trunk_product(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    if node.op_type not in _PRODUCTS:
        return False
    factors = [weights[name] for name in node.input[:2] if name in weights]
    if len(factors) != 1 or not _is_fp32(factors[0]):
        return False
    return _fan_in(node, factors[0]) > _COORDINATES


def _fan_in(node: onnx.NodeProto, weight: onnx.TensorProto) -> int:
    """How many numbers go into one output of the product."""
    shape = list(weight.dims)
    if node.op_type == "Conv":
        return int(np.prod(shape[1:]))
    left = weight.name == node.input[0]
    flag = "transA" if left else "transB"
    transposed = any(a.name == flag and a.i for a in node.attribute)
    if len(shape) < 2:
        return int(np.prod(shape))
    return int(shape[-1] if left != transposed else shape[-2])


def _operands(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, but for the table of a look-up."""
    return iter(node.input[1:] if node.op_type == "Gather" else node.input)


def _half_weight(graph: onnx.GraphProto, tensor: onnx.TensorProto, halved: dict[str, str]) -> str:
    if tensor.name not in halved:
        halved[tensor.name] = f"{tensor.name}_fp16"
        with np.errstate(over="ignore"):  # a weight beyond FP16 shows in the parity check
            values = numpy_helper.to_array(tensor).astype(np.float16)
        graph.initializer.append(numpy_helper.from_array(values, halved[tensor.name]))
    return halved[tensor.name]


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=kind)


def _is_fp32(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT)


def _size(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims))


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _with_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Put new nodes in place, drop the weights that nothing reads any more, check the result."""
    graph = model.graph
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    used -= {name for node in nodes for name in node.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model
