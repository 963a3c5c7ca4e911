"""What a run leaves beside its weights: its environment, and a card that says only what is so."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from small_encoders import TINY

from cg3d_runtime.cores import usable_cores
from cg3d_runtime.errors import TrainingError
from cg3d_sdk.doctor.machine import memory
from cg3d_training.checkpoint import Checkpoint, cpu_state, load_checkpoint, save_checkpoint
from cg3d_training.config import DataConfig, OptimiserConfig, PretrainConfig, from_dict
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.finetuning.config import FinetuneConfig, LabelledConfig, VotingConfig
from cg3d_training.finetuning.finetune import finetune
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.card import write_card
from cg3d_training.runs.environment import note_resume, note_start


def environment(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "environment.json").read_text())
    return found


def test_the_environment_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/cg3d-train", "pretrain", "-o", "my runs"])
    note_start(tmp_path, 4)
    about = environment(tmp_path)
    assert about["command"] == "cg3d-train pretrain -o 'my runs'"
    assert about["processes"] == 4
    packages = about["packages"]
    assert isinstance(packages, dict)
    for name in ("torch", "open_clip_torch", "numpy", "safetensors", "click"):
        assert packages[name] == importlib.metadata.version(name)
    assert about["cores"] == usable_cores() <= (os.cpu_count() or 1)
    sizes = memory()
    assert sizes is not None
    assert about["memory"] == sizes[0] >= sizes[1] > 0


def test_a_resume_adds_what_was_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cg3d-train", "first"])
    note_start(tmp_path, 1)
    before = environment(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cg3d-train", "second"])
    note_resume(tmp_path, 2, epoch=7)
    monkeypatch.setattr(sys, "argv", ["/x/cg3d_training/__main__.py", "third"])
    note_resume(tmp_path, 1, epoch=9)
    after = environment(tmp_path)
    first, second = after.pop("resumed")  # type: ignore[misc]
    assert after == before
    assert first["epoch"] == 7
    command = {"command": "cg3d-train second", "processes": 2}
    assert first["changed"] == command | {"packages": {}}
    assert second["changed"] == {"command": "python -m cg3d_training third", "packages": {}}
    (tmp_path / "environment.json").write_text("{")
    with pytest.raises(TrainingError, match=r"environment\.json is damaged"):
        note_resume(tmp_path, 1, 10)


def recipe_of(card: str) -> object:
    found = re.search(r"```yaml\n(.*?)```", card, re.S)
    assert found
    return yaml.safe_load(found[1])


def test_the_card_of_pretraining(household: Path, clip_text: Path, tmp_path: Path) -> None:
    config = PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), validation=0.4),
        optimiser=OptimiserConfig(epochs=2, batch_size=8),
    )
    result = pretrain(config, tmp_path / "small")
    card = (tmp_path / "small" / "MODEL_CARD.md").read_text()
    log = [json.loads(x) for x in (tmp_path / "small" / "log.jsonl").read_text().splitlines()]
    assert card.startswith("# small\n")
    count = sum(p.numel() for p in result.build().parameters())
    assert f"encoder of {count:,} parameters, made by `cg3d-train pretrain`" in card
    assert f"licences, with their numbers of objects: CC0 {result.record['objects']}\n" in card
    assert f"loss: {log[0]['loss']:.4f} in the first epoch, {log[1]['loss']:.4f}" in card
    assert f"{log[1]['validation']:.1%}, top-5 {log[1]['validation_top5']:.1%}" in card
    assert "not tried on a test set" in card
    assert from_dict(PretrainConfig, recipe_of(card), "card") == config  # type: ignore[arg-type]
    file = tmp_path / "small" / "checkpoint.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    # The lines of the card load the weights.
    code = re.search(r"```python\n(.*?)```", card, re.S)
    assert code
    names: dict[str, object] = {}
    exec(code[1].replace("checkpoint.safetensors", str(file)), names)
    loaded = names["encoder"]
    assert isinstance(loaded, torch.nn.Module)
    assert all(torch.equal(v, result.state_dict[k]) for k, v in loaded.state_dict().items())


def test_the_card_of_a_classifier(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "classes.txt").write_text("ball\nbox")
    for split in ("train", "test"):
        np.savez(
            tmp_path / f"{split}.npz", points=rng.normal(size=(16, 70, 3)), labels=np.arange(16) % 2
        )
    config = FinetuneConfig(
        encoder_sizes=TINY, seeds=(3,), data=LabelledConfig("npz", str(tmp_path), candidates=64),
        optimiser=OptimiserConfig(epochs=1, batch_size=8), voting=VotingConfig(views=2),
    )  # fmt: skip
    (seed,) = finetune(config, tmp_path / "run").seeds
    card = (tmp_path / "run" / "seed-3" / "MODEL_CARD.md").read_text()
    assert "the logits of 2 classes" in card
    assert "- classes: ball, box\n" in card
    assert f"on the test set, all clouds: {seed.plain.overall:.1%}\n" in card
    assert seed.voted is not None
    assert f"all clouds, 2 votes: {seed.voted.overall:.1%}\n" in card
    assert "licences: not recorded" in card
    assert "cg3d-export" not in card
    assert "no accuracy was measured" not in card


def test_a_card_claims_nothing_that_is_not_recorded(tmp_path: Path) -> None:
    spec = EncoderSpec("point_transformer", TINY | {"embedding_dim": 12})
    encoder = build_encoder(spec)
    recipe = {"teacher": {"kind": "open_clip", "weights": None}}
    about = Checkpoint(spec, cpu_state(encoder), torch.zeros(12), 1.0, recipe, {})
    save_checkpoint(tmp_path / "x.safetensors", about)
    write_card(tmp_path / "x.safetensors", "pretrain-triplets")
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "objects to learn from: not recorded" in card
    assert "no accuracy was measured in this run" in card
    assert "random weights" in card
    named = dataclasses.replace(about, recipe={"teacher": {"weights": "some"}})
    save_checkpoint(tmp_path / "x.safetensors", named)
    write_card(tmp_path / "x.safetensors", "pretrain-triplets")
    assert "random weights" not in (tmp_path / "MODEL_CARD.md").read_text()
    assert load_checkpoint(tmp_path / "x.safetensors").recipe == named.recipe
