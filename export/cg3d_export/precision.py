"""FP16 and BF16, written into the graph itself.

TensorRT 11 takes its precision from the graph alone, so it cannot be left to a flag. The graph is
converted and not the torch module, because modules read their weights in ways that a converted
module would break (sliced, shared, functional), and because every precision then comes from one
and the same export.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cg3d_export.names import module_of
from cg3d_runtime.errors import InputError

#: The types of two bytes that products may run in.
Half = Literal["fp16", "bf16"]

_TYPES: dict[Half, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}

#: Products with weights, and where each takes its operands: all of them become FP16 or BF16.
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
        bf16: bytes in BF16.
        int8: bytes in INT8.
    """

    fp16: int
    fp32: int
    bf16: int = 0
    int8: int = 0


def half_products(
    model: onnx.ModelProto, kind: Half = "fp16", keep: Collection[str] = ()
) -> onnx.ModelProto:
    """A copy that multiplies by its weights in FP16 or BF16 and does everything else in FP32.

    Every MatMul, Gemm and Conv with a weight runs in two bytes, from its rounded input to its
    output. What has no weight stays in FP32: the search for neighbours and all other geometry,
    attention's products and softmax, layer norms, the residual stream, the last normalisation. So
    do layers that read bare coordinates. Inputs and outputs of the graph keep their types.

    Args:
        model: an FP32 graph.
        kind: the type. ONNX Runtime has no BF16 products on CPUs; see `emulated`.
        keep: modules whose products stay in FP32, with all that is inside them.

    Raises:
        InputError: a name in `keep` is of no module with such a product.
    """
    model = _copy(model)
    graph = model.graph
    chosen = {node.output[0] for node in trunk_products(model, keep)}
    halver = _Halver(graph, kind)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] not in chosen:
            nodes.append(node)
            continue
        label = node.name or node.output[0]
        for i, name in enumerate(node.input):
            if name in halver.weights:
                node.input[i] = halver.weight(name)
            elif name:
                if name not in halver.halved:
                    halver.halved[name] = f"{name}_{kind}"
                    nodes.append(halver.cast(name, halver.halved[name], f"{label}_to_{kind}"))
                node.input[i] = halver.halved[name]
        result = node.output[0]
        # The next product, if this one feeds it, takes the result as it is.
        node.output[0] = halver.halved[result] = f"{result}_{kind}"
        nodes += [node, _widen(node.output[0], result, f"{node.name or result}_to_fp32")]
    return with_nodes(model, nodes)


