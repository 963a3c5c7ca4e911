"""What a run tells the outside while it trains: its log, TensorBoard, Weights & Biases, the bar."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from small_encoders import TINY

from cg3d_runtime.errors import DependencyError, TrainingError
from cg3d_training.cli.main import main
from cg3d_training.config import DataConfig, OptimiserConfig, PretrainConfig
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.loggers import check_loggers
from cg3d_training.runs.meter import Meter
from cg3d_training.runs.run import Run


@pytest.fixture
def config(household: Path, clip_text: Path) -> PretrainConfig:
    """Two steps an epoch, three epochs."""
    return PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        optimiser=OptimiserConfig(epochs=3, batch_size=16, lr=3e-3),
    )


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_log_says_how_fast_it_went(config: PretrainConfig, tmp_path: Path) -> None:
    pretrain(config, tmp_path)
    for entry in lines(tmp_path):
        steps = 2 * 16 / entry["clouds_per_second"]
        assert 0 < entry["data_seconds"] < steps < entry["seconds"]


def test_tensorboard_holds_every_step_and_epoch_once_over_a_resume(
    config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Run.finish_epoch

    def then_break(run: Run[PretrainConfig], entry: dict[str, Any]) -> None:
        finish(run, entry)
        if run.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", then_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path, log=["tensorboard"])
    pretrain(config, tmp_path, resume=True, log=["tensorboard"])

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    log = lines(tmp_path)
    found = events.Scalars("epoch/loss")
    assert [e.step for e in found] == [2, 4, 6]
    assert [e.value for e in found] == pytest.approx([entry["loss"] for entry in log])
    steps = events.Scalars("step/loss")
    assert [e.step for e in steps] == [1, 2, 3, 4, 5, 6]
    means = [(steps[i].value + steps[i + 1].value) / 2 for i in (0, 2, 4)]
    assert means == pytest.approx([entry["loss"] for entry in log])
    assert "epoch/clouds_per_second" in events.Tags()["scalars"]


class StandInRun:
    def __init__(self, **given: Any) -> None:
        self.given, self.logged, self.finished = given, [], False
        self.id = given["id"] or "abc123"

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


def test_weights_and_biases_get_the_same_and_the_run_keeps_its_id(
    config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the package, so that nothing can reach for the network."""
    begun: list[StandInRun] = []
    module = ModuleType("wandb")
    module.init = lambda **given: begun.append(StandInRun(**given)) or begun[-1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "chairs")

    save = Run.finish_epoch

    def then_break(run: Run[PretrainConfig], entry: dict[str, Any]) -> None:
        save(run, entry)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", then_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path / "mine", log=["wandb"])
    pretrain(config, tmp_path / "mine", resume=True, log=["wandb"])
    first, second = begun
    assert first.given["id"] is None
    assert second.given["id"] == "abc123"
    assert (second.given["project"], second.given["name"]) == ("chairs", "mine")
    assert second.given["config"] == dataclasses.asdict(config)
    assert second.finished
    assert [step for step, _ in first.logged + second.logged] == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    assert second.logged[-1][1]["epoch/loss"] == lines(tmp_path / "mine")[-1]["loss"]


def test_a_missing_package_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    nowhere = PretrainConfig(data=DataConfig(household="nowhere"))
    with pytest.raises(DependencyError, match=r"pip install 'cg3d-sdk\[wandb\]'"):
        pretrain(nowhere, tmp_path, log=["wandb"])
    with pytest.raises(TrainingError, match="no logger 'mlflow'; choose from tensorboard, wandb"):
        check_loggers(["mlflow"])
    result = CliRunner().invoke(
        main, ["pretrain", "--config", "household-small", "-o", str(tmp_path), "--logger", "wandb"]
    )
    assert result.exit_code == 1
    assert "cg3d-sdk[wandb]" in result.output


def test_loggers_change_nothing_that_is_trained(config: PretrainConfig, tmp_path: Path) -> None:
    plain = pretrain(config, tmp_path / "plain")
    logged = pretrain(config, tmp_path / "logged", log=["tensorboard"])
    assert all(torch.equal(v, logged.state_dict[k]) for k, v in plain.state_dict.items())


def test_the_bar_counts_clouds_over_the_run_and_says_when_the_epoch_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    meter = Meter("small", epochs=3, steps=4, clouds=8, quiet=False)
    meter.begin(1, 2)
    meter.note({"validation": 0.5})
    meter.tick(0.25)
    meter.tick(0.125)
    meter.close()
    assert meter.steps_taken == 8
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "64.0/96.0" in shown or "64/96" in shown
    assert "cloud/s" in shown
    assert "epoch 2/3 ends in 00:00, loss 0.1250, validation 0.5000" in shown


def test_other_processes_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter("small", epochs=1, steps=1, clouds=8, quiet=True)
    meter.begin(0)
    meter.tick(1.0)
    meter.close()
    assert capsys.readouterr().err == ""
    assert meter.epoch_facts()["clouds_per_second"] > 0
