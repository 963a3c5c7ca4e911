"""PointMLP against the official networks' outputs and against its formulas, written out."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from official_weights import official_weights
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import furthest_point_order
from cg3d_training.encoders import EncoderSpec, build_encoder, create_encoder, encoder_spec
from cg3d_training.encoders.grouping import furthest_point_sample, nearest_neighbours
from cg3d_training.encoders.official import load_official
from cg3d_training.encoders.point_mlp import PointMlp

INPUTS = ["points_1024", "points_2048", "points_8192", "points_edge_1024", "points_8192_fps1024"]
SMALL = EncoderSpec(
    "point_mlp",
    {
        "points": 64, "width": 8, "expansion": [2, 1], "reduction": [2, 4], "neighbours": [12, 6],
        "blocks_before": [2, 1], "blocks_after": [1, 0], "bottleneck": 0.5, "embedding_dim": 16,
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def official(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "parity" / "official.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def pretrained(shared: Path) -> dict[str, Tensor]:
    return official_weights(shared, "pointmlp")


@pytest.fixture
def small() -> PointMlp:
    torch.manual_seed(0)
    encoder = build_encoder(SMALL)
    assert isinstance(encoder, PointMlp)
    for parameter in encoder.parameters():  # as uneven as trained weights are
        parameter.data += 0.1 * torch.randn_like(parameter)
    for name, buffer in encoder.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return encoder


def clouds(count: int, points: int) -> Tensor:
    rng = np.random.default_rng(count)
    made = rng.normal(size=(count, points, 3)).astype(np.float32)
    return torch.from_numpy(made / np.linalg.norm(made, axis=-1).max(axis=1)[:, None, None])


@pytest.mark.parametrize("name", INPUTS)
def test_pretrained_layout(
    pretrained: dict[str, Tensor], official: dict[str, np.ndarray], name: str
) -> None:
    encoder = load_official(pretrained)
    expected = official[f"pointmlp__{name}"]
    with torch.no_grad():
        found = encoder(torch.from_numpy(official[name])).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_finetuned_layout(shared: Path, official: dict[str, np.ndarray]) -> None:
    state = official_weights(shared, "pointmlp_finetuned")
    encoder = load_official({f"module.{key}": value for key, value in state.items()})
    assert encoder.embedding_dim == 40
    expected = official["pointmlp_finetuned__points_1024"]
    with torch.no_grad():
        found = encoder(torch.from_numpy(official["points_1024"])).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_ordered_points_need_no_sampling(
    pretrained: dict[str, Tensor], official: dict[str, np.ndarray]
) -> None:
    encoder = load_official(pretrained)
    points = torch.from_numpy(official["points_8192_fps1024"])
    with torch.no_grad():
        found, expected = encoder.embed_ordered(points), encoder(points)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def literal(encoder: PointMlp, points: Tensor) -> Tensor:
    """The method as the paper writes it, every pair convolved."""
    x = encoder.embedding.net(points.transpose(1, 2)).transpose(1, 2)
    stages = zip(
        encoder.anchors, encoder.config.neighbours, encoder.local_grouper_list,
        encoder.pre_blocks_list, encoder.pos_blocks_list, strict=True,
    )  # fmt: skip
    for count, k, grouper, before, after in stages:
        cloud = torch.arange(len(points))[:, None]
        chosen = furthest_point_sample(points, count)
        near = nearest_neighbours(points, points[cloud, chosen], k)
        anchors = x[cloud, chosen][:, :, None]
        difference = x[cloud[..., None], near] - anchors
        spread = torch.stack([torch.std(one) for one in difference]).reshape(-1, 1, 1, 1)
        scaled = grouper.affine_alpha * (difference / (spread + 1e-5)) + grouper.affine_beta
        pairs = torch.cat([scaled, anchors.expand_as(scaled)], dim=-1)
        pairs = pairs.reshape(-1, k, pairs.shape[-1]).transpose(1, 2)
        refined = residuals(before.operation, before.transfer.net(pairs))
        pooled = refined.amax(dim=2).reshape(len(points), count, -1)
        x = residuals(after.operation, pooled.transpose(1, 2)).transpose(1, 2)
        points = points[cloud, chosen]
    out: Tensor = encoder.projection(x.amax(dim=1)[..., None]).squeeze(-1)
    return out


def residuals(blocks: nn.Module, x: Tensor) -> Tensor:
    for block in blocks.children():
        x = torch.relu(block.net2(block.net1(x)) + x)
    return x


@pytest.mark.parametrize("training", [False, True])
def test_it_computes_the_formulas_of_the_paper(small: PointMlp, training: bool) -> None:
    small.double().train(training)
    other = copy.deepcopy(small)
    points = clouds(3, 80).double()
    found, expected = small(points), literal(other, points)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    found.square().sum().backward()
    expected.square().sum().backward()
    for mine, theirs in zip(small.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-7)
    for mine, theirs in zip(small.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_one_cloud_is_a_batch(small: PointMlp) -> None:
    """The official network returns (d,) for a batch of one."""
    points = clouds(3, 64)
    with torch.no_grad():
        one, all_three = small.eval()(points[:1]), small(points)
    assert one.shape == (1, 16)
    torch.testing.assert_close(one, all_three[:1], rtol=1e-4, atol=1e-5)


def test_a_cloud_without_extent_stays_finite(small: PointMlp) -> None:
    small.train()(torch.full((2, 64, 3), 0.25)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in small.parameters() if p.grad is not None)


def test_mixed_precision_trains(small: PointMlp) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = small.train()(clouds(4, 64))
    out.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in small.parameters() if p.grad is not None)


def test_a_network_in_half_precision_runs(small: PointMlp) -> None:
    points = clouds(2, 64)
    with torch.no_grad():
        expected = small.eval()(points)
        found = small.bfloat16()(points.bfloat16()).float()
    assert nn.functional.cosine_similarity(found, expected).min() > 0.9


@pytest.mark.parametrize("name", ["point_mlp", "point_mlp_elite"])
def test_every_config_builds_and_embeds(name: str) -> None:
    encoder = create_encoder(name).eval()
    cloud = clouds(1, encoder.points)[0].numpy()
    ordered = torch.from_numpy(cloud[furthest_point_order(cloud, encoder.points)])[None]
    with torch.no_grad():
        embedding = encoder.embed_ordered(ordered)
    assert embedding.shape == (1, 512)
    assert torch.isfinite(embedding).all()


@pytest.mark.parametrize(
    ("name", "head", "parameters"),
    [  # by the official classes
        ("point_mlp", {}, 13_095_360),
        ("point_mlp", {"head_classes": 40, "head_only": True}, 13_238_504),
        ("point_mlp_elite", {"head_classes": 40, "head_only": True}, 716_232),
    ],
)
def test_sizes(name: str, head: dict[str, int], parameters: int) -> None:
    spec = encoder_spec(name)
    with torch.device("meta"):
        encoder = build_encoder(EncoderSpec(spec.architecture, spec.sizes | head))
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_official_elite_weights_load() -> None:
    state = create_encoder("point_mlp_elite").state_dict()
    encoder = load_official({f"module.{key}": value for key, value in state.items()})
    assert encoder.config.width == 32
    torch.testing.assert_close(encoder.state_dict(), state)


def test_a_layout_that_is_not_official_is_refused() -> None:
    state = create_encoder("point_mlp_elite").state_dict()
    missing = {key: value for key, value in state.items() if "net2" not in key}
    with pytest.raises(
        TrainingError, match=r"PointMLP: missing: .*net2.* and \d+ more \(60 in all"
    ):
        load_official(missing)
    with pytest.raises(TrainingError, match=r"unknown: extra, other$"):
        load_official({**state, "extra": torch.zeros(1), "other": torch.zeros(1)})
    with pytest.raises(TrainingError, match=r"projection\.bias \(3,\) in place of \(512,\)"):
        load_official({**state, "projection.bias": torch.zeros(3)})
    with pytest.raises(TrainingError, match=r"shape \(5, 3, 1\) is of no official PointMLP"):
        load_official({"embedding.net.0.weight": torch.zeros(5, 3, 1)})
    with pytest.raises(TrainingError, match=r"with and without 'module\.'"):
        load_official({**state, "module.projection.bias": torch.zeros(512)})


def test_sizes_that_do_not_fit_are_explained() -> None:
    with pytest.raises(TrainingError, match="neighbours 3"):
        build_encoder(EncoderSpec("point_mlp", {"neighbours": [24, 24, 24]}))
    with pytest.raises(TrainingError, match="stage 4 has 16 points, too few for 24"):
        build_encoder(EncoderSpec("point_mlp", {"points": 128, "neighbours": [24] * 4}))
