"""fp16 with a scaled loss: what a step does, and that its scale goes on after a resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from small_encoders import TINY

from cg3d_training.config import DataConfig, LossConfig, OptimiserConfig, PretrainConfig
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.run import Run

SPEC = EncoderSpec("point_transformer", TINY)


def run_of(folder: Path, **changes: object) -> Run[PretrainConfig]:
    torch.manual_seed(0)
    optimiser = OptimiserConfig("sgd", lr=1.0, momentum=0.0, weight_decay=0.0, clip_norm=0.01)
    config = dataclasses.replace(PretrainConfig(optimiser=optimiser), **changes)  # type: ignore[arg-type]
    return Run(SPEC, build_encoder(SPEC).train(), config, folder, 5)


def update(run: Run[PretrainConfig], factor: float = 1.0) -> torch.Tensor:
    """What one step changes of all weights."""
    before = torch.cat([p.detach().flatten() for p in run.encoder.parameters()])
    points = torch.randn(4, 64, 3, generator=torch.Generator().manual_seed(1)) / 3
    rows = run.through(run.embed_ordered, points)
    run.step(rows.float().square().mean() * factor)
    return torch.cat([p.detach().flatten() for p in run.encoder.parameters()]) - before


def test_gradients_are_unscaled_before_they_are_clipped(tmp_path: Path) -> None:
    half, single = (update(run_of(tmp_path, precision=p)) for p in ("fp16", "fp32"))
    assert half.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert torch.nn.functional.cosine_similarity(half, single, dim=0) > 0.999
    assert not torch.equal(half, single)  # it did run in half precision


def test_an_overflow_is_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, precision="fp16")
    assert not update(run, 1e9).any()
    scale = run.weights.scaler.get_scale()
    assert scale == 2.0**15  # half of the first
    assert update(run).any()


def test_the_scale_goes_on_after_a_resume(
    household: Path, clip_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PretrainConfig(
        encoder_sizes=TINY,
        precision="fp16",
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        loss=LossConfig(negatives="vocabulary"),
        optimiser=OptimiserConfig(epochs=3, batch_size=16, lr=3e-3),
    )
    whole = pretrain(config, tmp_path / "whole")
    finish = Run.finish_epoch

    def then_break(run: Run[PretrainConfig], entry: dict[str, object]) -> None:
        finish(run, entry)
        if run.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", then_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path / "broken")
    resumed = pretrain(config, tmp_path / "broken", resume=True)
    for key, value in whole.state_dict.items():
        assert torch.equal(value, resumed.state_dict[key]), key
    scalers = []
    for name in ("whole", "broken"):
        with safe_open(str(tmp_path / name / "state.safetensors"), "pt") as file:
            scalers.append(json.loads(file.metadata()["state"])["scaler"])
    assert scalers[0] == scalers[1]
    assert scalers[0]["_growth_tracker"] > 0
