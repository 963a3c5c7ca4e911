"""Which layer spoils a graph: every intermediate result against those of the FP32 graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from cg3d_export.names import module_of
from cg3d_export.precision import emulated
from cg3d_runtime.engines.choose import open_engine

#: A few clouds show as much as many, and every intermediate result of them is kept.
_CLOUDS = 4


@dataclass(frozen=True)
class LayerError:
    """An operator's share of the difference between two graphs.

    Attributes:
        module: that the operator came from, "" where the graph does not say.
        node: its name.
        before: the largest relative error of what it reads.
        after: the relative error of what it gives; infinite where that is no number.
    """

    module: str
    node: str
    before: float
    after: float

    @property
    def growth(self) -> float:
        """How much of the error it adds; less of it where what it reads is spoiled already."""
        if np.isinf(self.before) or self.after <= self.before:
            return 0.0
        if np.isinf(self.after):
            return self.after
        return (self.after - self.before) ** 2 / self.after


def worst_layers(
    exact: onnx.ModelProto, reduced: onnx.ModelProto, clouds: NDArray[np.float32]
) -> tuple[LayerError, ...]:
    """The operators at which a reduced graph leaves the exact one, the worst first.

    Both run in ONNX Runtime with every value marked as an output that they have in common and that
    is FP32 in both. A relative error is |difference| / |exact value| in the Euclidean norm, over
    all the clouds.

    Args:
        exact: the FP32 graph.
        reduced: made from it by `half_products`, `int8_products` or by accident.
        clouds: (n, points, 3) float32, prepared.
    """
    reduced = emulated(reduced)
    common = [name for name in _fp32_results(exact) if name in set(_fp32_results(reduced))]
    points = clouds[:_CLOUDS]
    here, there = (marked_values(model, common, points) for model in (reduced, exact))
    error = {name: relative_error(here[name], there[name]) for name in common}
    layers = [
        LayerError(
            module=module_of(node.name),
            node=node.name or node.output[0],
            before=max((error.get(name, 0.0) for name in node.input), default=0.0),
            after=error[node.output[0]],
        )
        for node in exact.graph.node
        if node.output[0] in error
    ]
    return tuple(sorted(layers, key=lambda layer: -layer.growth))


def blame(layers: tuple[LayerError, ...]) -> str:
    """A sentence about the worst layer, and the next two."""
    first, *others = layers[:3]
    also = " and ".join(_place(layer) for layer in others if layer.growth > 0)
    return (
        f"The worst layer is {_place(first)}: the relative error of its result is "
        f"{first.after:.2g}, of what it reads {first.before:.2g}."
        + (f" Next come {also}." if also else "")
    )


def _place(layer: LayerError) -> str:
    return f"{layer.module} ({layer.node})" if layer.module else layer.node


def marked_values(
    model: onnx.ModelProto, names: list[str], clouds: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """FP32 values inside a graph, marked as outputs and run by ONNX Runtime."""
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    given = {value.name for value in marked.graph.output}
    for name in dict.fromkeys(names):
        if name not in given:
            marked.graph.output.append(
                onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            )
    engine = open_engine(marked.SerializeToString(), "cpu")
    return engine.run({model.graph.input[0].name: clouds})


def _fp32_results(model: onnx.ModelProto) -> list[str]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    results = [name for node in graph.node for name in node.output]
    return [name for name in results if types.get(name) == TensorProto.FLOAT]


def relative_error(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """|found - exact| / |exact|, infinite where `found` holds what is no number."""
    if not np.isfinite(found).all():
        return np.inf
    a, b = found.astype(np.float64), exact.astype(np.float64)
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-12))
