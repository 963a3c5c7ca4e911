"""Joined checkpoints: the mean of their members, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from small_encoders import TINY
from torch import Tensor
from torch.nn.functional import normalize

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import furthest_point_order
from cg3d_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.joining import join_checkpoints

POOL = {"points": 48, "groups": 8, "group_size": 8, "patch_hidden": 16, "width": 32, "depth": 1}


def checkpoint(architecture: str, sizes: dict[str, Any], seed: int) -> Checkpoint:
    torch.manual_seed(seed)
    spec = EncoderSpec(architecture, sizes)
    state = build_encoder(spec).state_dict()
    record = {"objects": 7, "seconds": 10, "epochs": seed}
    return Checkpoint(spec, state, torch.arange(512.0) / 512, 14.0, {"seed": seed}, record)


@pytest.fixture
def two() -> list[Checkpoint]:
    return [checkpoint("point_transformer", TINY, 1), checkpoint("patch_pool", POOL, 2)]


def clouds() -> Tensor:
    rng = np.random.default_rng(0)
    made = rng.normal(size=(3, 200, 3)).astype(np.float32) / 4
    return torch.from_numpy(np.stack([c[furthest_point_order(c, 64)] for c in made]))


def test_it_embeds_as_the_mean_of_its_members(two: list[Checkpoint]) -> None:
    joined = join_checkpoints(two)
    encoder, ordered = joined.build(), clouds()
    with torch.no_grad():
        own = [normalize(c.build().embed_ordered(ordered), dim=1) for c in two[:1]]
        own += [normalize(two[1].build().embed_ordered(ordered[:, :48]), dim=1)]
        torch.testing.assert_close(encoder.embed_ordered(ordered), (own[0] + own[1]) / 2)
        torch.testing.assert_close(encoder(ordered), encoder.embed_ordered(ordered))
    assert (encoder.points, encoder.embedding_dim) == (64, 512)
    assert joined.record["seconds"] == 20
    assert [member["epochs"] for member in joined.record["members"]] == [1, 2]
    assert [recipe["seed"] for recipe in joined.recipe["members"]] == [1, 2]


def test_its_graph_agrees_with_torch(two: list[Checkpoint]) -> None:
    graph = pytest.importorskip("cg3d_export.graph")
    encoder, ordered = join_checkpoints(two).build(), clouds()
    session = onnxruntime.InferenceSession(
        graph.encoder_graph(encoder).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"points": ordered.numpy()})[0]
    with torch.no_grad():
        wanted = normalize(encoder.embed_ordered(ordered), dim=1).numpy()
    assert np.abs(found - wanted).max() < 1e-5


def test_the_command(two: list[Checkpoint], tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for file, one in zip(files, two, strict=True):
        save_checkpoint(file, one)
    out = tmp_path / "runs" / "joined.safetensors"
    result = CliRunner().invoke(main, ["join", *map(str, files), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "a committee of 2" in result.output
    loaded, wanted = load_checkpoint(out), join_checkpoints(two)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.build().embed_ordered(clouds()), wanted.build().embed_ordered(clouds())
        )


def test_what_cannot_be_joined_is_named(two: list[Checkpoint]) -> None:
    with pytest.raises(TrainingError, match="two members or more"):
        join_checkpoints(two[:1])
    with pytest.raises(TrainingError, match="other texts"):
        join_checkpoints([two[0], dataclasses.replace(two[1], text_mean=torch.zeros(512))])
    with pytest.raises(TrainingError, match="one temperature"):
        join_checkpoints([two[0], dataclasses.replace(two[1], logit_scale=10.0)])
    with pytest.raises(TrainingError, match="classifier"):
        join_checkpoints([two[0], dataclasses.replace(two[1], record={"classes": ["a"]})])
    narrow = checkpoint("patch_pool", POOL | {"embedding_dim": 64}, 3)
    with pytest.raises(TrainingError, match="different dimensions"):
        join_checkpoints([two[0], narrow])
    with pytest.raises(TrainingError, match="name its members"):
        join_checkpoints([two[0], join_checkpoints(two)])
    with pytest.raises(TrainingError, match="architecture and sizes"):
        build_encoder(EncoderSpec("committee", {"members": [{"sizes": {}}, {"sizes": {}}]}))