def trunk_products(model: onnx.ModelProto, keep: Collection[str] = ()) -> list[onnx.NodeProto]:
    """The products that stand a lower precision: with one weight, and not of coordinates.

    Args:
        model: an FP32 graph.
        keep: modules to leave out, with all that is inside them.

    Raises:
        InputError: a name in `keep` is of no module with such a product.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if _is_trunk_product(node, weights)]
    left: list[onnx.NodeProto] = []
    unknown = set(keep)
    for node in found:
        inside = {name for name in keep if f"{module_of(node.name)}.".startswith(f"{name}.")}
        unknown -= inside
        if not inside:
            left.append(node)
    if unknown:
        modules = sorted({module_of(node.name) for node in found})
        raise InputError(
            f"{sorted(unknown)[0]!r} is no module with products that could be kept; there are: "
            f"{', '.join(modules)}"
        )
    return left


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that stores its weights in FP16 and computes in FP32.

    Half the file and half the download; ONNX Runtime widens the weights once, at the start. Rows
    looked up in a table are widened after the look-up, so that the table stays small.
    """
    model = _copy(model)
    graph = model.graph
    names = [t.name for t in graph.initializer if _is_fp32(t) and _size(t) >= _WORTH_HALVING]
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    tables -= {name for node in graph.node for name in _operands(node)}
    halver = _Halver(graph, "fp16")
    nodes = []
    for name in names:
        half = halver.weight(name)
        if name not in tables:
            nodes.append(_widen(half, name, f"{half}_to_fp32"))
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gather" and node.input[0] in tables & set(names):
            node.input[0] = halver.halved[node.input[0]]
            result = node.output[0]
            node.output[0] = f"{result}_fp16"
            nodes.append(_widen(node.output[0], result, f"{node.name or result}_to_fp32"))
    return with_nodes(model, nodes)


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a BF16 graph that computes the same numbers by means that every CPU has.

    ONNX Runtime has no BF16 products on CPUs. Here each operand is rounded to BF16 and widened,
    multiplied and summed in FP32 as tensor cores do, and the result is rounded to BF16. A graph
    without BF16 comes back as it was.
    """
    model = _copy(model)
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.BFLOAT16:
            values = np.asarray(numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    narrow = {name for name, kind in _types_of_results(model) if kind == TensorProto.BFLOAT16}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for i, name in enumerate(node.output):
            if name not in narrow:
                continue
            exact, rounded = f"{name}_exact", f"{name}_rounded"
            if node.op_type == "Cast":
                node.output[i] = rounded
            else:
                node.output[i] = exact
                nodes.append(_cast(exact, rounded, TensorProto.BFLOAT16, f"{exact}_round"))
            nodes.append(_widen(rounded, name, f"{rounded}_widen"))
    return with_nodes(model, nodes)


def precision_share(model: onnx.ModelProto) -> PrecisionShare:
    """How many bytes of weights a graph holds in each precision."""
    size = dict.fromkeys(
        (TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.BFLOAT16, TensorProto.INT8), 0
    )
    for tensor in model.graph.initializer:
        if tensor.data_type in size:
            size[tensor.data_type] += _size(tensor) * _bytes_of(tensor.data_type)
    return PrecisionShare(*size.values())


class _Halver:
    """Weights and values of one graph in a type of two bytes, each made once."""

    def __init__(self, graph: onnx.GraphProto, kind: Half) -> None:
        self.graph, self.kind = graph, kind
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.halved: dict[str, str] = {}

    def weight(self, name: str) -> str:
        if name not in self.halved:
            self.halved[name] = f"{name}_{self.kind}"
            values = numpy_helper.to_array(self.weights[name])
            self.graph.initializer.append(_half_tensor(values, self.halved[name], self.kind))
        return self.halved[name]

    def cast(self, source: str, target: str, name: str) -> onnx.NodeProto:
        return _cast(source, target, _TYPES[self.kind], name)


def _half_tensor(values: NDArray[Any], name: str, kind: Half) -> onnx.TensorProto:
    if kind == "fp16":
        with np.errstate(over="ignore"):  # a weight beyond FP16 shows in the parity check
            return numpy_helper.from_array(values.astype(np.float16), name)
    bits = bfloat16_bits(values).tobytes()
    return helper.make_tensor(name, TensorProto.BFLOAT16, values.shape, bits, raw=True)


def bfloat16_bits(values: NDArray[Any]) -> NDArray[np.uint16]:
    """The nearest BF16 numbers, ties to even, as their 16 bits; numpy has no such type."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # Rounding up could carry a NaN over into infinity.
    nan = np.isnan(values)
    return np.where(nan, (bits >> 16) | 0x40, rounded).astype("<u2")


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


def _types_of_results(model: onnx.ModelProto) -> Iterator[tuple[str, int]]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    for value in (*graph.value_info, *graph.output):
        yield value.name, value.type.tensor_type.elem_type


def _widen(source: str, target: str, name: str) -> onnx.NodeProto:
    return _cast(source, target, TensorProto.FLOAT, name)


def _cast(source: str, target: str, kind: int, name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=name, to=kind)


def _is_fp32(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT)


def _size(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims))


def _bytes_of(kind: int) -> int:
    return 4 if kind == TensorProto.FLOAT else 1 if kind == TensorProto.INT8 else 2


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def with_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Put new nodes in place, drop the weights that nothing reads any more, check the result."""
    graph = model.graph
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    used -= {name for node in nodes for name in node.output}
    used |= {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model
