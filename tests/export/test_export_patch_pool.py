"""PatchPool's graph: the same embeddings as torch, and nothing that TensorRT would refuse."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_checkpoints import ordered_boxes

from cg3d_export.graph import encoder_graph
from cg3d_export.precision import half_products, precision_share
from cg3d_export.tensorrt.build import batch_profiles, build_plan
from cg3d_export.tensorrt.options import BuildOptions
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, encoder_spec

POINTS = 64


@pytest.fixture(scope="module", params=["patch_pool_tiny", "patch_pool_small"])
def pool(request: pytest.FixtureRequest) -> PointEncoder:
    torch.manual_seed(0)
    spec = encoder_spec(request.param)
    reduced = {"points": POINTS, "groups": 16, "group_size": 8, "width": 64}
    encoder = build_encoder(EncoderSpec(spec.architecture, spec.sizes | reduced))
    with torch.no_grad():  # batch norm takes its statistics from clouds, as in training
        for _ in range(20):
            encoder.train().embed_ordered(torch.from_numpy(ordered_boxes(24, POINTS, seed=1)))
    return encoder.eval()


@pytest.fixture(scope="module")
def graph(pool: PointEncoder) -> onnx.ModelProto:
    return encoder_graph(pool)


def embed(model: onnx.ModelProto, clouds: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"points": clouds})[0])


@pytest.mark.parametrize("batch", [1, 5])
def test_the_graph_agrees_with_torch(
    pool: PointEncoder, graph: onnx.ModelProto, batch: int
) -> None:
    clouds = ordered_boxes(batch, POINTS, seed=2)
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(
            pool.embed_ordered(torch.from_numpy(clouds)), dim=-1
        ).numpy()
    if batch > 1:  # or any graph would agree
        assert np.abs(wanted[0] - wanted[1]).max() > 0.01
    assert np.abs(embed(graph, clouds) - wanted).max() < 1e-5
    cosines = (embed(half_products(graph), clouds) * wanted).sum(axis=1)
    assert cosines.min() > 0.999


def test_there_is_no_attention_and_half_the_bytes_in_fp16(graph: onnx.ModelProto) -> None:
    assert not [node for node in graph.graph.node if node.op_type == "Softmax"]
    searches = [node for node in graph.graph.node if node.op_type == "TopK"]
    assert len(searches) == 1
    share = precision_share(half_products(graph))
    assert share.fp16 > share.fp32


@pytest.mark.usefixtures("tensorrt")
def test_tensorrt_builds_it(graph: onnx.ModelProto) -> None:
    options = BuildOptions(optimization_level=0)
    half = half_products(graph)
    profiles = batch_profiles(half, options, "encoder")
    built = build_plan(half.SerializeToString(), profiles, options, "encoder", "fp16")
    assert (built.inputs, built.outputs) == ({"points": "Float"}, {"embedding": "Float"})
    assert {"Float", "Half"} <= set(built.products)
