"""The checkpoints behind the shipped bundle, exported once more and compared on real clouds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from cg3d_export.against_torch import encoder_parity
from cg3d_export.clouds import check_clouds
from cg3d_export.graph import encoder_graph
from cg3d_export.int8 import int8_products
from cg3d_export.parity import require_parity
from cg3d_export.precision import half_products
from cg3d_export.report import bank_of
from cg3d_export.types import node_types
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.points.prepare import prepare
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk.shipped import default_bundle
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
    clouds = check_clouds(None, bundle.manifest.preprocess).prepared
    fresh = open_engine(fp32.SerializeToString(), "cpu", 1).run({"points": clouds})["embedding"]
    shipped = open_engine(bundle.bytes("encoder.onnx"), "cpu", 1).run({"points": clouds})
    assert (fresh * shipped["embedding"]).sum(axis=1).min() >= 0.999


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 0.0), (1.0, 10.0), (0.01, 0.0), (100.0, 0.0)])
def test_far_away_and_in_other_units(
    bundle: Bundle, encoder: PointEncoder, fp32: onnx.ModelProto, factor: float, shift: float
) -> None:
    """The bars hold where a robot's frame is metres away or its unit another."""
    clouds = check_clouds(None, bundle.manifest.preprocess)
    moved = np.stack([
        prepare(cloud * np.float32(factor) + np.float32(shift), bundle.manifest.preprocess,
                clouds.up).cloud
        for cloud in clouds.raw[::2]
    ])  # fmt: skip
    bank = bank_of(bundle)
    for precision in ("fp32", "fp16", "bf16"):
        model = fp32 if precision == "fp32" else half_products(fp32, precision)  # type: ignore[arg-type]
        parity = encoder_parity(encoder, model.SerializeToString(), moved, bank.vectors)
        require_parity(parity, precision, "encoder")  # type: ignore[arg-type]
        assert parity.count == 7


def test_int8_of_the_trained_encoder(
    shared: Path, bundle: Bundle, encoder: PointEncoder, fp32: onnx.ModelProto
) -> None:
    """Calibrated on some clouds, held to its bar on others."""
    clouds = check_clouds(shared / "data" / "household", bundle.manifest.preprocess).prepared
    model = int8_products(fp32, clouds[::6])
    kinds = Counter(n.type for n in node_types(model) if n.operator in ("MatMul", "Gemm"))
    assert kinds["INT8"] > kinds["FP16"] > 0
    parity = encoder_parity(
        encoder, model.SerializeToString(), clouds[1::4], bank_of(bundle).vectors
    )
    require_parity(parity, "int8", "encoder")


def test_household_test_clouds_agree_with_torch(
    shared: Path, bundle: Bundle, encoder: PointEncoder, fp32: onnx.ModelProto
) -> None:
    clouds = check_clouds(shared / "data" / "household", bundle.manifest.preprocess).prepared
    assert len(clouds) == 200
    text = bundle.text()
    anchors = TextSpace(text.mean).apply(text.vectors)
    for precision, model in (("fp32", fp32), ("fp16", half_products(fp32))):
        found = encoder_parity(encoder, model.SerializeToString(), clouds, anchors)
        require_parity(found, precision, "encoder")  # type: ignore[arg-type]
