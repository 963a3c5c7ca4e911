"""Pre-training on triplets: who learns when, from what, and that it goes on as it stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import fsspec
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
from cg3d_training.config import OptimiserConfig, list_recipes, load_config
from cg3d_training.data.samples import encode_sample
from cg3d_training.data.shards import ShardFolder, write_index, write_shard
from cg3d_training.data.storage import Cache
from cg3d_training.encoders import build_encoder, encoder_spec
from cg3d_training.losses import (
    class_positives,
    contrastive_loss,
    diagonal_positives,
    encoder_loss,
    prompt_loss,
)
from cg3d_training.runs.run import Run
from cg3d_training.teachers import Teacher, load_prompts, load_teacher
from cg3d_training.triplets import pretrain as triplets
from cg3d_training.triplets.batches import Loading
from cg3d_training.triplets.config import (
    PromptConfig,
    TeacherConfig,
    TripletConfig,
    TripletDataConfig,
    TripletLossConfig,
)
from cg3d_training.triplets.pretrain import pretrain_triplets
from cg3d_training.triplets.run import TripletRun


def test_positives_by_class_and_by_the_diagonal_by_hand() -> None:
    classes = torch.tensor([3, 5, 3])
    assert class_positives(classes).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert diagonal_positives(classes).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    a, b = (torch.nn.functional.normalize(torch.randn(3, 5), dim=1) for _ in range(2))
    logits = a @ b.T / 0.1
    down, across = logits.log_softmax(dim=0), logits.log_softmax(dim=1)
    pairs = [(0, 0, 2), (0, 2, 2), (1, 1, 1), (2, 0, 2), (2, 2, 2)]  # row, column, how many
    by_class = -sum((down[i, j] + across[i, j]) / n for i, j, n in pairs) / 3 / 2
    torch.testing.assert_close(prompt_loss(a, b, class_positives(classes), 0.1), by_class)
    alone = -sum(down[i, i] + across[i, i] for i in range(3)) / 3 / 2
    torch.testing.assert_close(prompt_loss(a, b, diagonal_positives(classes), 0.1), alone)


def test_equation_7_is_a_sum_whose_terms_can_be_left_out() -> None:
    p, i, t = (torch.nn.functional.normalize(torch.randn(6, 5), dim=1) for _ in range(3))
    eye = torch.eye(6)
    image, text = contrastive_loss(p, i, eye, 0.2), contrastive_loss(p, t, eye, 0.2)
    torch.testing.assert_close(encoder_loss(p, i, t, eye, 0.2), image + text)
    torch.testing.assert_close(encoder_loss(p, i, None, eye, 0.2), image)
    torch.testing.assert_close(encoder_loss(p, None, t, eye, 0.2), text)


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


def test_mistakes_are_named(config: TripletConfig, tmp_path: Path, shards: Path) -> None:
    def refused(message: str, **changes: object) -> None:
        with pytest.raises(TrainingError, match=message):
            pretrain_triplets(dataclasses.replace(config, **changes), tmp_path / "run")  # type: ignore[arg-type]
        assert not (tmp_path / "run").exists()

    refused("nothing to learn", loss=TripletLossConfig(images=False, texts=False))
    refused("set prompts.tokens to 0", loss=TripletLossConfig(images=False))
    refused("0 is for none", prompts=PromptConfig(tokens=-1))
    refused("above 0", loss=TripletLossConfig(temperature=0.0))
    refused("begin within", loss=TripletLossConfig(temperature=2.0, learn_temperature=True))
    refused("chunk is -1", optimiser=OptimiserConfig(batch_size=4, chunk=-1))
    refused("chunk is 1", optimiser=OptimiserConfig(batch_size=4, chunk=1))
    refused(f"embedding_dim to {DIM}", encoder_sizes=TINY | {"embedding_dim": 512})
    refused("is no model of open_clip", teacher=TeacherConfig("open_clip", "small-clop", None))
    refused("teacher.weights", teacher=TeacherConfig("slip", weights=None))
    refused("index.jsonl is missing", data=TripletDataConfig(str(tmp_path)))
    refused("fewer than one batch", optimiser=OptimiserConfig(batch_size=64))
    refused("128 points and the encoder takes 256", encoder_sizes=TINY | {"points": 256})
    bare = dataclasses.replace(ShardFolder(shards)[0], views=())
    write_shard(tmp_path / "shard-000000.tar", [encode_sample(bare)])
    write_index(tmp_path)
    refused("has no pictures", data=TripletDataConfig(str(tmp_path)))


def test_every_shipped_recipe_loads() -> None:
    names = list_recipes(TripletConfig)
    assert names == [
        "official-point-mlp", "official-point-transformer", "paper-point-mlp",
        "paper-point-transformer", "paper-scans", "small-cpu",
    ]  # fmt: skip
    paper, official = (
        load_config(TripletConfig, f"{k}-point-transformer") for k in ("paper", "official")
    )
    assert (paper.loss.positives, official.loss.positives) == ("class", "diagonal")
    assert (paper.loss.temperature, official.loss.temperature) == (0.07, None)
    assert official.prompts.lr == official.prompts.min_lr
    assert load_config(TripletConfig, "small-cpu", ["prompts.tokens=0"]).prompts.tokens == 0


@pytest.mark.parametrize("kind", ["paper", "official"])
def test_recipes_of_point_mlp(kind: str) -> None:
    """They build a PointMLP for SLIP's 512 numbers, and differ from PointTransformer's as told."""
    mlp, other = (load_config(TripletConfig, f"{kind}-{name}") for name in
                  ("point-mlp", "point-transformer"))  # fmt: skip
    encoder = build_encoder(encoder_spec(mlp.encoder))
    assert sum(p.numel() for p in encoder.parameters()) == 13_095_360
    assert encoder.embedding_dim == 512
    run = TripletRun(encoder_spec(mlp.encoder), encoder, None, mlp, Path("none"), 1)
    assert run.lr() == mlp.optimiser.lr == 1e-4
    decay = {"paper": 0.01, "official": 0.1}[kind]
    lr = {"paper": (2e-3, 1e-6), "official": (1e-2, 1e-2)}[kind]
    assert (mlp.prompts.lr, mlp.prompts.min_lr) == lr
    expected = dataclasses.replace(
        other,
        encoder="point_mlp",
        optimiser=dataclasses.replace(other.optimiser, lr=1e-4, weight_decay=decay, batch_size=32),
        prompts=dataclasses.replace(other.prompts, lr=lr[0], min_lr=lr[1]),
    )
    assert mlp == expected


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
