"""Several processes compute what one does; a killed run ends like an unbroken one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cg3d_runtime.errors import TrainingError
from cg3d_training.runs.distributed import World

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def recipe(folder: Path, household: Path, clip_text: Path, **more: object) -> Path:
    """47 objects, batches of 8: five steps an epoch."""
    file = folder / "recipe.yaml"
    sizes = {
        "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
        "width": 32, "depth": 2, "heads": 2, "drop_path": 0.0,
    }  # fmt: skip
    file.write_text(json.dumps({
        "encoder_sizes": sizes,
        "data": {"household": str(household), "clip_text": str(clip_text), "orders": 2},
        "loss": {"negatives": "vocabulary"},
        "optimiser": {"epochs": 4, "batch_size": 8, "lr": 1e-3, "ema": 0.9}, "save_every": 1,
    } | more))  # fmt: skip
    return file


def command(config: Path, output: Path, *more: str) -> list[str]:
    train = ["pretrain", "--config", str(config), "-o", str(output), *more]
    return ["-m", "cg3d_training", *train]


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("negatives", ["vocabulary", "batch"])
def test_two_processes_train_as_one(
    household: Path, clip_text: Path, tmp_path: Path, negatives: str
) -> None:
    """Twenty steps, one an epoch; each loss rests on all updates before it."""
    config = recipe(
        tmp_path, household, clip_text, loss={"negatives": negatives},
        optimiser={"epochs": 20, "batch_size": 46, "lr": 1e-3},
    )  # fmt: skip
    run(*command(config, tmp_path / "one", "--threads", "1"))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run(*launcher, *command(config, tmp_path / "two", "--threads", "1"))
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 20
    assert one[-1] < 0.8 * one[0]
    assert two == pytest.approx(one, abs=1e-4)


def test_kill_at_random_moments(household: Path, clip_text: Path, tmp_path: Path) -> None:
    """Stochastic depth is on, so its draws have to be taken up again too."""
    sizes = json.loads(recipe(tmp_path, household, clip_text).read_text())["encoder_sizes"]
    optimiser = {"epochs": 30, "batch_size": 8, "lr": 1e-3, "ema": 0.9}
    config = recipe(
        tmp_path, household, clip_text,
        encoder_sizes=sizes | {"drop_path": 0.3}, optimiser=optimiser,
    )  # fmt: skip
    run(*command(config, tmp_path / "whole", "--threads", "1"))

    broken, state = tmp_path / "broken", tmp_path / "broken" / "state.safetensors"
    rng, kills = random.Random(0), 0
    for _ in range(4):
        more = ["--resume"] if state.exists() else []
        process = subprocess.Popen(
            [sys.executable, *command(config, broken, "--threads", "1", *more)],
            env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = state.stat().st_mtime_ns if state.exists() else 0
        # Once it has taken a step of its own, it may be hit at any moment.
        while process.poll() is None and not (
            state.exists() and state.stat().st_mtime_ns != before
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    if not (broken / "checkpoint.safetensors").exists():
        run(*command(config, broken, "--threads", "1", "--resume"))

    whole = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    found = load_file(broken / "checkpoint.safetensors")
    for key, value in whole.items():
        assert torch.equal(found[key], value), key
    assert losses(broken) == losses(tmp_path / "whole")


def test_a_batch_that_cannot_be_shared() -> None:
    assert World(1, 4).slice_of(8) == slice(2, 4)
    with pytest.raises(TrainingError, match="multiple"):
        World(0, 3).slice_of(8)
