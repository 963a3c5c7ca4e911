"""A run that gets SIGTERM saves its state, says so, and goes on as if nothing had been."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.config import DataConfig, LossConfig, OptimiserConfig, PretrainConfig
from cg3d_training.runs.distributed import ALONE
from cg3d_training.runs.run import Run
from cg3d_training.runs.stop import StopRequest

TINY = {
    "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
    "width": 32, "depth": 2, "heads": 2, "drop_path": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_mid_epoch(
    household: Path, clip_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:  # fmt: skip
    config = PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        loss=LossConfig(negatives="vocabulary"),
        optimiser=OptimiserConfig(epochs=2, batch_size=8, lr=1e-3, ema=0.9),
    )
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(dataclasses.asdict(config)))

    def train(folder: str, *more: str) -> tuple[int, str]:
        arguments = ["pretrain", "--config", str(recipe), "-o", str(tmp_path / folder), *more]
        result = CliRunner().invoke(main, arguments)
        return result.exit_code, result.output

    assert train("whole")[0] == 0
    before = signal.getsignal(number)
    step, taken = Run.step, []

    def signalled(run: Run[PretrainConfig], loss: torch.Tensor) -> None:
        taken.append(loss)
        if len(taken) == 7:
            signal.raise_signal(number)
        step(run, loss)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", signalled)
        code, said = train("broken")
    assert (code, len(taken)) == (1, 7)
    assert "asked to stop after step 2 of epoch 1: the state is saved" in said
    assert signal.getsignal(number) is before
    assert train("broken", "--resume")[0] == 0
    whole, resumed = (
        load_checkpoint(tmp_path / x / "checkpoint.safetensors") for x in ("whole", "broken")
    )
    for key, value in whole.state_dict.items():
        assert torch.equal(value, resumed.state_dict[key]), key


def test_a_second_signal_is_not_held_back() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        request = StopRequest(ALONE)
        with request:
            signal.raise_signal(signal.SIGTERM)
            assert request.asked()
            assert not heard
            signal.raise_signal(signal.SIGTERM)
            assert heard == [signal.SIGTERM]
        assert not StopRequest(ALONE).asked()
    finally:
        signal.signal(signal.SIGTERM, before)
