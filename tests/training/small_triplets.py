"""A small CLIP and a few objects as triplets, for every test that trains on triplets."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import small_encoders
from small_clip import DIM, TEXT, VIT

from cg3d_training.config import OptimiserConfig
from cg3d_training.data.mesh_list import list_meshes
from cg3d_training.data.triplets import TripletSettings
from cg3d_training.prepare import prepare
from cg3d_training.shapes import build
from cg3d_training.shapes.mesh import join
from cg3d_training.triplets.config import (
    PromptConfig,
    TeacherConfig,
    TripletConfig,
    TripletDataConfig,
)

TINY = small_encoders.TINY | {"embedding_dim": DIM}
KINDS = ["airplane", "bottle", "table", "mug"]


def made_shards(folder: Path, first: int, count: int, views: int = 2) -> Path:
    """Objects number `first` and on, of the four kinds in turn, made by `prepare`."""
    meshes = folder / "meshes"
    meshes.mkdir()
    for i in range(first, first + count):
        mesh = join(build(KINDS[i % 4], i))
        lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.vertices]
        lines += [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]
        (meshes / f"{KINDS[i % 4]}_{i}.obj").write_text("\n".join(lines))
    out = folder / "shards"
    report = prepare(meshes, list_meshes(meshes), out, TripletSettings(128, views, 16))
    assert report.written == count
    return out


def log(folder: Path) -> list[dict[str, float]]:
    """The lines that a run wrote."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of a few thousand weights that open_clip knows by the name of "small-clip"."""
    file = tmp_path_factory.mktemp("models") / "small-clip.json"
    settings = {"embed_dim": DIM, "vision_cfg": VIT, "text_cfg": TEXT}
    file.write_text(json.dumps(settings))
    open_clip.add_model_config(file)
    return file


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-two objects of four kinds, two pictures each."""
    return made_shards(tmp_path_factory.mktemp("triplets"), 0, 22)


@pytest.fixture
def config(shards: Path, small_model: Path) -> TripletConfig:
    """Five batches an epoch."""
    return TripletConfig(
        encoder="point_transformer_small",
        encoder_sizes=TINY,
        teacher=TeacherConfig("open_clip", "small-clip", None),
        data=TripletDataConfig(str(shards), captions="templates"),
        optimiser=OptimiserConfig(epochs=4, batch_size=4, lr=3e-3, ema=0.5),
        prompts=PromptConfig(tokens=2, lr=0.1),
    )
