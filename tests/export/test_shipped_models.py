"""The checkpoints behind the shipped bundle, exported once more and compared on real clouds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cg3d_export.against_torch import encoder_parity
from cg3d_export.clouds import prepared_clouds
from cg3d_export.graph import encoder_graph
from cg3d_export.parity import require_parity
from cg3d_export.precision import half_products
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk.recognizer import default_bundle
from cg3d_training.checkpoint import Checkpoint, load_checkpoint
from cg3d_training.encoders import PointEncoder

MODELS = Path(__file__).resolve().parents[2] / "models" / "household-small"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(default_bundle())


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    return load_checkpoint(MODELS / "checkpoint.safetensors")


@pytest.fixture(scope="module")
def encoder(trained: Checkpoint) -> PointEncoder:
    return trained.build()


@pytest.fixture(scope="module")
def fp32(encoder: PointEncoder) -> onnx.ModelProto:
    return encoder_graph(encoder)


def test_the_bundle_was_made_from_these_checkpoints(bundle: Bundle, trained: Checkpoint) -> None:
    np.testing.assert_array_equal(bundle.text().mean, trained.text_mean.numpy())
    assert bundle.manifest.training["record"] == trained.record
    assert bundle.manifest.parity["mean_cosine"] >= 0.999
    assert bundle.manifest.parity["top1_agreement"] >= 0.99


def test_the_shipped_graph_is_this_encoder(bundle: Bundle, fp32: onnx.ModelProto) -> None:
    clouds = prepared_clouds(None, bundle.manifest.preprocess)
    fresh = open_engine(fp32.SerializeToString(), "cpu", 1).run({"points": clouds})["embedding"]
    shipped = open_engine(bundle.bytes("encoder.onnx"), "cpu", 1).run({"points": clouds})
    assert (fresh * shipped["embedding"]).sum(axis=1).min() >= 0.999


def test_household_test_clouds_agree_with_torch(
    shared: Path, bundle: Bundle, encoder: PointEncoder, fp32: onnx.ModelProto
) -> None:
    clouds = prepared_clouds(shared / "data" / "household", bundle.manifest.preprocess)
    assert len(clouds) == 200
    text = bundle.text()
    anchors = TextSpace(text.mean).apply(text.vectors)
    for precision, model in (("fp32", fp32), ("fp16", half_products(fp32))):
        found = encoder_parity(encoder, model.SerializeToString(), clouds, anchors)
        require_parity(found, precision, "encoder")  # type: ignore[arg-type]
