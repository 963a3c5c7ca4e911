"""`--resume`, `--resume latest` and `--resume FOLDER`: which run is taken up, and what is said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from small_encoders import TINY
from torch.distributed.run import get_args_parser

from cg3d_runtime.errors import TrainingError
from cg3d_training.cli.main import main
from cg3d_training.config import PretrainConfig, load_config
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.finetuning.finetune import finetune
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.distributed import ALONE, World
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.run import Run
from cg3d_training.runs.unfinished import newest_unfinished, read_run


@pytest.fixture
def recipe(household: Path, clip_text: Path, tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps({
        "encoder_sizes": TINY, "optimiser": {"epochs": 3, "batch_size": 16},
        "data": {"household": str(household), "clip_text": str(clip_text), "orders": 1},
    }))  # fmt: skip
    return file


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def broken_after(
    epochs: int, monkeypatch: pytest.MonkeyPatch, train: Callable[[], Any], folder: str = ""
) -> None:
    """Train, and break off after so many epochs, of the run in that folder."""
    finish = Run.finish_epoch

    def then_break(run: Run[Any], entry: dict[str, Any]) -> None:
        finish(run, entry)
        if run.epoch == epochs and run.output.name.startswith(folder):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", then_break)
        with pytest.raises(KeyboardInterrupt):
            train()


def break_pretraining(
    recipe: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, epochs: int = 1, *overrides: str
) -> None:
    config = load_config(PretrainConfig, str(recipe), overrides)
    broken_after(epochs, monkeypatch, lambda: pretrain(config, folder))


def test_the_newest_unfinished_run_goes_on(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    for name in ("a", "b", "c"):
        break_pretraining(recipe, runs / "small" / name, monkeypatch)
    newest = runs / "small" / "a"
    os.utime(newest / "state.safetensors", (2e9, 2e9))
    call("pretrain", "--config", recipe, "-o", runs / "done")
    os.utime(runs / "done" / "state.safetensors", (3e9, 3e9))  # newer, and finished

    result = call("pretrain", "--config", recipe, "-o", runs, "--resume", "latest")
    assert result.exit_code == 0, result.output
    assert f"going on with {newest}, 1 of 3 epochs done" in result.output
    whole, found = (load_file(f / "checkpoint.safetensors") for f in (runs / "done", newest))
    assert all(torch.equal(value, found[key]) for key, value in whole.items())
    assert not (runs / "small" / "b" / "checkpoint.safetensors").exists()


def test_the_folder_says_what_its_recipe_was(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    break_pretraining(recipe, run, monkeypatch, 2)
    result = call("pretrain", "--resume", run)
    assert result.exit_code == 0, result.output
    assert f"going on with {run}, 2 of 3 epochs done" in result.output
    # As before, and once more on what is done already; -o and --resume may agree.
    for more in (["-o", run, "--resume"], ["--resume", "-o", run], ["--resume", run, "-o", run]):
        again = call("pretrain", "--config", recipe, *more)
        assert again.exit_code == 0, again.output
        assert "3 of 3 epochs done" in again.output


def test_only_runs_of_the_given_recipe_are_taken(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    break_pretraining(recipe, runs / "one", monkeypatch, 1, "seed=5")
    refused = call("pretrain", "--config", recipe, "-o", runs, "--resume", "latest")
    assert refused.exit_code == 1
    assert f"there are of others: {runs / 'one'}" in refused.output
    taken = newest_unfinished(runs, PretrainConfig, "checkpoint.safetensors", None)
    assert (taken.folder, taken.config.seed, taken.epochs) == (runs / "one", 5, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "runs", "--resume", "latest"], 1, "no unfinished run in or below it"),
        (["--resume", "runs"], 1, "there is no run to resume"),
        (["-o", "a", "--resume", "b"], 2, "are two folders"),
        (["-o", "a"], 2, "give the recipe: --config"),
        (["--config", "household-small"], 2, "give the folder of the run"),
        (["--resume", "a", "--set", "seed=2"], 2, "--set changes a recipe"),
    ],
)
def test_what_does_not_fit_is_named(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("pretrain", *arguments)
    assert result.exit_code == code
    assert message in result.output


def test_each_process_goes_on_with_its_own_draws() -> None:
    cpu = torch.device("cpu")
    states = []
    for rank in range(3):
        EpochDraws(1, 0, World(rank, 3), cpu)
        torch.rand(rank + 700)
        states.append((torch.get_rng_state(), torch.rand(5)))
    plain, tensors = EpochDraws(1, 0, ALONE, cpu).state()
    tensors["own"] = torch.stack([state for state, _ in states])
    for rank, (_, expected) in enumerate(states):
        draws = EpochDraws(1, 0, World(rank, 3), cpu)
        draws.restore(plain, tensors)
        assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize("verb", ["pretrain", "pretrain-triplets"])
def test_torchrun_takes_no_option_for_its_own(verb: str) -> None:
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    for name in [name for option in command.params for name in option.opts if name[:2] == "--"]:
        arguments = ["-m", "cg3d_training", verb, name, "x"]
        parsed = get_args_parser().parse_args(arguments)
        assert parsed.training_script_args == [verb, name, "x"]


def test_a_damaged_config_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes(b"")
    for text in ("{", "[]", '{"sed": 1}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(TrainingError, match=r"config\.json"):
            read_run(tmp_path, PretrainConfig)
    with pytest.raises(TrainingError, match="no unfinished run"):
        newest_unfinished(tmp_path, PretrainConfig, "checkpoint.safetensors", None)


def test_finetuning_goes_on_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "classes.yaml"
    file.write_text(json.dumps({
        "encoder_sizes": TINY, "seeds": [1, 2], "voting": {"views": 0},
        "optimiser": {"epochs": 2, "batch_size": 8},
        "data": {"set": "npz", "folder": str(tmp_path), "candidates": 64},
    }))  # fmt: skip
    rng = torch.Generator().manual_seed(0)
    (tmp_path / "classes.txt").write_text("ball\nbox")
    for split in ("train", "test"):
        points = torch.randn(16, 70, 3, generator=rng).numpy()
        np.savez(tmp_path / f"{split}.npz", points=points, labels=np.arange(16) % 2)
    config = load_config(FinetuneConfig, str(file))
    run = tmp_path / "runs" / "classes"
    broken_after(1, monkeypatch, lambda: finetune(config, run), "seed-2")
    result = call("finetune", "-o", tmp_path / "runs", "--resume", "latest")
    assert result.exit_code == 0, result.output
    assert f"going on with {run}, 1 of 2 epochs done" in result.output
    assert (run / "results.json").exists()
    assert len((run / "seed-2" / "log.jsonl").read_text().splitlines()) == 2
    over = call("finetune", "-o", tmp_path / "runs", "--resume", "latest")
    assert over.exit_code == 1
    assert "no unfinished run" in over.output
