"""INT8, written into the graph as pairs of QuantizeLinear and DequantizeLinear.

TensorRT and ONNX Runtime turn a product between such pairs into an INT8 product. Weights have one
scale for each output channel, activations one for the tensor, all symmetric: TensorRT takes no
other zero point than 0.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tqdm import tqdm

from cg3d_export.parity import row_cosines
from cg3d_export.precision import half_products, trunk_products, with_nodes
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import InputError

#: Fewer clouds say too little about the range of what a layer reads.
LEAST_CLOUDS = 32

#: The loss of mean cosine that INT8 may cost by the sum of single products; the network as a whole
#: comes close to that sum.
BUDGET = 1e-4

#: Clouds on which each product is tried.
_TRIED = 16

#: Symmetric: -128 stays unused.
_LARGEST = 127

_BATCH = 8

#: So many values of a tensor show its distribution.
_VALUES = 1 << 18

#: Parts of the largest value at which to cut, of which the best is taken.
_CUTS = np.linspace(0.2, 1.0, 41)


def int8_products(
    model: onnx.ModelProto, clouds: NDArray[np.float32], keep: Collection[str] = ()
) -> onnx.ModelProto:
    """A copy that multiplies by its weights in INT8, or in FP16 where it is told so.

    The same products become INT8 that `half_products` would make FP16, but for those with the
    weight on the left, and the dearest: one at a time is tried in INT8, and they are taken from
    the cheapest on until what they cost together, as a loss of the embedding's cosine, reaches
    `BUDGET`. Those that are left become FP16. Everything else stays in FP32.

    Args:
        model: an FP32 graph.
        clouds: (n, points, 3) float32, prepared: real ones, to calibrate on.
        keep: modules whose products become FP16 and not INT8, with all that is inside them.

    Raises:
        InputError: fewer than `LEAST_CLOUDS` clouds, a name in `keep` is of no module with such
            a product, or none is cheap enough.
    """
    if len(clouds) < LEAST_CLOUDS:
        raise InputError(
            f"INT8 is calibrated on half of the clouds, which are {len(clouds)} here; it takes "
            f"{LEAST_CLOUDS} at least. Give more of them with --clouds."
        )
    weights = {tensor.name for tensor in model.graph.initializer}
    chosen = {
        node.output[0]: node.input[0]
        for node in trunk_products(model, keep)
        if node.input[1] in weights
    }
    scales = _activation_scales(model, sorted(set(chosen.values())), clouds)
    cheap = _cheap(model, sorted(chosen), scales, clouds[:: -(-len(clouds) // _TRIED)])
    if not cheap:
        raise InputError(
            "every product of this network loses too much in INT8. Export it with --precision fp16."
        )
    return half_products(_quantised(model, cheap, scales))


def _cheap(
    model: onnx.ModelProto,
    names: list[str],
    scales: dict[str, float],
    clouds: NDArray[np.float32],
) -> set[str]:
    """The results of the products that fit into the budget, the cheapest first."""
    exact = _embeddings(model, clouds)
    losses = {
        name: 1 - row_cosines(_embeddings(_quantised(model, {name}, scales), clouds), exact).mean()
        for name in tqdm(names, "products in INT8", unit="product")
    }
    order = sorted(names, key=lambda name: losses[name])
    spent = np.cumsum([losses[name] for name in order])
    return set(order[: int((spent <= BUDGET).sum())])


def _embeddings(model: onnx.ModelProto, clouds: NDArray[np.float32]) -> NDArray[np.float32]:
    engine = open_engine(model.SerializeToString(), "cpu")
    return engine.run({model.graph.input[0].name: clouds})[model.graph.output[0].name]


def _quantised(
    model: onnx.ModelProto, chosen: set[str], scales: dict[str, float]
) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    done: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] in chosen:
            given, weight = node.input[0], node.input[1]
            label = node.name or node.output[0]
            if given not in done:
                nodes += _activation_pair(graph, given, scales[given], label)
                done[given] = f"{given}_int8_fp32"
            # A weight may serve two products that read it along different axes.
            axis = _output_axis(node, weights[weight])
            key = f"{weight}_axis{axis}"
            if key not in done:
                nodes += _weight_scale(graph, weights[weight], key, axis, label)
                done[key] = f"{key}_fp32"
            node.input[0], node.input[1] = done[given], done[key]
        nodes.append(node)
    return with_nodes(copy, nodes)


def _activation_pair(
    graph: onnx.GraphProto, name: str, scale: float, label: str
) -> list[onnx.NodeProto]:
    stored = _add(graph, f"{name}_scale", np.float32(scale))
    zero = _add(graph, f"{name}_zero", np.int8(0))
    return [
        helper.make_node(
            "QuantizeLinear", [name, stored, zero], [f"{name}_int8"], name=f"{label}_to_int8"
        ),
        helper.make_node(
            "DequantizeLinear", [f"{name}_int8", stored, zero], [f"{name}_int8_fp32"],
            name=f"{label}_from_int8",
        ),
    ]  # fmt: skip


def _weight_scale(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, key: str, axis: int, label: str
) -> list[onnx.NodeProto]:
    values = numpy_helper.to_array(tensor)
    others = tuple(i for i in range(values.ndim) if i != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    # A channel of zeros has no range; any scale gives zeros.
    scale = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(_LARGEST)
    rounded = np.clip(np.round(values / scale), -_LARGEST, _LARGEST).astype(np.int8)
    given = [
        _add(graph, f"{key}_int8", rounded),
        _add(graph, f"{key}_scale", scale.reshape(-1)),
        _add(graph, f"{key}_zero", np.zeros(scale.size, np.int8)),
    ]
    node = helper.make_node(
        "DequantizeLinear", given, [f"{key}_fp32"], name=f"{label}_weight_from_int8", axis=axis
    )
    return [node]


def _output_axis(node: onnx.NodeProto, weight: onnx.TensorProto) -> int:
    """The axis of a weight that counts the output channels."""
    if node.op_type == "Conv":
        return 0
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return len(weight.dims) - (2 if transposed else 1)


def _add(graph: onnx.GraphProto, name: str, value: NDArray[np.generic] | np.generic) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def _activation_scales(
    model: onnx.ModelProto, names: list[str], clouds: NDArray[np.float32]
) -> dict[str, float]:
    """For each value the scale that rounds what real clouds give with the least squared error."""
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    for name in names:
        marked.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    engine = open_engine(marked.SerializeToString(), "cpu")
    given = model.graph.input[0].name
    seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    largest = dict.fromkeys(names, 0.0)
    parts = np.array_split(clouds, -(-len(clouds) // _BATCH))
    rng = np.random.default_rng(0)
    for part in tqdm(parts, "calibration", unit="batch"):
        values = engine.run({given: part})
        for name in names:
            flat = np.abs(values[name]).reshape(-1)
            largest[name] = max(largest[name], float(flat.max()))
            seen[name].append(rng.choice(flat, min(len(flat), _VALUES // len(parts))))
    return {
        name: _best_scale(np.concatenate(seen[name]), largest[name])
        for name in tqdm(names, "scales", unit="tensor")
    }


def _best_scale(values: NDArray[np.float32], largest: float) -> float:
    if largest == 0:
        return 1.0
    errors = []
    for cut in _CUTS:
        scale = cut * largest / _LARGEST
        rounded = np.minimum(np.round(values / scale), _LARGEST) * scale
        errors.append(float(np.square(rounded - values).mean()))
    return float(_CUTS[int(np.argmin(errors))] * largest / _LARGEST)
