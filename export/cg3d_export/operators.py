"""Which TensorRT takes a graph: every ONNX operator against NVIDIA's published support tables.

The table lies beside this file, in operators.json, with its source. The limits below are those of
the same tables that a network can run into.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: The versions that are checked, and where they come from.
TENSORRT: dict[str, str] = {
    "10.3": "JetPack 6.1, 6.2",
    "10.13": "JetPack 7.0, 7.1",
    "10.16": "JetPack 7.2",
    "11.4": "JetPack 7.2.2",
}

#: The largest K of TopK.
MAX_K = 3840

_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "FP32", TensorProto.FLOAT16: "FP16", TensorProto.BFLOAT16: "BF16",
    TensorProto.INT32: "INT32", TensorProto.INT64: "INT64", TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8", TensorProto.BOOL: "BOOL", TensorProto.DOUBLE: "FP64",
}  # fmt: skip


@dataclass(frozen=True)
class OperatorRow:
    """One kind of operator in a graph.

    Attributes:
        operator: of ONNX; "opset" for the graph's version of ONNX itself.
        count: how many there are.
        problems: what is wrong, by version of TensorRT; versions that take it are not in it.
    """

    operator: str
    count: int
    problems: dict[str, str]


@dataclass(frozen=True)
class _Use:
    """A node with what the rules look at."""

    node: onnx.NodeProto
    types: dict[str, str]
    ranks: dict[str, int]
    constants: dict[str, onnx.TensorProto]

    def attribute(self, name: str, default: Any) -> Any:
        for attribute in self.node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        return default

    def given(self, index: int) -> str:
        return self.node.input[index] if index < len(self.node.input) else ""


def operator_table(model: onnx.ModelProto) -> tuple[OperatorRow, ...]:
    """Every operator of a graph and the versions of TensorRT that do not take it.

    Args:
        model: a graph; subgraphs and functions inside are looked at as well.
    """
    opset = max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=0)
    table = _table()
    wrong = {
        version: f"opset {opset}; it reads {least} to {most}"
        for version, (least, most) in table["opsets"].items()
        if not least <= opset <= most
    }
    counts: dict[str, int] = {}
    problems: dict[str, dict[str, str]] = {}
    for use in _uses(model):
        name = f"{use.node.domain}.{use.node.op_type}".removeprefix("ai.onnx.").strip(".")
        counts[name] = counts.get(name, 0) + 1
        for version in TENSORRT:
            problem = _problem(use, name, version)
            if problem:
                where = f" ({use.node.name})" if use.node.name else ""
                problems.setdefault(name, {}).setdefault(version, f"{problem}{where}")
    rows = [OperatorRow(n, counts[n], problems.get(n, {})) for n in sorted(counts)]
    return (OperatorRow("opset", opset, wrong), *rows)


def refused(rows: tuple[OperatorRow, ...], version: str) -> tuple[str, ...]:
    """What one version of TensorRT has against a graph; nothing, if it takes it.

    Args:
        version: a key of `TENSORRT`.
    """
    return tuple(
        f"{row.operator}: {row.problems[version]}" for row in rows if version in row.problems
    )


def operators_text(rows: tuple[OperatorRow, ...]) -> str:
    """The table for a terminal, with the problems below it."""
    width = max(len(row.operator) for row in rows)
    head = f"{'operator':<{width}}  count  " + "  ".join(f"{v:>5}" for v in TENSORRT)
    lines = [head]
    for row in rows:
        marks = ("no" if version in row.problems else "yes" for version in TENSORRT)
        lines.append(
            f"{row.operator:<{width}}  {row.count:>5}  " + "  ".join(f"{m:>5}" for m in marks)
        )
    for version, where in TENSORRT.items():
        lines += [f"TensorRT {version} ({where}): {text}" for text in refused(rows, version)]
    return "\n".join(lines)


def _problem(use: _Use, name: str, version: str) -> str:
    table = _operators()
    if name not in table:
        return "not supported"
    types, since = table[name]
    if _number(version) < _number(since):
        return f"from TensorRT {since} on"
    # Of a choice, what is chosen; of the rest, what they work on.
    kind = use.types.get(use.given(1 if name == "Where" else 0), "")
    if kind and kind not in types and kind != "FP64":
        return f"not of {kind}"
    return next((text for rule in _RULES.get(name, ()) if (text := rule(use, version))), "")


def _top_k(use: _Use, version: str) -> str:
    if use.attribute("sorted", 1) != 1:
        return "sorted must be 1"
    k = use.constants.get(use.given(1))
    most = int(numpy_helper.to_array(k).max()) if k is not None else 0
    return f"K is {most}, at most {MAX_K}" if most > MAX_K else ""


def _pool(use: _Use, version: str) -> str:
    if len(use.attribute("kernel_shape", [0, 0])) < 2:
        return "pooling is 2-D or 3-D only"
    if len([name for name in use.node.output if name]) > 1:
        return "no output of indices"
    return "dilations must be 1" if set(use.attribute("dilations", [1])) != {1} else ""


def _one_output(use: _Use, version: str) -> str:
    return "only the first output" if len([n for n in use.node.output if n]) > 1 else ""


def _no_reduction(use: _Use, version: str) -> str:
    return "no reduction" if use.attribute("reduction", b"none") != b"none" else ""


def _einsum(use: _Use, version: str) -> str:
    ellipsis = b"..." in use.attribute("equation", b"")
    return "ellipses from TensorRT 10.12 on" if ellipsis and _before(version, "10.12") else ""


def _zero_point(use: _Use, version: str) -> str:
    point = use.constants.get(use.given(2))
    wrong = point is not None and np.any(np.asarray(numpy_helper.to_array(point)) != 0)
    return "the zero point must be 0" if wrong else ""


def _integer_power(use: _Use, version: str) -> str:
    base, exponent = (use.types.get(use.given(i), "") for i in (0, 1))
    if base.startswith("INT") and _before(version, "10.12"):
        return "integer bases from TensorRT 10.12 on"
    if exponent.startswith("INT") and _before(version, "10.8"):
        return "integer exponents from TensorRT 10.8 on"
    return ""


def _image(use: _Use, version: str) -> str:
    return "input must be 4-D" if use.ranks.get(use.given(0), 4) != 4 else ""


def _constant(index: int, what: str, until: str = "99") -> Callable[[_Use, str], str]:
    """An input that must be known when the engine is built, before a version or always."""

    def rule(use: _Use, version: str) -> str:
        name = use.given(index)
        dynamic = bool(name) and name not in use.constants and _before(version, until)
        return f"{what} must be constant" if dynamic else ""

    return rule


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_RULES: dict[str, tuple[Callable[[_Use, str], str], ...]] = {
    "TopK": (_top_k,),
    "MaxPool": (_pool,),
    "AveragePool": (_pool,),
    "LayerNormalization": (_one_output,),
    "ScatterND": (_no_reduction,),
    "Einsum": (_einsum,),
    "QuantizeLinear": (_zero_point,),
    "DequantizeLinear": (_zero_point,),
    "Pow": (_integer_power,),
    "GridSample": (_image,),
    "CumSum": (_constant(1, "axis", "10.8"),),
    "Squeeze": (_constant(1, "axes", "10.7"),),
    "Unsqueeze": (_constant(1, "axes", "10.7"),),
    "Pad": (_constant(3, "axes", "10.4"),),
    "OneHot": (_constant(1, "depth"),),
    **{f"Reduce{kind}": (_constant(1, "axes"),) for kind in _REDUCTIONS},
}


def _uses(model: onnx.ModelProto) -> Iterator[_Use]:
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        inferred = model  # operators that ONNX does not know are found by their names
    yield from _graph_uses(inferred.graph, {}, {}, {})
    for function in model.functions:
        yield from (_Use(node, {}, {}, {}) for node in function.node)


def _graph_uses(
    graph: onnx.GraphProto,
    types: dict[str, str],
    ranks: dict[str, int],
    constants: dict[str, onnx.TensorProto],
) -> Iterator[_Use]:
    types, ranks, constants = dict(types), dict(ranks), dict(constants)
    for tensor in graph.initializer:
        types[tensor.name] = _type_name(tensor.data_type)
        ranks[tensor.name] = len(tensor.dims)
        constants[tensor.name] = tensor
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if kind.elem_type:
            types[value.name] = _type_name(kind.elem_type)
        if kind.HasField("shape"):
            ranks[value.name] = len(kind.shape.dim)
    for node in graph.node:
        use = _Use(node, types, ranks, constants)
        if node.op_type == "Constant" and (value := use.attribute("value", None)) is not None:
            constants[node.output[0]] = value
        yield use
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _graph_uses(inner, types, ranks, constants)


def _type_name(kind: int) -> str:
    return _TYPES.get(kind, str(TensorProto.DataType.Name(kind)))


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    text = (resources.files("cg3d_export") / "operators.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


@lru_cache(maxsize=1)
def _operators() -> dict[str, tuple[frozenset[str], str]]:
    """The types and the first version of every operator."""
    table = _table()
    return {
        name: (frozenset(types.split()), table["since"].get(name, "10.0"))
        for types, lines in table["types"].items()
        for line in lines
        for name in line.split()
    }


def _before(version: str, other: str) -> bool:
    return _number(version) < _number(other)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
