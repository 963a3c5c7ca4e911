"""Pre-training on a small set in the real layout: it learns, repeats itself and resumes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_encoders import TINY

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.space import TextSpace
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.config import (
    DataConfig,
    LossConfig,
    OptimiserConfig,
    PatchDrop,
    PretrainConfig,
)
from cg3d_training.data.clouds import one_order
from cg3d_training.data.training_data import training_data
from cg3d_training.losses import text_mean, unit_rows
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.distributed import World
from cg3d_training.runs.optimiser import learning_rate
from cg3d_training.runs.run import Run


@pytest.fixture
def config(household: Path, clip_text: Path) -> PretrainConfig:
    return PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=2),
        loss=LossConfig(negatives="vocabulary"),
        optimiser=OptimiserConfig(epochs=4, batch_size=16, lr=3e-3, ema=0.5),
    )


def test_objects_come_by_split_name_and_licence(config: PretrainConfig) -> None:
    train = training_data(config).train.objects
    assert len(train) == 47  # 48 in the split, one of them under a copyleft licence
    assert all(o.split == "train" and o.rows for o in train)
    table = next(o for o in train if o.modelnet40 == "table")
    assert table.rows == (table.name_row,)
    everything = dataclasses.replace(
        config, data=dataclasses.replace(config.data, open_licences_only=False, validation=0.4)
    )
    data = training_data(everything)
    assert len(data.train) + len(data.validation) == 48
    assert not {o.name for o in data.train.objects} & {o.name for o in data.validation.objects}


@pytest.mark.parametrize("negatives", ["batch", "vocabulary"])
def test_it_learns(config: PretrainConfig, tmp_path: Path, negatives: str) -> None:
    config = dataclasses.replace(
        config,
        loss=LossConfig(negatives=negatives),  # type: ignore[arg-type]
        optimiser=OptimiserConfig(epochs=60, batch_size=8, lr=1e-3),
        data=dataclasses.replace(config.data, validation=0.4),
    )
    pretrain(config, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == list(range(60))
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert log[-1]["validation"] > 0.5  # four kinds of shapes, eleven labels


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_an_interrupted_run_ends_like_an_unbroken_one(
    config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "muon":
        config = dataclasses.replace(
            config,
            data=dataclasses.replace(config.data, partial=1, clutter=3),
            patches=PatchDrop(share=0.5, until=0.7),
            optimiser=dataclasses.replace(config.optimiser, kind="muon"),
        )
    whole = pretrain(config, tmp_path / "whole")

    finish = Run.finish_epoch

    def finish_then_break(run: Run, entry: dict[str, object]) -> None:
        finish(run, entry)
        if run.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", finish_then_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path / "broken")
    resumed = pretrain(config, tmp_path / "broken", resume=True)
    for key, value in whole.state_dict.items():
        assert torch.equal(value, resumed.state_dict[key]), key
    log = (tmp_path / "broken" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [0, 1, 2, 3]


def test_generated_shapes_are_learnt_from_where_the_vocabulary_knows_them(
    config: PretrainConfig,
) -> None:
    data = dataclasses.replace(config.data, generated=2)
    train = training_data(dataclasses.replace(config, data=data)).train
    made = [i for i, o in enumerate(train.objects) if o.source == "generated"]
    assert len(train) == 47 + len(made)
    names = [train.objects[i].name for i in made]
    assert {"chair", "table"} <= set(names)
    assert all(names.count(name) == 2 for name in names)
    labels = training_data(config).vocabulary.labels
    assert all(train.objects[i].rows == (labels.index(train.objects[i].name),) for i in made
               if train.objects[i].name in labels)  # fmt: skip
    clouds = np.stack([train.points(i) for i in made])
    assert np.linalg.norm(clouds, axis=-1).max() == pytest.approx(1.0, abs=1e-3)
    assert len({cloud.tobytes() for cloud in clouds}) == len(made)
    hidden = dataclasses.replace(data, hide=("chair",))
    objects = training_data(dataclasses.replace(config, data=hidden)).train.objects
    assert "chair" not in {o.name for o in objects if o.source == "generated"}


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_shows_progress(
    rank: int, config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    class DataRead(Exception):  # noqa: N818  # an end that is no error
        pass

    def read(*arguments: Any) -> None:
        training_data(*arguments)
        raise DataRead

    monkeypatch.setattr("cg3d_training.pretrain.join_world", lambda _: World(rank, 2))
    monkeypatch.setattr("cg3d_training.pretrain.training_data", read)
    generated = dataclasses.replace(config, data=dataclasses.replace(config.data, generated=1))
    with pytest.raises(DataRead):
        pretrain(generated, tmp_path)
    assert ("generated shapes" in capfd.readouterr().err) == (rank == 0)


def test_clutter_is_taught_to_be_like_no_text(config: PretrainConfig, tmp_path: Path) -> None:
    with_clutter = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, clutter=8),
        optimiser=OptimiserConfig(epochs=40, batch_size=24, lr=2e-3),
    )
    data = training_data(with_clutter)
    assert len(data.clutter) == 3 * 8  # the small set holds no clutter of its own
    without = dataclasses.replace(with_clutter, data=config.data)
    assert not training_data(without).clutter
    space = TextSpace(text_mean(torch.from_numpy(data.vocabulary.vectors)).numpy())
    taught = sorted({row for o in data.train.objects for row in o.rows})
    texts = torch.from_numpy(space.apply(data.vocabulary.vectors[taught]))
    ordered = np.stack([one_order(c, 64, np.random.default_rng(0)) for c in data.clutter])

    def best_cosines(recipe: PretrainConfig, clutter: int) -> float:
        checkpoint = pretrain(recipe, tmp_path / str(clutter))
        assert checkpoint.record["clutter"] == clutter
        with torch.no_grad():
            embedded = unit_rows(checkpoint.build()(torch.from_numpy(ordered)))
        return float((embedded @ texts.T).amax(dim=1).mean())

    assert best_cosines(with_clutter, 24) < best_cosines(without, 0) - 0.1


def test_leaving_out_patches_needs_patches(config: PretrainConfig, tmp_path: Path) -> None:
    elite = dataclasses.replace(
        config, encoder="point_mlp_elite", encoder_sizes={}, patches=PatchDrop(share=0.5)
    )
    with pytest.raises(TrainingError, match="no patches"):
        pretrain(elite, tmp_path)


def test_another_recipe_does_not_resume(config: PretrainConfig, tmp_path: Path) -> None:
    short = dataclasses.replace(config, optimiser=OptimiserConfig(epochs=1, batch_size=16))
    pretrain(short, tmp_path)
    with pytest.raises(TrainingError, match="another recipe"):
        pretrain(config, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="no such file"):
        pretrain(config, tmp_path / "empty", resume=True)
    with pytest.raises(TrainingError, match="holds a run already"):
        pretrain(config, tmp_path)


def test_the_checkpoint_explains_itself(config: PretrainConfig, tmp_path: Path) -> None:
    written = pretrain(config, tmp_path)
    read = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert read.spec == written.spec
    assert read.record["objects"] == 47
    assert read.record["licences"] == {"CC0": 47}
    assert read.recipe["optimiser"]["epochs"] == 4
    assert read.logit_scale == pytest.approx(1 / 0.07)
    assert read.text_mean.shape == (512,)
    points = torch.randn(2, 64, 3) / 3
    with torch.no_grad():
        torch.testing.assert_close(
            read.build().embed_ordered(points), written.build().embed_ordered(points)
        )


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x04pickled")
    with pytest.raises(TrainingError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "x.safetensors")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "y.safetensors")
    with pytest.raises(TrainingError, match="not a checkpoint of cg3d-train"):
        load_checkpoint(tmp_path / "y.safetensors")


def test_schedule() -> None:
    config = OptimiserConfig(epochs=100, lr=1.0, min_lr=0.1, warmup_epochs=10)
    rates = [learning_rate(config, epoch) for epoch in range(101)]
    assert rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_command(household: Path, clip_text: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps({
        "encoder_sizes": TINY, "optimiser": {"epochs": 1, "batch_size": 16},
        "data": {"household": str(household), "clip_text": str(clip_text), "orders": 1},
    }))  # fmt: skip
    arguments = ["pretrain", "--config", str(recipe), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "47 objects" in result.output
    wrong = CliRunner().invoke(main, [*arguments, "--set", "optimiser.epoch=2"])
    assert wrong.exit_code == 1
    assert "Error: " in wrong.output
    assert "'epochs'" in wrong.output


def test_names_command(household: Path, clip_text: Path) -> None:
    folders = ["--household", str(household), "--clip-text", str(clip_text)]
    result = CliRunner().invoke(main, ["names", *folders, "--split", "train"])
    assert "48 of 48 names matched to 4 labels" in result.output
    listed = json.loads(CliRunner().invoke(main, ["names", *folders, "--json"]).output)
    assert listed["ball number 0"] == ["ball", "ball"]
