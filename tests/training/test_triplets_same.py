"""Pre-training on triplets: however it is run, it computes the same."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
import torch
from safetensors.torch import load_file
from small_triplets import TINY, log

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import OptimiserConfig
from cg3d_training.data.storage import Cache
from cg3d_training.runs.run import Run
from cg3d_training.triplets.batches import Loading
from cg3d_training.triplets.config import (
    TripletConfig,
    TripletLossConfig,
)
from cg3d_training.triplets.pretrain import pretrain_triplets
from cg3d_training.triplets.run import TripletRun


@pytest.mark.parametrize("save_every", [0, 1])
def test_an_interrupted_run_ends_like_an_unbroken_one(
    config: TripletConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every: int
) -> None:
    """Stopped at the end of an epoch, and in the middle of one after a step of the prompts."""
    config = dataclasses.replace(config, save_every=save_every)
    whole = pretrain_triplets(config, tmp_path / "whole")
    name = "save_inside" if save_every else "finish_epoch"
    method = getattr(Run, name)

    def then_break(run: Run[TripletConfig], *arguments: object) -> None:
        method(run, *arguments)
        at = run.iteration if isinstance(run, TripletRun) else 0
        if at == (13 if save_every else 10):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, name, then_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain_triplets(config, tmp_path / "broken")
    resumed = pretrain_triplets(config, tmp_path / "broken", resume=True)
    for key, value in whole.state_dict.items():
        assert torch.equal(value, resumed.state_dict[key]), key
    for file in ("prompts.safetensors", "state.safetensors"):
        found = load_file(tmp_path / "broken" / file)
        for key, value in load_file(tmp_path / "whole" / file).items():
            assert torch.equal(value, found[key]), key
    for a, b in zip(log(tmp_path / "whole"), log(tmp_path / "broken"), strict=True):
        clocks = dict.fromkeys(("seconds", "data_seconds", "clouds_per_second"), 0)
        assert a | clocks == b | clocks


def test_two_processes_train_as_one(
    config: TripletConfig, tmp_path: Path, small_model: Path
) -> None:
    """Twenty steps; each loss rests on all updates before it."""
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(dataclasses.asdict(
        dataclasses.replace(
            config, encoder_sizes=TINY | {"drop_path": 0.0},
            loss=TripletLossConfig(learn_temperature=True),
        )
    )))  # fmt: skip
    program = tmp_path / "train.py"
    program.write_text(
        "import sys, open_clip\nfrom cg3d_training.cli.main import main\n"
        f"open_clip.add_model_config({str(small_model)!r})\n"
        f"main(['pretrain-triplets', '--config', {str(recipe)!r}, '--threads', '1',\n"
        "       '--device', 'cpu', '-o', sys.argv[1]])\n"
    )
    processes = [
        [], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    ]  # fmt: skip
    for launcher in processes:
        done = subprocess.run(
            [sys.executable, *launcher, str(program), str(tmp_path / f"run-{len(launcher)}")],
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (log(tmp_path / f"run-{len(launcher)}") for launcher in processes)
    for name, bound in {"loss": 1e-4, "loss_prompts": 1e-4, "temperature": 1e-6}.items():
        assert [e[name] for e in two] == pytest.approx([e[name] for e in one], abs=bound), name
        assert one[-1][name] != pytest.approx(one[0][name], abs=1e-4)


def test_shards_of_an_object_store_train_the_same_weights(
    config: TripletConfig, shards: Path, tmp_path: Path
) -> None:
    """Read by another process, too."""
    files = fsspec.filesystem("memory")
    for path in shards.iterdir():
        files.pipe_file(f"/trained/{path.name}", path.read_bytes())
    config = dataclasses.replace(config, optimiser=OptimiserConfig(epochs=1, batch_size=4))
    data = dataclasses.replace(config.data, shards="memory://trained")
    loading = Loading(workers=1, cache=Cache(tmp_path / "cache", 10**8))
    near = pretrain_triplets(config, tmp_path / "near")
    far = pretrain_triplets(
        dataclasses.replace(config, data=data), tmp_path / "far", loading=loading
    )
    for key, value in near.state_dict.items():
        assert torch.equal(value, far.state_dict[key]), key
    prompts = load_file(tmp_path / "far" / "prompts.safetensors")
    for key, value in load_file(tmp_path / "near" / "prompts.safetensors").items():
        assert torch.equal(value, prompts[key]), key


def test_in_chunks(config: TripletConfig, tmp_path: Path) -> None:
    """The prompts' losses rest on all of their updates, and on nothing of the encoder's."""
    kept: dict[int, list[dict[str, float]]] = {}
    for chunk in (0, 2):
        optimiser = dataclasses.replace(config.optimiser, chunk=chunk)
        folder = tmp_path / str(chunk)
        pretrain_triplets(dataclasses.replace(config, optimiser=optimiser), folder)
        kept[chunk] = log(folder)
    whole, chunks = ([e["loss_prompts"] for e in kept[chunk]] for chunk in (0, 2))
    assert chunks == pytest.approx(whole, abs=1e-6)
    assert whole[-1] != pytest.approx(whole[0], abs=1e-3)
    # The encoder has batch normalisation, whose statistics are a chunk's: near, and not equal.
    whole, chunks = ([e["loss"] for e in kept[chunk]] for chunk in (0, 2))
    assert chunks != pytest.approx(whole, abs=1e-6)
    assert chunks == pytest.approx(whole, rel=0.2)


def test_captions_beyond_the_table_are_computed_batch_by_batch(
    config: TripletConfig, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, optimiser=OptimiserConfig(epochs=2, batch_size=4))
    few = dataclasses.replace(config, data=dataclasses.replace(config.data, caption_table=5))
    pretrain_triplets(config, tmp_path / "table")
    pretrain_triplets(few, tmp_path / "batches")
    for a, b in zip(log(tmp_path / "table"), log(tmp_path / "batches"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)
        assert a["loss_prompts"] == pytest.approx(b["loss_prompts"], abs=1e-4)
    centred = dataclasses.replace(few, loss=TripletLossConfig(centre=True))
    with pytest.raises(TrainingError, match=r"there are 252: set data.caption_table"):
        pretrain_triplets(centred, tmp_path / "centred")
