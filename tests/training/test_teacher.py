"""A teacher of one's own: it learns, comes back the same after a stop, and open_clip reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file

from cg3d_runtime.errors import TrainingError
from cg3d_training.cli.main import main
from cg3d_training.config import list_recipes, load_config
from cg3d_training.data.samples import encode_sample
from cg3d_training.data.shards import ShardFolder, write_index, write_shard
from cg3d_training.data.triplets import TripletSettings, triplet_of
from cg3d_training.shapes.colours import coloured
from cg3d_training.teachers import load_open_clip, load_teacher
from cg3d_training.teachers.local import CONFIG, WEIGHTS, find_local, list_own_models
from cg3d_training.teaching.config import PictureConfig, TeachingConfig
from cg3d_training.teaching.pictures import Pictures
from cg3d_training.teaching.run import TeachingRun
from cg3d_training.teaching.train import train_teacher

MODEL = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    settings = TripletSettings(points=16, views=2, size=16)
    write_shard(
        folder / "a.tar",
        (
            encode_sample(triplet_of(coloured(kind, i), kind, (), f"{kind}{i}", settings, {}))
            for kind in ("bottle", "table")
            for i in range(16)
        ),
    )
    write_index(folder)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(MODEL))
    return str(path)


def _recipe(shards: Path, model: str, *overrides: str) -> TeachingConfig:
    return load_config(TeachingConfig, "mini-cpu", [
        f"data.shards={shards}", f"model={model}", "optimiser.batch_size=16",
        "optimiser.epochs=2", "precision=fp32", *overrides,
    ])  # fmt: skip


def test_it_learns_to_name_pictures(shards: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "teacher"
    train_teacher(
        _recipe(
            shards, model, "optimiser.epochs=40", "optimiser.lr=3e-3", "data.captions=photo",
            "optimiser.warmup_epochs=5",
        ),
        out,
    )  # fmt: skip
    teacher = load_teacher("open_clip", str(out), None)
    pictures = Pictures(ShardFolder(shards), teacher.image_size)
    rows = np.arange(32)
    plain = pictures.draw(
        rows, np.zeros_like(rows), PictureConfig((1.0, 1.0), 0.0, (1.0, 1.0)), torch.Generator()
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (teacher.image_mean, teacher.image_std))
    images = teacher.encode_image((plain - mean) / std)
    texts = teacher.encode_text(teacher.tokenise(["A photo of a bottle", "A photo of a table"]))
    cosines = torch.nn.functional.normalize(images) @ torch.nn.functional.normalize(texts).T
    right = (cosines.argmax(dim=1).numpy() == rows // 16).mean()
    assert right > 0.9

    # open_clip reads the folder by itself, and gives the very same vectors.
    theirs = open_clip.create_model(f"local-dir:{out}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{out}")(["a photo of a bottle."])
    assert torch.equal(theirs.encode_text(tokens), teacher.encode_text(tokens))
    with safe_open(str(out / WEIGHTS), framework="pt") as file:
        assert json.loads(file.metadata()["record"])["labels"] == 2


def test_a_stop_leaves_no_trace(
    shards: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(shards, model)
    train_teacher(recipe, tmp_path / "whole")
    step = TeachingRun.step
    taken = []

    def until(run: TeachingRun, loss: torch.Tensor) -> None:
        if len(taken) == 3:  # in the middle of the second epoch
            raise KeyboardInterrupt
        taken.append(loss)
        step(run, loss)

    monkeypatch.setattr(TeachingRun, "step", until)
    with pytest.raises(KeyboardInterrupt):
        train_teacher(recipe, tmp_path / "cut")
    monkeypatch.setattr(TeachingRun, "step", step)
    assert not (tmp_path / "cut" / WEIGHTS).exists()
    with pytest.raises(TrainingError, match="holds a run already"):
        train_teacher(recipe, tmp_path / "cut")
    train_teacher(recipe, tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "cut"))
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    lines = (tmp_path / "cut" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]

    other = _recipe(shards, model, "seed=2")
    with pytest.raises(TrainingError, match="another recipe"):
        train_teacher(other, tmp_path / "cut", resume=True)
    train_teacher(other, tmp_path / "other")
    assert not torch.equal(
        load_file(tmp_path / "other" / WEIGHTS)["visual.proj"], whole["visual.proj"]
    )


def test_the_command(shards: Path, model: str, tmp_path: Path) -> None:
    arguments = [
        "teacher", "--config", "mini-cpu", "-o", str(tmp_path / "run"), "--device", "cpu",
        "--set", f"data.shards={shards}", "--set", f"model={model}",
        "--set", "optimiser.epochs=1", "--set", "optimiser.batch_size=16",
    ]  # fmt: skip
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "32 objects of 2 names, 1 epochs" in done.output
    assert {"config.json", "log.jsonl", CONFIG, WEIGHTS} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_pictures_are_changed_as_asked(shards: Path) -> None:
    pictures = Pictures(ShardFolder(shards), (16, 16))
    rows, views = np.arange(4), np.ones(4, np.int64)
    still = PictureConfig((1.0, 1.0), 0.0, (1.0, 1.0))
    plain = pictures.draw(rows, views, still, torch.Generator())
    flipped = PictureConfig((1.0, 1.0), 1.0, (1.0, 1.0))
    mirrored = pictures.draw(rows, views, flipped, torch.Generator())
    assert torch.allclose(mirrored, plain.flip(3), atol=1e-5)
    dark = pictures.draw(rows, views, PictureConfig((1.0, 1.0), 0.0, (0.5, 0.5)), torch.Generator())
    assert torch.allclose(dark, plain / 2, atol=1e-6)
    cut = pictures.draw(rows, views, PictureConfig((0.25, 0.25), 0.0, (1.0, 1.0)),
                        torch.Generator().manual_seed(0))  # fmt: skip
    assert cut.shape == plain.shape
    assert not torch.allclose(cut, plain, atol=0.05)


def test_shipped_recipes_name_models_that_are_there(shards: Path) -> None:
    for name in list_recipes(TeachingConfig):
        assert find_local(load_config(TeachingConfig, name).model) is not None
    for name in list_own_models():
        teacher = load_open_clip(name)
        assert teacher.token_tower().prefix == 1


def test_what_a_teacher_cannot_be_trained_with_is_refused(
    shards: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError, match="32 objects, fewer than one batch of 64"):
        train_teacher(_recipe(shards, model, "optimiser.batch_size=64"), tmp_path / "run")
    with pytest.raises(TrainingError, match=r"set optimiser\.chunk=0"):
        train_teacher(_recipe(shards, model, "optimiser.chunk=8"), tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="one process"):
        train_teacher(_recipe(shards, model), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.json", "{", "not JSON"),
        ("own.json", "[1]", "object with keys"),
        ("own.json", '{"embed_dim": 4}', "vision_cfg, text_cfg missing"),
        ("own.json", json.dumps(MODEL | {"vision_cfg": {"rubber": 1}}), "rubber"),
        (CONFIG, json.dumps({"model_cfg": {}}), "embed_dim, vision_cfg, text_cfg missing"),
        (
            CONFIG,
            json.dumps({"model_cfg": MODEL, "preprocess_cfg": {"std": [0, 1, 1]}}),
            "not three numbers",
        ),
    ],
)
def test_configurations_that_are_none_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / WEIGHTS).write_bytes(b"")
    with pytest.raises(TrainingError, match=message):
        load_open_clip(str(tmp_path if name == CONFIG else tmp_path / name))


def test_a_folder_without_weights_and_an_unknown_path_are_refused(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(json.dumps({"model_cfg": MODEL}))
    with pytest.raises(TrainingError, match="was its training finished"):
        load_open_clip(str(tmp_path))
    with pytest.raises(TrainingError, match="cannot be read"):
        load_open_clip(str(tmp_path / "nowhere.json"))
    with pytest.raises(TrainingError, match=r"Did you mean .*cg3d-mini-64"):
        load_open_clip("cg3d-mini-6")
