"""PointMLP-elite as a graph: no sampling loops, sorted searches, torch's numbers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from cg3d_export.graph import encoder_graph
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.points import furthest_point_order
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, encoder_spec


@pytest.fixture(scope="module")
def elite() -> PointEncoder:
    """The real number of stages and blocks, with fewer points and channels."""
    torch.manual_seed(0)
    elite = encoder_spec("point_mlp_elite")
    reduced = {"points": 128, "width": 8, "neighbours": [8, 8, 8, 8], "embedding_dim": 32}
    encoder = build_encoder(EncoderSpec(elite.architecture, elite.sizes | reduced)).eval()
    for tensor in (*encoder.parameters(), *encoder.buffers()):  # as uneven as trained weights are
        if tensor.is_floating_point():
            tensor.data += 0.1 * torch.rand_like(tensor)
    return encoder


@pytest.fixture(scope="module")
def elite_model(elite: PointEncoder) -> onnx.ModelProto:
    return encoder_graph(elite)


def test_operators(elite_model: onnx.ModelProto) -> None:
    found = [node.op_type for node in elite_model.graph.node]
    assert not {"Loop", "Scan", "If", "NonZero", "BatchNormalization", "Conv"} & set(found)
    searches = [node for node in elite_model.graph.node if node.op_type == "TopK"]
    assert len(searches) == 4
    for node in searches:
        assert [a.i for a in node.attribute if a.name == "sorted"] in ([], [1])


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_numbers(elite: PointEncoder, elite_model: onnx.ModelProto, batch: int) -> None:
    rng = np.random.default_rng(batch)
    clouds = rng.uniform(-0.6, 0.6, (batch, 128, 3)).astype(np.float32)
    clouds = np.stack([cloud[furthest_point_order(cloud, 128)] for cloud in clouds])
    engine = open_engine(elite_model.SerializeToString(), "cpu", threads=1)
    found = engine.run({"points": clouds})["embedding"]
    with torch.no_grad():
        expected = nn.functional.normalize(elite(torch.from_numpy(clouds)), dim=-1).numpy()
    assert found.shape == (batch, 32)
    assert 1 - np.sum(found * expected, axis=1).min() <= 1e-5
