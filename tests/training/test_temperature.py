"""The learnt temperature: its gradient against open_clip's loss, its bounds, its place in a run."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from open_clip.loss import ClipLoss
from safetensors.torch import load_file
from small_encoders import TINY

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import DataConfig, LossConfig, OptimiserConfig, PretrainConfig
from cg3d_training.losses import contrastive_loss, unit_rows
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.run import Run
from cg3d_training.temperature import Temperature, check_temperature


@pytest.fixture
def config(household: Path, clip_text: Path) -> PretrainConfig:
    return PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        loss=LossConfig(temperature=0.2, learn_temperature=True, negatives="vocabulary"),
        optimiser=OptimiserConfig(epochs=3, batch_size=16, lr=3e-3),
    )


def test_loss_and_gradient_are_clips() -> None:
    a, b = unit_rows(torch.randn(9, 5)), unit_rows(torch.randn(9, 5))
    ours, log_scale = Temperature(0.3, learnt=True), torch.tensor(-math.log(0.3))
    log_scale.requires_grad_()
    theirs = ClipLoss()(a, b, log_scale.exp())
    loss = contrastive_loss(a, b, torch.eye(9), ours())
    torch.testing.assert_close(loss, theirs)
    theirs.backward()
    loss.backward()
    assert ours.log_scale is not None
    assert ours.log_scale.grad is not None
    torch.testing.assert_close(ours.log_scale.grad, log_scale.grad)


def test_it_stays_within_its_bounds() -> None:
    temperature = Temperature(0.5, learnt=True)
    assert temperature.value() == pytest.approx(0.5)
    assert temperature.log_scale is not None
    for value, bound in ((9.0, 0.01), (-2.0, 1.0)):
        with torch.no_grad():
            temperature.log_scale.fill_(value)
        temperature.clamp()
        assert temperature.value() == pytest.approx(bound)
    assert Temperature(1 / 100.00001, learnt=True).value() == pytest.approx(0.01)  # a teacher's
    assert Temperature(0.001)() == 0.001
    for start in (0.001, 1.5):
        check_temperature(start, learnt=False)
        with pytest.raises(TrainingError, match="begin within"):
            check_temperature(start, learnt=True)


def test_it_is_learnt_saved_and_resumed(
    config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain(config, tmp_path / "whole")
    log = [json.loads(x) for x in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    tau = [entry["temperature"] for entry in log]
    assert len({0.2, *tau}) == 4
    assert whole.logit_scale == pytest.approx(1 / tau[-1])
    finish = Run.finish_epoch

    def then_break(run: Run[PretrainConfig], entry: dict[str, object]) -> None:
        finish(run, entry)
        if run.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", then_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path / "broken")
    resumed = pretrain(config, tmp_path / "broken", resume=True)
    assert resumed.logit_scale == whole.logit_scale
    states = [load_file(tmp_path / x / "state.safetensors") for x in ("whole", "broken")]
    assert "temperature.log_scale" in states[0]
    for key, value in states[0].items():
        assert torch.equal(states[1][key], value), key


def test_weights_do_not_decay_it(config: PretrainConfig, tmp_path: Path) -> None:
    """With a loss that does not depend on it, it stays where it is; weights shrink."""
    from cg3d_training.encoders import EncoderSpec, build_encoder

    spec = EncoderSpec("point_transformer", TINY)
    temperature = Temperature(0.2, learnt=True)
    optimiser = dataclasses.replace(config.optimiser, weight_decay=0.5)
    config = dataclasses.replace(config, optimiser=optimiser)
    run = Run(spec, build_encoder(spec), config, tmp_path, 5, temperature=temperature)
    before = run.encoder.state_dict()["projection.weight"].norm().item()
    rows = run.encoder.embed_ordered(torch.randn(4, 64, 3))
    zero = torch.as_tensor(temperature()) * 0
    run.step(rows.sum() * 0 + zero)
    assert run.encoder.state_dict()["projection.weight"].norm().item() < before
    assert temperature.value() == pytest.approx(0.2, abs=1e-7)
