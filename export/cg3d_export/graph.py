"""Torch to ONNX: one FP32 graph per network, without sampling loops and without traces of us."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from cg3d_export.names import name_nodes
from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders import PointEncoder

#: Read by every ONNX Runtime from 1.18 on and by TensorRT from 10.0 on.
OPSET = 18

_NO_LIMIT = 1 << 31

#: A name that no operator's result has.
_UNCLAIMED = "cg3d_output"


class _UnitRows(nn.Module):
    """The encoder for ordered points, with the division by the length that follows it."""

    def __init__(self, encoder: PointEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, points: Tensor) -> Tensor:
        return nn.functional.normalize(self.encoder.embed_ordered(points).float(), dim=-1)


def encoder_graph(encoder: PointEncoder) -> onnx.ModelProto:
    """The graph of a 3D encoder.

    Input "points" (batch, n, 3) float32 in furthest point order, of which every sampling inside
    takes a prefix; output "embedding" (batch, d) float32 unit rows.
    """
    points = torch.zeros(2, encoder.points, 3)
    points[:] = torch.linspace(-0.5, 0.5, encoder.points * 3).reshape(-1, 3)
    return _export(_UnitRows(encoder), points, "points", "encoder")


def text_graph(tower: nn.Module, context_length: int) -> onnx.ModelProto:
    """The graph of a text encoder.

    Input "tokens" (batch, context_length) int64; output "embedding" (batch, d) float32, not
    normalised.
    """
    tokens = torch.ones(2, context_length, dtype=torch.long)
    return _export(tower, tokens, "tokens", "text encoder")


def image_graph(tower: nn.Module, size: int) -> onnx.ModelProto:
    """The graph of an image encoder.

    Input "images" (batch, 3, size, size) float32, normalised; output "embedding" (batch, d)
    float32 unit rows, as the tower gives them.
    """
    return _export(tower, torch.zeros(2, 3, size, size), "images", "image encoder")


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention by operators that ONNX has; torch's fused kernel for inference is none."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _export(module: nn.Module, example: Tensor, given: str, name: str) -> onnx.ModelProto:
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter warns about its own internals; what it makes is checked below and by parity.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module.eval(),
                # With an example batch of 1 the export succeeds and the graph fails when it runs.
                (example,),
                input_names=[given],
                output_names=[_UNCLAIMED],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise TrainingError(
                f"torch cannot export the {name}: {str(error).strip().splitlines()[0]}"
            ) from error
    assert program is not None
    proto = program.model_proto
    # The exporter calls the result of nn.Embedding "embedding", and would the output as well.
    _rename(proto.graph, "embedding", "embedding_rows")
    _rename(proto.graph, _UNCLAIMED, "embedding")
    model = optimizer.optimize(
        proto,
        # Weights that a module reshapes or slices are folded whatever their size.
        input_size_limit=_NO_LIMIT,
        output_size_limit=_NO_LIMIT,
    )
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise TrainingError(
            f"the {name} cannot be exported: its graph takes batches of {len(example)} alone. Its "
            "code turns the batch size into a Python number; use x.shape[0] in place of len(x)."
        )
    # The encoder hangs in `_UnitRows`; names are those of the encoder's own modules.
    name_nodes(model.graph, "encoder" if isinstance(module, _UnitRows) else "")
    return _anonymous(model, name)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for value in (*graph.output, *graph.value_info):
        value.name = new if value.name == old else value.name


def _anonymous(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Drop the exporter's notes: source files, stack traces, parameter tables."""
    graph = model.graph
    graph.name = name.replace(" ", "_")
    for noted in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        _clear(noted, "metadata_props")
        _clear(noted, "doc_string")
    # Intermediate types follow from the operators, and precision is about to change some.
    del graph.value_info[:]
    model.producer_name, model.producer_version = "cg3d-sdk", ""
    onnx.checker.check_model(model, full_check=True)
    return model


def _clear(message: Any, field: str) -> None:
    if field in message.DESCRIPTOR.fields_by_name:
        message.ClearField(field)
