"""The PointTransformer against the official networks' outputs, and its registry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from official_weights import official_weights

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import furthest_point_order, furthest_point_sample
from cg3d_training.encoders import (
    EncoderSpec,
    build_encoder,
    create_encoder,
    encoder_spec,
    grouping,
    list_encoders,
)
from cg3d_training.encoders.official import load_official

INPUTS = ["points_1024", "points_2048", "points_8192", "points_edge_1024", "points_8192_fps1024"]


@pytest.fixture(scope="module")
def official(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "parity" / "official.npz") as archive:
        return dict(archive)


@pytest.mark.parametrize("name", INPUTS)
def test_pretrained_layout(shared: Path, official: dict[str, np.ndarray], name: str) -> None:
    encoder = load_official(official_weights(shared, "pointtransformer"))
    expected = official[f"pointtransformer__{name}"]
    with torch.no_grad():
        found = encoder(torch.from_numpy(official[name])).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_finetuned_layout(shared: Path, official: dict[str, np.ndarray]) -> None:
    state = official_weights(shared, "pointtransformer_finetuned")
    encoder = load_official({f"module.{k}": v for k, v in state.items()})
    expected = official["pointtransformer_finetuned__points_1024"]
    with torch.no_grad():
        found = encoder(torch.from_numpy(official["points_1024"])).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_ordered_points_need_no_sampling(shared: Path, official: dict[str, np.ndarray]) -> None:
    encoder = load_official(official_weights(shared, "pointtransformer"))
    points = torch.from_numpy(official["points_8192_fps1024"])
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed_ordered(points), encoder(points))


def test_a_layout_that_is_not_official_is_refused(shared: Path) -> None:
    state = official_weights(shared, "pointtransformer")
    del state["norm.weight"]
    with pytest.raises(TrainingError, match=r"norm\.weight"):
        load_official(state)
    with pytest.raises(TrainingError, match=r"cls_token"):
        load_official({"something": torch.zeros(1)})


@pytest.mark.parametrize("coarse", [False, True])
def test_torch_sampling_is_the_runtime_sampling(coarse: bool) -> None:
    rng = np.random.default_rng(3)
    clouds = rng.normal(size=(3, 90, 3)) / 2
    clouds = (np.round(clouds * 2) / 2 if coarse else clouds).astype(np.float32)
    found = grouping.furthest_point_sample(torch.from_numpy(clouds), 50).numpy()
    for indices, cloud in zip(found, clouds, strict=True):
        np.testing.assert_array_equal(indices, furthest_point_sample(cloud, 50))


def test_neighbours_are_scipys() -> None:
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(4)
    points, centres = rng.normal(size=(200, 3)), rng.normal(size=(20, 3))
    found = grouping.nearest_neighbours(
        torch.tensor(points[None], dtype=torch.float32),
        torch.tensor(centres[None], dtype=torch.float32),
        8,
    )
    np.testing.assert_array_equal(found[0].numpy(), cKDTree(points).query(centres, 8)[1])


def test_neighbours_are_the_same_under_autocast() -> None:
    points = torch.from_numpy(np.random.default_rng(5).normal(size=(2, 200, 3)).astype(np.float32))
    expected = grouping.nearest_neighbours(points, points[:, :20], 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = grouping.nearest_neighbours(points, points[:, :20], 8)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["point_transformer", "point_transformer_small"])
def test_every_config_builds_and_embeds(name: str) -> None:
    assert name in list_encoders()
    encoder = create_encoder(name).eval()
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(2, encoder.points, 3)).astype(np.float32) / 4
    ordered = np.stack([c[furthest_point_order(c, encoder.points)] for c in clouds])
    with torch.no_grad():
        embedding = encoder.embed_ordered(torch.from_numpy(ordered))
    assert embedding.shape == (2, 512)
    assert torch.isfinite(embedding).all()


def test_sizes() -> None:
    def parameters(name: str) -> int:
        return sum(p.numel() for p in create_encoder(name).parameters())

    # 22,252,544 by the official classes, counted without their unused head.
    assert parameters("point_transformer") == 22_252_544
    assert 1_000_000 <= parameters("point_transformer_small") <= 3_000_000


def test_unknown_names_are_explained() -> None:
    with pytest.raises(TrainingError, match="point_transformer_small"):
        create_encoder("point_transformer_smal")
    with pytest.raises(TrainingError, match="no architecture"):
        build_encoder(EncoderSpec("pointnet", {}))
    with pytest.raises(TrainingError, match="'widht'"):
        build_encoder(EncoderSpec("point_transformer", {"widht": 3}))
    assert encoder_spec("point_transformer").sizes["depth"] == 12
