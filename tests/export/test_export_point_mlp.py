"""PointMLP and PointMLP-elite as graphs: sampling by the input's order, torch's numbers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from small_checkpoints import ordered_boxes
from torch import nn

from cg3d_export.operators import TENSORRT, operator_table, refused
from cg3d_export.precision import half_products
from cg3d_export.tensorrt.build import batch_profiles, build_plan
from cg3d_export.tensorrt.options import BuildOptions
from cg3d_runtime.engines.choose import open_engine
from cg3d_training.encoders import PointEncoder

#: Largest difference of two unit embeddings, as a share of the mean difference between clouds.
FP32, FP16 = 1e-3, 0.05


def embed(model: onnx.ModelProto, clouds: np.ndarray) -> np.ndarray:
    engine = open_engine(model.SerializeToString(), "cpu", threads=1)
    return engine.run({"points": clouds})["embedding"]


def expected(encoder: PointEncoder, clouds: np.ndarray) -> np.ndarray:
    """By torch, which samples for itself by the official rules, whatever the order."""
    with torch.no_grad():
        return nn.functional.normalize(encoder(torch.from_numpy(clouds)), dim=-1).numpy()


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a.astype(np.float64) - b, axis=-1)


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    return ordered_boxes(12, 128, seed=7)


def test_tensorrt_takes_every_operator(mlp_model: onnx.ModelProto) -> None:
    """One-dimensional MaxPool among others, which only looks like a maximum."""
    for model in (mlp_model, half_products(mlp_model)):
        rows = operator_table(model)
        assert {version: refused(rows, version) for version in TENSORRT} == dict.fromkeys(
            TENSORRT, ()
        )
        found = {node.op_type for node in model.graph.node}
        assert not {"Loop", "Scan", "If", "NonZero", "MaxPool", "BatchNormalization"} & found


def test_one_sorted_search_a_stage(mlp_model: onnx.ModelProto) -> None:
    constants = {t.name: numpy_helper.to_array(t) for t in mlp_model.graph.initializer}
    searches = [node for node in mlp_model.graph.node if node.op_type == "TopK"]
    assert [constants[node.input[1]].item() for node in searches] == [8, 8, 8, 8]
    for node in searches:
        assert [a.i for a in node.attribute if a.name == "sorted"] in ([], [1])


@pytest.mark.parametrize("batch", [1, 2, 7, 12])
def test_numbers(
    mlp: PointEncoder, mlp_model: onnx.ModelProto, clouds: np.ndarray, batch: int
) -> None:
    wanted = expected(mlp, clouds)
    between = differences(wanted[:, None], wanted[None])[np.triu_indices(len(wanted), 1)].mean()
    assert between > 0.1  # the clouds are told apart, so agreement means something
    for model, bar in ((mlp_model, FP32), (half_products(mlp_model), FP16)):
        found = embed(model, clouds[:batch])
        assert found.shape == (batch, 32)
        assert differences(found, wanted[:batch]).max() < bar * between
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        cosine = (found.astype(np.float64) * wanted[:batch]).sum(axis=1)
        assert cosine.mean() > (0.9999 if model is mlp_model else 0.999)


def test_the_order_is_the_sampling(
    mlp: PointEncoder, mlp_model: onnx.ModelProto, clouds: np.ndarray
) -> None:
    """Torch's own sampling does not care for the order of the points; the graph's is the order."""
    rng = np.random.default_rng(0)
    # Sampling starts at the first point, so that one stays.
    shuffled = np.stack([cloud[[0, *rng.permutation(127) + 1]] for cloud in clouds])
    wanted = expected(mlp, clouds)
    between = differences(wanted[:, None], wanted[None])[np.triu_indices(len(wanted), 1)].mean()
    assert differences(expected(mlp, shuffled), wanted).max() < FP32 * between
    assert differences(embed(mlp_model, shuffled), wanted).mean() > 10 * FP32 * between


@pytest.mark.usefixtures("tensorrt")
def test_tensorrt_builds_it(mlp_model: onnx.ModelProto) -> None:
    options = BuildOptions(optimization_level=0)
    for precision, model in (("fp32", mlp_model), ("fp16", half_products(mlp_model))):
        built = build_plan(
            model.SerializeToString(),
            batch_profiles(model, options, "encoder"),
            options,
            "encoder",
            precision,  # type: ignore[arg-type]
        )
        assert (built.inputs, built.outputs) == ({"points": "Float"}, {"embedding": "Float"})
        assert set(built.products) == ({"Float"} if precision == "fp32" else {"Float", "Half"})
