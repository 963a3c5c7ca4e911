"""The exported graphs: what TensorRT and old runtimes can take, and torch's numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from small_checkpoints import LABELS
from torch import Tensor, nn

from cg3d_export.graph import encoder_graph
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import TrainingError
from cg3d_training.encoders import PointEncoder
from cg3d_training.text.merges import clip_tokenizer
from cg3d_training.text.model import TextTower


@pytest.fixture(params=["encoder_model", "text_model"])
def model(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return request.getfixturevalue(request.param)


def test_only_operators_that_robots_take(model: onnx.ModelProto) -> None:
    """Opset 18 alone, no control flow, no shapes that depend on data, no functions."""
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert len(model.functions) == 0
    found = {node.op_type for node in model.graph.node}
    assert found.isdisjoint({"Loop", "Scan", "If", "NonZero", "Unique", "Compress", "Einsum"})
    assert {"MatMul", "LayerNormalization"} <= found


def test_neighbours_are_sorted(encoder_model: onnx.ModelProto) -> None:
    """TensorRT refuses TopK with sorted=0."""
    searches = [node for node in encoder_model.graph.node if node.op_type == "TopK"]
    assert len(searches) == 1
    assert [a.i for a in searches[0].attribute if a.name == "sorted"] in ([], [1])


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_encoder_interface(encoder_model: onnx.ModelProto) -> None:
    (points,), (embedding,) = encoder_model.graph.input, encoder_model.graph.output
    assert (points.name, shape(points)) == ("points", ["batch", 64, 3])
    assert (embedding.name, shape(embedding)) == ("embedding", ["batch", 32])
    for value in (points, embedding):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_text_interface(text_model: onnx.ModelProto) -> None:
    (tokens,), (embedding,) = text_model.graph.input, text_model.graph.output
    assert (tokens.name, shape(tokens)) == ("tokens", ["batch", 24])
    assert (embedding.name, shape(embedding)) == ("embedding", ["batch", 32])
    assert tokens.type.tensor_type.elem_type == TensorProto.INT64
    assert embedding.type.tensor_type.elem_type == TensorProto.FLOAT


def test_no_traces_of_the_machine(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    for trace in (b".py", b"File ", b"stack_trace", b"/home", b"site-packages"):
        assert trace not in data
    assert all(not t.external_data for t in model.graph.initializer)


def batches(clouds: np.ndarray) -> Iterator[np.ndarray]:
    for size in (1, 2, 7):
        yield clouds[:size]


def test_encoder_numbers(
    encoder: PointEncoder, encoder_model: onnx.ModelProto, clouds: np.ndarray
) -> None:
    engine = open_engine(encoder_model.SerializeToString(), "cpu", threads=1)
    for batch in batches(clouds):
        embedding = engine.run({"points": batch})["embedding"]
        with torch.no_grad():
            expected = nn.functional.normalize(encoder(torch.from_numpy(batch)), dim=-1).numpy()
        np.testing.assert_allclose(embedding, expected, atol=2e-6)
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-6)


def test_text_numbers(tower: TextTower, text_model: onnx.ModelProto) -> None:
    engine = open_engine(text_model.SerializeToString(), "cpu", threads=1)
    texts = [*LABELS, *LABELS, "an unknown zebra"]
    for size in (1, 2, 7):
        tokens = clip_tokenizer()(texts[:size], 24)
        with torch.no_grad():
            expected = tower(torch.from_numpy(tokens)).numpy()
        found = engine.run({"tokens": tokens})["embedding"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6)


class Stub(PointEncoder):
    """The least that can be exported."""

    points, embedding_dim = 8, 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, points: Tensor) -> Tensor:
        return self.layer(points).amax(dim=1)

    embed_ordered = forward


class FixedBatch(Stub):
    """Turns the batch size into a number, as `len` does, which export silently bakes in."""

    def embed_ordered(self, points: Tensor) -> Tensor:
        return self.layer(points).reshape(len(points), -1, 4).amax(dim=1)


def test_same_network_same_bytes() -> None:
    stub = Stub()
    first, second = encoder_graph(stub), encoder_graph(stub)
    assert first.SerializeToString() == second.SerializeToString()


def test_fixed_batch_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"batches of 2 alone.*x\.shape\[0\]"):
        encoder_graph(FixedBatch())


def test_what_torch_cannot_export_is_an_error() -> None:
    class Loud(Stub):
        def embed_ordered(self, points: Tensor) -> Tensor:
            raise ValueError("no such thing")

    with pytest.raises(TrainingError, match="torch cannot export the encoder"):
        encoder_graph(Loud())
