"""The files of a run, whatever it trains: what is kept, dropped and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cg3d_runtime.errors import TrainingError
from cg3d_training.runs.distributed import ALONE, World
from cg3d_training.runs.folder import STATE, RunFolder
from cg3d_training.teaching.config import TeachingConfig

RECIPE = TeachingConfig(seed=3)
ABOUT = {"epoch": 2, "steps": 20, "seconds": 1.5}


def started(path: Path, world: World = ALONE) -> RunFolder:
    folder = RunFolder(path, RECIPE, world)
    folder.start()
    return folder


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    folder = started(tmp_path)
    for epoch in range(3):
        folder.log_epoch(epoch, {"epoch": epoch})
    folder.save(ABOUT, {"a": torch.arange(3)})
    with pytest.raises(TrainingError, match="holds a run already"):
        started(tmp_path)
    again = RunFolder(tmp_path, RECIPE)
    about, tensors = again.saved()
    assert (about, tensors["a"].tolist()) == (ABOUT, [0, 1, 2])
    again.go_on(about["epoch"], 20)
    again.log_epoch(30, {"epoch": 2, "again": True})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2, "again": True}]


def test_a_second_process_writes_nothing(tmp_path: Path) -> None:
    folder = started(tmp_path, World(1, 2))
    folder.log_epoch(0, {"epoch": 0})
    folder.save(ABOUT, {"a": torch.zeros(1)})
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_of_before_a_key_was_there_is_the_same(tmp_path: Path) -> None:
    metadata = {"config": json.dumps({"seed": 3}), "state": json.dumps(ABOUT)}
    save_file({"a": torch.zeros(1)}, tmp_path / STATE, metadata)
    assert RunFolder(tmp_path, RECIPE).saved()[0] == ABOUT


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no run to go on with"),
        ({"config": '{"seed": 4}', "state": "{}"}, "another recipe"),
        ({"config": "{", "state": "{}"}, "another recipe"),
        ({"config": '{"seed": 3}'}, "damaged state"),
        ({"config": '{"seed": 3}', "state": "{"}, "damaged state"),
        ({"config": '{"seed": 3}', "state": '{"epoch": 1, "steps": 2}'}, "state: seconds missing"),
    ],
)
def test_states_that_are_none_are_refused(
    metadata: dict[str, str] | None, message: str, tmp_path: Path
) -> None:
    if metadata is not None:
        save_file({"a": torch.zeros(1)}, tmp_path / STATE, metadata)
    with pytest.raises(TrainingError, match=message):
        RunFolder(tmp_path, RECIPE).saved()
