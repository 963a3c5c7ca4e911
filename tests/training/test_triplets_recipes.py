"""The recipes of pre-training on triplets: those that ship, and those that are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from small_clip import DIM
from small_triplets import TINY

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import OptimiserConfig, list_recipes, load_config
from cg3d_training.data.samples import encode_sample
from cg3d_training.data.shards import ShardFolder, write_index, write_shard
from cg3d_training.encoders import build_encoder, encoder_spec
from cg3d_training.triplets.config import (
    PromptConfig,
    TeacherConfig,
    TripletConfig,
    TripletDataConfig,
    TripletLossConfig,
)
from cg3d_training.triplets.pretrain import pretrain_triplets
from cg3d_training.triplets.run import TripletRun


def test_mistakes_are_named(config: TripletConfig, tmp_path: Path, shards: Path) -> None:
    def refused(message: str, **changes: object) -> None:
        with pytest.raises(TrainingError, match=message):
            pretrain_triplets(dataclasses.replace(config, **changes), tmp_path / "run")  # type: ignore[arg-type]
        assert not (tmp_path / "run").exists()

    refused("nothing to learn", loss=TripletLossConfig(images=False, texts=False))
    refused("set prompts.tokens to 0", loss=TripletLossConfig(images=False))
    refused("0 is for none", prompts=PromptConfig(tokens=-1))
    refused("above 0", loss=TripletLossConfig(temperature=0.0))
    refused("begin within", loss=TripletLossConfig(temperature=2.0, learn_temperature=True))
    refused("chunk is -1", optimiser=OptimiserConfig(batch_size=4, chunk=-1))
    refused("chunk is 1", optimiser=OptimiserConfig(batch_size=4, chunk=1))
    refused(f"embedding_dim to {DIM}", encoder_sizes=TINY | {"embedding_dim": 512})
    refused("is no model of open_clip", teacher=TeacherConfig("open_clip", "small-clop", None))
    refused("teacher.weights", teacher=TeacherConfig("slip", weights=None))
    refused("index.jsonl is missing", data=TripletDataConfig(str(tmp_path)))
    refused("fewer than one batch", optimiser=OptimiserConfig(batch_size=64))
    refused("128 points and the encoder takes 256", encoder_sizes=TINY | {"points": 256})
    bare = dataclasses.replace(ShardFolder(shards)[0], views=())
    write_shard(tmp_path / "shard-000000.tar", [encode_sample(bare)])
    write_index(tmp_path)
    refused("has no pictures", data=TripletDataConfig(str(tmp_path)))


def test_every_shipped_recipe_loads() -> None:
    names = list_recipes(TripletConfig)
    assert names == [
        "official-point-mlp", "official-point-transformer", "paper-point-mlp",
        "paper-point-transformer", "paper-scans", "small-cpu",
    ]  # fmt: skip
    paper, official = (
        load_config(TripletConfig, f"{k}-point-transformer") for k in ("paper", "official")
    )
    assert (paper.loss.positives, official.loss.positives) == ("class", "diagonal")
    assert (paper.loss.temperature, official.loss.temperature) == (0.07, None)
    assert official.prompts.lr == official.prompts.min_lr
    assert load_config(TripletConfig, "small-cpu", ["prompts.tokens=0"]).prompts.tokens == 0


@pytest.mark.parametrize("kind", ["paper", "official"])
def test_recipes_of_point_mlp(kind: str) -> None:
    """They build a PointMLP for SLIP's 512 numbers, and differ from PointTransformer's as told."""
    mlp, other = (load_config(TripletConfig, f"{kind}-{name}") for name in
                  ("point-mlp", "point-transformer"))  # fmt: skip
    encoder = build_encoder(encoder_spec(mlp.encoder))
    assert sum(p.numel() for p in encoder.parameters()) == 13_095_360
    assert encoder.embedding_dim == 512
    run = TripletRun(encoder_spec(mlp.encoder), encoder, None, mlp, Path("none"), 1)
    assert run.lr() == mlp.optimiser.lr == 1e-4
    decay = {"paper": 0.01, "official": 0.1}[kind]
    lr = {"paper": (2e-3, 1e-6), "official": (1e-2, 1e-2)}[kind]
    assert (mlp.prompts.lr, mlp.prompts.min_lr) == lr
    expected = dataclasses.replace(
        other,
        encoder="point_mlp",
        optimiser=dataclasses.replace(other.optimiser, lr=1e-4, weight_decay=decay, batch_size=32),
        prompts=dataclasses.replace(other.prompts, lr=lr[0], min_lr=lr[1]),
    )
    assert mlp == expected
