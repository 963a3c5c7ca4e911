"""Parity: the numbers are right, and nothing below the bar passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from cg3d_export.against_torch import encoder_parity
from cg3d_export.clouds import check_clouds
from cg3d_export.graph import encoder_graph
from cg3d_export.parity import Parity, require_parity
from cg3d_export.precision import half_products
from cg3d_runtime.errors import BundleError
from cg3d_runtime.points.prepare import PreprocessSpec
from cg3d_training.encoders import PointEncoder, create_encoder

ANCHORS = np.eye(32, dtype=np.float32)


def test_a_faithful_graph(
    encoder: PointEncoder, encoder_model: onnx.ModelProto, clouds: np.ndarray
) -> None:
    parity = encoder_parity(encoder, encoder_model.SerializeToString(), clouds, ANCHORS)
    assert parity.count == len(clouds)
    assert parity.mean_cosine > 0.999999
    assert parity.worst_cosine > 0.99999
    assert parity.top1_agreement == 1.0
    assert "torch" in parity.reference
    assert "onnxruntime" in parity.engine


def spoiled(model: onnx.ModelProto, spoil: float) -> bytes:
    """The graph with its last weight changed by noise, or by what is no number."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = max(copy.graph.initializer, key=lambda t: np.prod(t.dims))
    values = numpy_helper.to_array(tensor)
    noise = np.random.default_rng(0).standard_normal(values.shape).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values + np.float32(spoil) * noise, tensor.name))
    return copy.SerializeToString()


@pytest.mark.parametrize("spoil", [1.0, np.nan])
def test_another_graph_is_found_out(
    encoder: PointEncoder, encoder_model: onnx.ModelProto, clouds: np.ndarray, spoil: float
) -> None:
    parity = encoder_parity(encoder, spoiled(encoder_model, spoil), clouds, ANCHORS)
    with pytest.raises(BundleError, match=r"mean cosine is .* \(at least 0\.9999\)"):
        require_parity(parity, "fp32", "encoder")


def test_cosines_are_numpys(
    encoder: PointEncoder, encoder_model: onnx.ModelProto, clouds: np.ndarray
) -> None:
    model = spoiled(encoder_model, 0.3)
    parity = encoder_parity(encoder, model, clouds, ANCHORS)
    from onnxruntime import InferenceSession

    (found,) = InferenceSession(model, providers=["CPUExecutionProvider"]).run(
        None, {"points": clouds}
    )
    with torch.no_grad():
        trained = encoder(torch.from_numpy(clouds)).numpy()
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b)
              for a, b in zip(found, trained, strict=True)]  # fmt: skip
    assert parity.mean_cosine == pytest.approx(np.mean(cosine), abs=1e-5)
    assert parity.worst_cosine == pytest.approx(np.min(cosine), abs=1e-5)
    agreement = np.mean(found.argmax(axis=1) == trained.argmax(axis=1))
    assert parity.top1_agreement == pytest.approx(agreement)


def report(mean: float, top1: float) -> Parity:
    return Parity(200, mean, 0.9, top1, 1.0, "torch", "onnxruntime")


@pytest.mark.parametrize(
    ("precision", "mean", "top1"),
    [("fp32", 0.9999, 0.99), ("fp16", 0.999, 0.99), ("fp16", 1.0, 1.0)],
)
def test_at_the_bar(precision: str, mean: float, top1: float) -> None:
    require_parity(report(mean, top1), precision, "encoder")


@pytest.mark.parametrize(
    ("precision", "mean", "top1"),
    [
        ("fp32", 0.99989, 1.0),
        ("fp16", 0.99899, 1.0),
        ("fp16", 1.0, 0.985),
        ("fp32", float("nan"), 1.0),
        ("fp32", 1.0, float("nan")),
    ],
)
def test_below_the_bar(precision: str, mean: float, top1: float) -> None:
    with pytest.raises(BundleError) as caught:
        require_parity(report(mean, top1), precision, "encoder")
    for number in (f"{mean:.6f}", f"{100 * top1:.1f} %", "over 200 inputs", "0.900000"):
        assert number in str(caught.value)
    assert ("--precision fp32" in str(caught.value)) == (precision == "fp16")


def test_the_small_encoder_on_household_test_clouds(shared: Path) -> None:
    torch.manual_seed(0)
    encoder = create_encoder("point_transformer_small").eval()
    spec = PreprocessSpec(encoder.points, 4 * encoder.points)
    clouds = check_clouds(shared / "data" / "household", spec).prepared
    assert clouds.shape == (200, 512, 3)
    graph = encoder_graph(encoder)
    # Embeddings of random weights lie close together: directions that tell them apart.
    anchors = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 200)))[0].T
    for precision, model in (("fp32", graph), ("fp16", half_products(graph))):
        parity = encoder_parity(
            encoder, model.SerializeToString(), clouds, anchors.astype(np.float32)
        )
        require_parity(parity, precision, "encoder")
