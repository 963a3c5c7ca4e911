"""Encoders of ULIP, OpenShape and Uni3D against their published forward from others' layers.

The published weights are not here: these have the exact published names and shapes, and made-up
numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from peer_forwards import open_shape_forward, ulip_forward, uni3d_forward
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import load_checkpoint, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.data.clip_text import load_vocabulary
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, create_encoder
from cg3d_training.encoders.grouping import ball_neighbours, furthest_point_sample
from cg3d_training.encoders.peers import load_peer
from cg3d_training.evaluation.any_order import embed_any_order, random_points
from cg3d_training.evaluation.subjects import CheckpointSubject
from cg3d_training.importing import import_checkpoint

#: Sizes that a test can afford; widths of heads stay as published.
SMALL: dict[str, dict[str, Any]] = {
    "ulip": {"groups": 24, "group_size": 8, "patch_dim": 32, "width": 128, "depth": 3, "heads": 2,
             "embedding_dim": 40},
    "open_shape": {"groups": 24, "radius": 0.5, "group_size": 16, "patch_hidden": (16, 16),
                   "patch_dim": 24, "width": 128, "depth": 3, "heads": 2, "mlp_width": 96,
                   "embedding_dim": 40},
    "uni3d": {"groups": 24, "group_size": 8, "patch_dim": 32, "width": 48, "depth": 3, "heads": 4,
              "mlp_width": 128, "embedding_dim": 40},
}  # fmt: skip


def cloud(n: int = 300) -> np.ndarray:
    """(n, 6) float32 in the unit sphere with colours."""
    rng = np.random.default_rng(3)
    xyz = rng.normal(size=(n, 3)) * [1, 0.6, 0.3]
    xyz /= np.linalg.norm(xyz, axis=1).max()
    return np.concatenate([xyz, rng.random((n, 3))], axis=1).astype(np.float32)


def small(architecture: str, **sizes: Any) -> PointEncoder:
    """A small encoder; its numbers are large enough for every layer to matter."""
    torch.manual_seed(1)
    encoder = build_encoder(EncoderSpec(architecture, SMALL[architecture] | sizes))
    with torch.no_grad():
        for name, value in encoder.state_dict().items():
            if "running_var" in name:
                value.uniform_(0.5, 2)
            elif value.is_floating_point():
                value.normal_(0, 0.3 if value.ndim < 2 else value[0].numel() ** -0.5)
    return encoder.eval()


def published(encoder: PointEncoder) -> dict[str, Tensor]:
    """Its weights by the published names."""
    state = encoder.state_dict()
    if hasattr(encoder, "pc_projection") or hasattr(encoder, "trans2embed"):
        return {k if k == "pc_projection" else f"point_encoder.{k}": v for k, v in state.items()}
    return dict(state)


def agree(encoder: PointEncoder, points: np.ndarray, expected: Tensor) -> None:
    with torch.no_grad():
        found = encoder(torch.from_numpy(points)[None])[0]
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert expected.std() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("colours", [False, True])
def test_ulip(colours: bool) -> None:
    encoder, points = small("ulip", colours=colours), cloud()
    seen = points if colours else points[:, :3]
    agree(encoder, points, ulip_forward(published(encoder), seen, 24, 8, heads=2))


@torch.no_grad()
@pytest.mark.parametrize("projected", [False, True])
def test_open_shape(projected: bool) -> None:
    sizes = {} if projected else {"embedding_dim": 128}
    encoder, points = small("open_shape", projected=projected, up="y", **sizes), cloud()
    agree(encoder, points, open_shape_forward(published(encoder), points, 24, 0.5, 16))


@torch.no_grad()
def test_open_shape_exchanges_y_and_z_where_its_code_did() -> None:
    encoder, points = small("open_shape", up="swapped"), cloud()
    turned = points[:, [0, 2, 1, 3, 4, 5]]
    agree(encoder, points, open_shape_forward(published(encoder), turned, 24, 0.5, 16))


@torch.no_grad()
@pytest.mark.parametrize("blocks", ["eva", "eva02"])
def test_uni3d(blocks: str) -> None:
    encoder, points = small("uni3d", blocks=blocks), cloud()
    eva: dict[str, Any] = {"num_heads": 4, "mlp_ratio": 128 / 48}
    if blocks == "eva02":
        eva |= {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True}
    agree(encoder, points, uni3d_forward(published(encoder), points, 24, 8, eva))


@torch.no_grad()
@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_points_without_colours_are_grey(architecture: str) -> None:
    encoder, points = small(architecture), torch.from_numpy(cloud())[None]
    grey = torch.cat([points[..., :3], torch.full_like(points[..., :3], 0.4)], dim=-1)
    assert torch.equal(encoder(points[..., :3].contiguous()), encoder(grey))
    assert torch.equal(encoder(points), encoder(grey)) == (architecture == "ulip")


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["ulip", "uni3d"])
def test_ordered_points_need_no_sampling(architecture: str) -> None:
    encoder, points = small(architecture), torch.from_numpy(cloud()[:, :3].copy())[None]
    ordered = points[:, furthest_point_sample(points, points.shape[1])[0]]
    torch.testing.assert_close(encoder.embed_ordered(ordered), encoder(ordered))


def test_ball_neighbours_keep_the_order_of_rows_and_repeat_the_first() -> None:
    points = torch.tensor([[[float(i), 0, 0] for i in range(6)]])
    centre = points[:, 2:3]
    assert ball_neighbours(points, centre, 1.5, 5).tolist() == [[[1, 2, 3, 1, 1]]]
    assert ball_neighbours(points, centre, 2.5, 2).tolist() == [[[0, 1]]]


def timm_names(model: str) -> dict[str, torch.Size]:
    """Names and shapes of the image transformer that Uni3D keeps in its checkpoints."""
    with torch.device("meta"):
        return {k: v.shape for k, v in timm.create_model(model).state_dict().items()}


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ("uni3d_base", "eva02_base_patch14_448"),
        ("uni3d_large", "eva02_large_patch14_448"),
        ("uni3d_giant", "eva_giant_patch14_560"),
    ],
)
def test_uni3d_has_timms_names_and_shapes(config: str, model: str) -> None:
    with torch.device("meta"):
        own = create_encoder(config).state_dict()
    trunk = {k.removeprefix("visual."): v.shape for k, v in own.items() if "visual." in k}
    expected = timm_names(model)
    read = ("blocks.", "fc_norm.")
    assert trunk == {k: v for k, v in expected.items() if k.startswith(read)}


def test_published_sizes() -> None:
    """Names and shapes that the public definitions give, by hand."""
    with torch.device("meta"):
        found = {
            config: {k: tuple(v.shape) for k, v in create_encoder(config).state_dict().items()}
            for config in ("ulip_point_bert", "ulip2_point_bert", "open_shape_vitb32",
                           "open_shape_vitl14", "open_shape_vitg14")
        }  # fmt: skip
    ulip, ulip2 = found["ulip_point_bert"], found["ulip2_point_bert"]
    assert ulip["pc_projection"] == (768, 512)
    assert ulip2["pc_projection"] == (768, 1280)
    assert ulip["encoder.first_conv.0.weight"] == (128, 3, 1)
    assert ulip2["encoder.first_conv.0.weight"] == (128, 6, 1)
    assert ulip["blocks.blocks.11.attn.qkv.weight"] == (1152, 384)
    assert "blocks.blocks.17.mlp.fc2.bias" in ulip2
    assert "blocks.blocks.12.norm1.weight" not in ulip
    b32, l14, g14 = (found[f"open_shape_vit{size}"] for size in ("b32", "l14", "g14"))
    assert b32["ppat.sa.mlp_convs.0.weight"] == (64, 9, 1, 1)
    assert b32["ppat.lift.0.weight"] == (512, 131, 1)
    assert b32["ppat.lift.2.weight"] == (512,)
    assert "proj.weight" not in b32
    assert l14["proj.weight"] == (768, 512)
    assert g14["proj.weight"] == (1280, 512)
    assert g14["ppat.sa.mlp_convs.2.weight"] == (256, 64, 1, 1)
    assert g14["ppat.transformer.layers.11.1.fn.net.0.weight"] == (1536, 512)
    assert g14["ppat.transformer.layers.0.0.fn.to_qkv.weight"] == (1536, 512)
    assert g14["ppat.transformer.layers.0.0.fn.to_out.0.bias"] == (512,)
    assert g14["ppat.cls_token"] == (512,)


def file_of(config: str, path: Path) -> tuple[Path, PointEncoder]:
    """A checkpoint in the layout that the project publishes."""
    torch.manual_seed(0)
    encoder = create_encoder(config).eval()
    names = published(encoder)
    scale = torch.tensor(50.0).log()
    content: dict[str, Any]
    if config.startswith("ulip"):
        other = {"visual.cls_token": torch.zeros(1, 1, 8), "token_embedding.weight": torch.ones(3)}
        state = {f"module.{k}": v for k, v in (names | other | {"logit_scale": scale}).items()}
        args = argparse.Namespace(model="ULIP_PointBERT", npoints=8192)
        content = {"epoch": 249, "state_dict": state, "optimizer": {}, "best_acc1": 60.3,
                   "args": args}  # fmt: skip
    elif config == "open_shape_vitg14":
        content = {"state_dict": {f"module.{k}": v for k, v in names.items()}, "epoch": 10}
    elif config == "open_shape_vitb32":
        content = {f"pc_encoder.{k.removeprefix('ppat.')}": v for k, v in names.items()}
        content["logit_scale"] = scale
    elif config == "open_shape_vitl14":
        content = {f"pc_encoder.{k}": v for k, v in names.items()}
    else:
        image = {f"point_encoder.visual.{k}": torch.zeros(1).expand(1)
                 for k in timm_names("eva02_base_patch14_448")
                 if not k.startswith(("blocks.", "fc_norm."))}  # fmt: skip
        content = {"module": {k: v.half() for k, v in (names | image).items()}, "ds_version": "1"}
    torch.save(content, path)
    return path, encoder


@pytest.mark.parametrize(
    ("config", "scale"),
    [("ulip_point_bert", 50), ("open_shape_vitb32", 50), ("open_shape_vitl14", 100),
     ("open_shape_vitg14", 100), ("uni3d_base", 100)],
)  # fmt: skip
def test_published_files_are_imported(config: str, scale: float, tmp_path: Path) -> None:
    file, encoder = file_of(config, tmp_path / "model.pt")
    checkpoint = import_checkpoint(file)
    assert checkpoint.record["imported"]["config"] == config
    assert checkpoint.logit_scale == pytest.approx(scale)
    half = config.startswith("uni3d")
    for key, value in encoder.state_dict().items():
        expected = value.half().float() if half and value.is_floating_point() else value
        assert torch.equal(checkpoint.state_dict[key], expected), key
    assert checkpoint.text_mean.shape == (encoder.embedding_dim,)


def test_weights_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no encoder that is known here.*Uni3D.*OpenShape"):
        load_peer({"module.anything": torch.zeros(2)})
    with torch.device("meta"):
        state = published(create_encoder("ulip2_point_bert"))
    state["point_encoder.extra"] = state.pop("point_encoder.norm.bias")
    with pytest.raises(TrainingError, match=r"ulip2_point_bert: unknown: extra; missing: norm"):
        load_peer(state)


def test_the_command_and_texts_of_another_size(
    clip_text: Path, household: Path, tmp_path: Path
) -> None:
    file, _ = file_of("open_shape_vitl14", tmp_path / "model.pt")
    output = tmp_path / "l14.safetensors"
    result = CliRunner().invoke(main, ["import", str(file), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "open_shape, OpenShape" in result.output
    assert load_checkpoint(output).spec.sizes["embedding_dim"] == 768
    result = CliRunner().invoke(
        main, ["evaluate", str(output), "--part", "whole", "--household", str(household),
               "--clip-text", str(clip_text)],
    )  # fmt: skip
    assert result.exit_code == 1
    assert "texts of 768 numbers" in result.output


def test_evaluation_of_a_peer(clip_text: Path, tmp_path: Path) -> None:
    file, encoder = file_of("open_shape_vitb32", tmp_path / "model.pt")
    output = tmp_path / "b32.safetensors"
    save_checkpoint(output, import_checkpoint(file))
    subject = CheckpointSubject(output, load_vocabulary(clip_text))
    clouds = [cloud(n)[:, :3] for n in (300, 90)]
    rows = subject.embed(clouds, "y")
    assert subject.bank.score(rows).shape == (2, len(subject.bank.labels))
    np.testing.assert_allclose(rows, embed_any_order(encoder, clouds, "y"), atol=1e-5)


def test_clouds_for_peers() -> None:
    encoder = small("ulip", points=100)
    points = cloud(400)
    whole = random_points(points[:, :3], encoder, "y")
    assert whole.shape == (100, 3)
    assert np.abs(whole.mean(axis=0)).max() < 1e-6
    assert np.linalg.norm(whole, axis=1).max() == pytest.approx(1)
    few = random_points(points[:9], encoder, "z")
    assert few.shape == (24, 6)
    assert len(np.unique(few, axis=0)) == 9
    clouds = [points[:50, :3], points[:80, :3], points[50:100, :3]]
    together = embed_any_order(encoder, clouds, "y")
    for one, row in zip(clouds, together, strict=True):
        np.testing.assert_allclose(embed_any_order(encoder, [one], "y")[0], row, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
