"""Pre-training on triplets: who learns when and from what, and what a run leaves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file
from small_clip import DIM, LAYERS, WIDTH
from small_triplets import TINY, log

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.config import OptimiserConfig
from cg3d_training.teachers import Teacher, load_prompts, load_teacher
from cg3d_training.triplets import pretrain as triplets
from cg3d_training.triplets.config import (
    PromptConfig,
    TripletConfig,
    TripletLossConfig,
)
from cg3d_training.triplets.pretrain import pretrain_triplets
from cg3d_training.triplets.run import TripletRun


@pytest.mark.parametrize(
    ("loss", "precision"),
    [
        (TripletLossConfig(), "fp32"),
        (TripletLossConfig(positives="diagonal", temperature=None, centre=True), "bf16"),
    ],
)
def test_it_learns_and_the_teacher_stays(
    config: TripletConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    loss: TripletLossConfig, precision: str,
) -> None:  # fmt: skip
    teachers: list[tuple[Teacher, dict[str, torch.Tensor]]] = []

    def remembered(kind: str, model: str, weights: str | None) -> Teacher:
        teacher = load_teacher(kind, model, weights)  # type: ignore[arg-type]
        teachers.append((teacher, {k: v.clone() for k, v in teacher.state_dict().items()}))
        return teacher

    monkeypatch.setattr(triplets, "load_teacher", remembered)
    config = dataclasses.replace(
        config,
        loss=loss,
        data=dataclasses.replace(config.data, captions="photo"),
        precision=precision,  # type: ignore[arg-type]
        optimiser=OptimiserConfig(epochs=100, batch_size=20, lr=3e-3),
    )
    checkpoint = pretrain_triplets(config, tmp_path)
    lines = log(tmp_path)

    def mean(name: str, part: list[dict[str, float]]) -> float:
        return float(np.mean([line[name] for line in part if name in line]))

    assert mean("loss", lines[-10:]) < 0.85 * 2 * np.log(20)  # of chance
    assert mean("loss_prompts", lines[-10:]) < 0.8 * mean("loss_prompts", lines[:10])
    ((teacher, before_training),) = teachers
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before_training[key]), key
    assert lines[-1]["lr"] == pytest.approx(1e-6)
    assert lines[-1]["lr_prompts"] == pytest.approx(1e-6)
    expected = 1 / 0.07 if loss.temperature else teacher.logit_scale
    assert checkpoint.logit_scale == pytest.approx(expected)
    assert bool(checkpoint.text_mean.any()) is loss.centre


def test_they_take_turns_and_do_no_more_than_they_need(
    config: TripletConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five steps an epoch: the turns go on over the end of one."""
    turns: list[str] = []

    def watch(name: str, moving: str) -> None:
        step = getattr(TripletRun, name)

        def watched(run: TripletRun, loss: torch.Tensor) -> None:
            assert run.prompts is not None
            before = {
                "encoder": torch.cat([p.detach().flatten() for p in run.encoder.parameters()]),
                "prompts": torch.cat([p.detach().flatten() for p in run.prompts.parameters()]),
            }
            still = {"encoder": run.prompts, "prompts": run.encoder}[moving]
            held = [p.grad for p in still.parameters()]
            step(run, loss)
            after = {
                "encoder": torch.cat([p.detach().flatten() for p in run.encoder.parameters()]),
                "prompts": torch.cat([p.detach().flatten() for p in run.prompts.parameters()]),
            }
            assert [k for k in before if not torch.equal(before[k], after[k])] == [moving]
            for new, old in zip((p.grad for p in still.parameters()), held, strict=True):
                assert new is old
            assert run.iteration == len(turns)
            turns.append(moving)

        monkeypatch.setattr(TripletRun, name, watched)

    watch("step", "encoder")
    watch("prompt_step", "prompts")
    pretrain_triplets(config, tmp_path)
    assert turns == ["encoder", "prompts"] * 10
    counts = {
        int(v)
        for k, v in load_file(tmp_path / "state.safetensors").items()
        if k.startswith("encoder.") and k.endswith("num_batches_tracked")
    }
    assert counts == {10}  # not 20: no points went through the encoder at the prompts' steps


