"""What runs in which type: a table of a graph's operators by module, as ONNX infers the types."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from textwrap import fill

import onnx
from onnx import TensorProto

from cg3d_export.names import module_of

_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT8: "INT8",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.BOOL: "BOOL",
}
_FLOATS = ("FP32", "FP16", "BF16", "INT8")

#: Operators whose work half precision spoils: means and variances, exponentials and their sums,
#: lengths, comparisons of distances.
SENSITIVE = frozenset(
    {"LayerNormalization", "BatchNormalization", "Softmax", "Exp", "Sqrt", "ReduceL2", "ReduceSum",
     "ReduceMean", "TopK", "Pow", "Clip"}
)  # fmt: skip

_COLUMNS = 100

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


@dataclass(frozen=True)
class NodeType:
    """One operator of a graph.

    Attributes:
        name: of the node.
        module: that it came from, "" where the graph does not say.
        operator: of ONNX, e.g. "MatMul".
        type: that it computes in, e.g. "FP16"; "FP32 to FP16" for casts. A product of quantised
            operands is INT8: TensorRT runs it so.
    """

    name: str
    module: str
    operator: str
    type: str


@dataclass(frozen=True)
class TypeRow:
    """Operators of one kind in one kind of module.

    Attributes:
        module: of all of them, numbers of repeated modules as "*": "blocks.*.attn.qkv".
        operator, type: see `NodeType`.
        count: how many there are.
    """

    module: str
    operator: str
    type: str
    count: int


def node_types(model: onnx.ModelProto) -> tuple[NodeType, ...]:
    """The type of every operator, in the graph's order."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    makers = {name: node for node in graph.node for name in node.output}
    return tuple(
        NodeType(node.name, module_of(node.name), node.op_type, _type(node, types, makers))
        for node in graph.node
    )


def precision_table(model: onnx.ModelProto) -> tuple[TypeRow, ...]:
    """What computes in which type, module by module; arithmetic with shapes is left out."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for node in node_types(model):
        if any(kind in node.type for kind in _FLOATS):
            counts[_pattern(node.module), node.operator, node.type] += 1
    return tuple(TypeRow(*key, count) for key, count in counts.items())


def spoiled_by_half(model: onnx.ModelProto) -> tuple[NodeType, ...]:
    """The operators that should compute in FP32 and do not; none, if all is well."""
    return tuple(
        node
        for node in node_types(model)
        if node.operator in SENSITIVE and node.type in ("FP16", "BF16", "INT8")
    )


def table_text(rows: tuple[TypeRow, ...]) -> str:
    """The table for a terminal, a line a module and type."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        number = f" x{row.count}" if row.count > 1 else ""
        lines.setdefault((row.module, row.type), []).append(f"{row.operator}{number}")
    width = max((len(module) for module, _ in lines), default=0)
    kinds = max((len(kind) for _, kind in lines), default=0)
    indent = " " * (width + kinds + 4)
    return "\n".join(
        fill(
            f"{module or '-':<{width}}  {kind:<{kinds}}  {', '.join(operators)}",
            max(_COLUMNS, len(indent) + 40),
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for (module, kind), operators in lines.items()
    )


def _type(node: onnx.NodeProto, types: dict[str, int], makers: dict[str, onnx.NodeProto]) -> str:
    given, made = _name(types, node.input), _name(types, node.output)
    if node.op_type in ("Cast", _QUANTIZE, _DEQUANTIZE):
        return f"{given} to {made}"
    sources = [makers[name] for name in node.input[:2] if name in makers]
    if len(sources) == 2 and all(source.op_type == _DEQUANTIZE for source in sources):
        return "INT8"
    # A look-up takes its type from the table, a choice from what is chosen.
    return given if given in _FLOATS or made not in _FLOATS else made


def _name(types: dict[str, int], names: list[str]) -> str:
    kinds = [types.get(name, TensorProto.UNDEFINED) for name in names if name]
    return _NAMES.get(kinds[0], "other") if kinds else "none"


def _pattern(module: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", module)
