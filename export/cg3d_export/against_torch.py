"""An exported graph against the network that it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cg3d_export.bisect import LayerError, marked_values, relative_error
from cg3d_export.names import module_of
from cg3d_export.parity import Parity, compare, graph_runner, in_batches
from cg3d_training.encoders import PointEncoder

#: What the numbers of torch are called in reports.
TORCH = f"torch {torch.__version__} FP32"

_CLOUDS = 4


def encoder_parity(
    encoder: PointEncoder,
    model: bytes,
    clouds: NDArray[np.float32],
    anchors: NDArray[np.float32],
) -> Parity:
    """Compare a 3D encoder's graph, run by ONNX Runtime, with the encoder.

    Args:
        encoder: as trained, FP32, in eval mode.
        model: its ONNX file; products in BF16 are emulated.
        clouds: (n, points, 3) float32, prepared.
        anchors: (L, d) float32 unit rows, the bank in the space of comparison.
    """
    run, name = graph_runner(model, "points")
    # One after the other: their threads would keep each other from the cores.
    found = in_batches(run, clouds, "exported")
    expected = in_batches(torch_runner(encoder), clouds, "trained")
    return compare(found, expected, lambda rows: rows @ anchors.T, TORCH, name)


def text_parity(
    tower: nn.Module,
    model: bytes,
    tokens: NDArray[np.int64],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Parity:
    """Compare a text encoder's graph with the encoder.

    Args:
        tower: as trained, FP32, in eval mode.
        model: its ONNX file.
        tokens: (n, L) int64.
        score: (n, d) raw text vectors to their (n, L) similarities with the bank.
    """
    run, name = graph_runner(model, "tokens")
    found = in_batches(run, tokens, "exported")
    expected = in_batches(without_gradients(tower), tokens, "trained")
    return compare(found, expected, score, TORCH, name)


def torch_runner(encoder: PointEncoder) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """(b, points, 3) prepared clouds to (b, d) unit rows, by torch."""
    return without_gradients(
        lambda points: nn.functional.normalize(encoder.embed_ordered(points).float(), dim=-1)
    )


def worst_modules(
    encoder: PointEncoder, exact: onnx.ModelProto, clouds: NDArray[np.float32]
) -> tuple[LayerError, ...]:
    """The modules at which an FP32 graph leaves the network that it was exported from, worst first.

    What a module of torch returns is compared with what its last operator in the graph gives; an
    error of an earlier module counts as read by all that follow.

    Args:
        encoder: as trained, FP32, in eval mode.
        exact: its graph, nodes named by `name_nodes`.
        clouds: (n, points, 3) float32, prepared.
    """
    returned = _returned(encoder, clouds[:_CLOUDS])
    last: dict[str, tuple[int, onnx.NodeProto]] = {}
    for place, node in enumerate(exact.graph.node):
        parts = module_of(node.name).split(".")
        last |= {".".join(parts[: i + 1]): (place, node) for i in range(len(parts))}
    # In the order in which they end: a module after those inside it.
    names = sorted(last.keys() & returned.keys(), key=lambda n: (last[n][0], -n.count(".")))
    found = {name: last[name][1] for name in names}
    values = marked_values(exact, [n.output[0] for n in found.values()], clouds[:_CLOUDS])
    layers: list[LayerError] = []
    for name, node in found.items():
        here, there = values[node.output[0]], returned[name]
        if here.size == there.size:
            before = max((layer.after for layer in layers), default=0.0)
            error = relative_error(here.reshape(-1), there.reshape(-1))
            layers.append(LayerError(name, node.name, before, error))
    return tuple(sorted(layers, key=lambda layer: -layer.growth))


def _returned(encoder: PointEncoder, clouds: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What each module returns, if it is one tensor."""
    kept: dict[str, NDArray[np.float32]] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, given: object, result: object) -> None:
            if isinstance(result, Tensor):
                kept[name] = result.detach().float().numpy().copy()

        return hook

    hooks = [m.register_forward_hook(keep(n)) for n, m in encoder.named_modules() if n]
    try:
        torch_runner(encoder)(clouds)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def without_gradients(
    network: Callable[[Tensor], Tensor],
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """A network as a function of arrays."""

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.no_grad():
            rows: NDArray[np.float32] = network(torch.from_numpy(batch)).numpy()
        return rows

    return run