def test_a_learnt_temperature_begins_with_the_teachers(
    config: TripletConfig, tmp_path: Path
) -> None:
    loss = TripletLossConfig(temperature=None, learn_temperature=True)
    optimiser = OptimiserConfig(epochs=1, batch_size=4, lr=1e-6)
    checkpoint = pretrain_triplets(
        dataclasses.replace(config, loss=loss, optimiser=optimiser), tmp_path
    )
    teacher = load_teacher("open_clip", "small-clip", None)
    assert checkpoint.logit_scale == pytest.approx(teacher.logit_scale, rel=1e-4)
    assert checkpoint.logit_scale != teacher.logit_scale
    assert log(tmp_path)[0]["temperature"] == pytest.approx(1 / checkpoint.logit_scale)


def test_what_a_run_leaves(config: TripletConfig, tmp_path: Path) -> None:
    pretrain_triplets(config, tmp_path)
    read = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert (read.record["objects"], read.record["labels"]) == (22, 4)
    assert read.record["captions"] == 4 * 63
    assert read.recipe["prompts"]["tokens"] == 2
    assert torch.equal(read.text_mean, torch.zeros(DIM))
    assert read.build().embed_ordered(torch.randn(2, 64, 3) / 3).shape == (2, DIM)
    state = load_file(tmp_path / "prompts.safetensors")
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        "prompt_embeddings": (1, 2, WIDTH), "deep_prompt_embeddings": (LAYERS - 1, 2, WIDTH),
    }  # fmt: skip
    assert torch.equal(load_prompts(state).prompt_embeddings, state["prompt_embeddings"])
    with safe_open(str(tmp_path / "prompts.safetensors"), "pt") as file:
        assert file.metadata() == {"kind": "open_clip", "model": "small-clip"}


def test_without_prompts_or_a_loss(config: TripletConfig, tmp_path: Path) -> None:
    """The ablation of the paper's Table 3: different losses make different encoders."""
    plain = dataclasses.replace(
        config, prompts=PromptConfig(tokens=0), optimiser=OptimiserConfig(epochs=1, batch_size=4)
    )
    found = {
        name: pretrain_triplets(dataclasses.replace(plain, loss=loss), tmp_path / name)
        for name, loss in {
            "both": TripletLossConfig(),
            "images": TripletLossConfig(texts=False),
            "texts": TripletLossConfig(images=False),
        }.items()
    }
    rows = [c.state_dict["projection.weight"] for c in found.values()]
    assert not torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[1], rows[2])
    assert not (tmp_path / "both" / "prompts.safetensors").exists()
    assert "loss_prompts" not in log(tmp_path / "both")[0]


def test_from_a_checkpoint(config: TripletConfig, tmp_path: Path) -> None:
    short = dataclasses.replace(config.optimiser, epochs=1)
    first = dataclasses.replace(config, optimiser=short)
    begun = pretrain_triplets(first, tmp_path / "first")
    # A rate of almost nothing leaves what it begins with; another seed would begin elsewhere.
    still = dataclasses.replace(short, lr=1e-12, min_lr=0.0, weight_decay=0.0, ema=0.0)
    start = str(tmp_path / "first" / "checkpoint.safetensors")
    onward = dataclasses.replace(config, start=start, seed=9, optimiser=still)
    after = pretrain_triplets(onward, tmp_path / "second")
    for name, weight in begun.state_dict.items():
        if weight.is_floating_point() and "running" not in name:
            torch.testing.assert_close(after.state_dict[name], weight, atol=1e-6, rtol=1e-5)
    other = dataclasses.replace(onward, encoder_sizes=TINY | {"width": 64})
    with pytest.raises(TrainingError, match="holds a point_transformer of other sizes"):
        pretrain_triplets(other, tmp_path / "third")


def test_the_command(config: TripletConfig, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.json"
    recipe.write_text(json.dumps(dataclasses.asdict(config)))
    arguments = ["pretrain-triplets", "--config", str(recipe), "-o", str(tmp_path / "run")]
    arguments += ["--device", "cpu", "--set", "optimiser.epochs=1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "22 objects of 4 names, 1 epochs" in result.output
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "holds a run already" in again.output
    wrong = CliRunner().invoke(main, [*arguments, "--set", "loss.positive=class"])
    assert "Did you mean 'positives'?" in wrong.output
