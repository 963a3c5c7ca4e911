"""Checkpoints of triplets: exported, and as a start of fine-tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from click.testing import CliRunner
from small_checkpoints import DIM

from cg3d_export.cli.main import main
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.points.prepare import prepare as prepare_cloud
from cg3d_sdk import Recognizer
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.config import OptimiserConfig
from cg3d_training.data.mesh_list import list_meshes
from cg3d_training.data.shards import ShardFolder
from cg3d_training.data.triplets import TripletSettings
from cg3d_training.finetuning.config import FinetuneConfig, LabelledConfig
from cg3d_training.finetuning.finetune import finetune
from cg3d_training.prepare import prepare
from cg3d_training.shapes import build
from cg3d_training.shapes.mesh import join
from cg3d_training.triplets.config import (
    PromptConfig,
    TeacherConfig,
    TripletConfig,
    TripletDataConfig,
    TripletLossConfig,
)
from cg3d_training.triplets.pretrain import pretrain_triplets

SIZES = {
    "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
    "width": 32, "depth": 1, "heads": 2, "embedding_dim": DIM,
}  # fmt: skip
KINDS = ("airplane", "bottle", "table", "mug")
PHRASING = "A photo of a {}"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    meshes, out = tmp_path_factory.mktemp("meshes"), tmp_path_factory.mktemp("prepared") / "shards"
    for i in range(12):
        mesh = join(build(KINDS[i % 4], i))
        lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.vertices]
        lines += [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]
        (meshes / f"{KINDS[i % 4]}_{i}.obj").write_text("\n".join(lines))
    assert prepare(meshes, list_meshes(meshes), out, TripletSettings(128, 1, 32)).written == 12
    return out


@pytest.fixture(scope="module")
def trained(
    shards: Path, tiny_clip: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The checkpoint of a short run."""
    model, weights = tiny_clip
    run = tmp_path_factory.mktemp("run")
    config = TripletConfig(
        encoder="point_transformer_small",
        encoder_sizes=SIZES,
        teacher=TeacherConfig("open_clip", model, str(weights)),
        data=TripletDataConfig(str(shards), captions="photo"),
        # The words of a CLIP with random weights are nearly one; centred, they can be told apart.
        loss=TripletLossConfig(centre=True),
        optimiser=OptimiserConfig(epochs=30, batch_size=4, lr=3e-3, ema=0.5),
        prompts=PromptConfig(tokens=1),
    )
    pretrain_triplets(config, run)
    return run / "checkpoint.safetensors"


@pytest.fixture(scope="module")
def bundle(
    trained: Path, tiny_clip: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    folder = tmp_path_factory.mktemp("export")
    (folder / "labels.txt").write_text("\n".join(KINDS))
    result = CliRunner().invoke(
        main,
        [
            str(trained), "-o", str(folder / "bundle"), "--labels", str(folder / "labels.txt"),
            "--text", "open_clip:{}:{}".format(*tiny_clip), "--phrasing", PHRASING,
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return Bundle.open(folder / "bundle")


def test_the_recognizer_says_what_torch_and_open_clip_say(
    bundle: Bundle, trained: Path, tiny_clip: tuple[str, Path], shards: Path
) -> None:
    recognizer = Recognizer(bundle.root, engine="cpu", up="y", threads=1)
    assert recognizer.vocabulary == KINDS
    checkpoint = load_checkpoint(trained)
    model, weights = tiny_clip
    clip = open_clip.create_model(model, pretrained=str(weights)).eval()
    tokens = open_clip.get_tokenizer(model)(["A photo of an airplane"] + [
        f"A photo of a {kind}" for kind in KINDS[1:]
    ])  # fmt: skip
    samples = list(ShardFolder(shards))
    clouds = [sample.points[:, :3].astype(np.float32) for sample in samples]
    points = np.stack([prepare_cloud(c, bundle.manifest.preprocess, "y").cloud for c in clouds])
    with torch.no_grad():
        words = torch.nn.functional.normalize(clip.encode_text(tokens), dim=1)
        words = torch.nn.functional.normalize(words - words.mean(dim=0), dim=1)
        seen = torch.nn.functional.normalize(
            checkpoint.build().embed_ordered(torch.from_numpy(points)), dim=1
        )
        wanted = (checkpoint.logit_scale * seen @ words.T).softmax(dim=1).numpy()
    said = recognizer.classify_many(clouds)
    for one, scores in zip(said, wanted, strict=True):
        found = {ranked.label: ranked.score for ranked in one.ranking}
        np.testing.assert_allclose([found[kind] for kind in KINDS], scores, atol=1e-3)
    # It makes a difference which cloud it is, a much larger one than the tolerance.
    assert np.ptp(wanted, axis=0).max() > 0.05


def test_the_manifest_says_where_it_came_from(bundle: Bundle, tiny_clip: tuple[str, Path]) -> None:
    manifest = bundle.manifest
    assert manifest.encoder.embedding_dim == DIM
    assert manifest.text.encoder is not None
    assert manifest.text.encoder.open_vocabulary
    assert manifest.text.phrasing is not None
    assert manifest.text.phrasing.templates == (PHRASING,)
    assert manifest.training["text"]["open_clip"] == tiny_clip[0]
    assert manifest.training["recipe"]["teacher"]["model"] == tiny_clip[0]
    assert manifest.training["record"]["objects"] == 12


def test_fine_tuning_starts_from_it(trained: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "classes.txt").write_text("flat\nround")
    for split, count in (("train", 16), ("test", 8)):
        labels = np.arange(count) % 2
        points = rng.uniform(-1, 1, (count, 100, 3)) * np.where(
            labels[:, None, None] == 0, [1, 0.1, 1], [1, 1, 1]
        )
        np.savez(tmp_path / f"{split}.npz", points=points, labels=labels)
    config = FinetuneConfig(
        encoder="point_transformer_small",
        encoder_sizes={k: v for k, v in SIZES.items() if k != "embedding_dim"},
        start=str(trained),
        seeds=(1,),
        data=LabelledConfig("npz", str(tmp_path), candidates=80),
        optimiser=OptimiserConfig(epochs=1, batch_size=8, lr=0.0, min_lr=0.0),
    )
    finetune(config, tmp_path / "run")
    before = load_checkpoint(trained).state_dict
    after = load_checkpoint(tmp_path / "run" / "seed-1" / "checkpoint.safetensors")
    name = "blocks.blocks.0.attn.qkv.weight"
    assert torch.equal(after.state_dict[name], before[name])
    assert after.record["start"]
