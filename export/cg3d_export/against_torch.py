"""An exported graph against the network that it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cg3d_export.parity import Parity, compare, graph_runner, in_batches
from cg3d_training.encoders import PointEncoder

#: What the numbers of torch are called in reports.
TORCH = f"torch {torch.__version__} FP32"


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
    expected = in_batches(_without_gradients(tower), tokens, "trained")
    return compare(found, expected, score, TORCH, name)


def torch_runner(encoder: PointEncoder) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """(b, points, 3) prepared clouds to (b, d) unit rows, by torch."""
    return _without_gradients(
        lambda points: nn.functional.normalize(encoder.embed_ordered(points).float(), dim=-1)
    )


def _without_gradients(
    network: Callable[[Tensor], Tensor],
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.no_grad():
            rows: NDArray[np.float32] = network(torch.from_numpy(batch)).numpy()
        return rows

    return run
