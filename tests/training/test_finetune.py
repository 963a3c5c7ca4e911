"""Fine-tuning on four kinds of shapes: it learns, repeats itself, resumes and counts rightly."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_encoders import TINY
from timm.scheduler import CosineLRScheduler
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import Checkpoint, cpu_state, load_checkpoint, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.config import OptimiserConfig
from cg3d_training.data.augment import Augmentation
from cg3d_training.data.candidates import Candidates
from cg3d_training.data.shares import every_nth, stratified
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder
from cg3d_training.encoders.classifier import classifier_spec, load_body
from cg3d_training.finetuning.classification import class_report, class_table, confusion_table
from cg3d_training.finetuning.config import FinetuneConfig, LabelledConfig, VotingConfig
from cg3d_training.finetuning.finetune import finetune
from cg3d_training.finetuning.voting import plain_logits, voted_logits
from cg3d_training.runs.optimiser import learning_rate
from cg3d_training.runs.run import Run

MLP = {
    "points": 32, "width": 8, "expansion": [2, 1], "reduction": [2, 2], "neighbours": [4, 4],
    "blocks_before": [1, 1], "blocks_after": [1, 1],
}  # fmt: skip
KINDS = ("ball", "box", "plate", "stick")
STILL = Augmentation(probability=0.0, scale=(1.0, 1.0), shift=0.0)


def shape(kind: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.uniform(-1, 1, (100, 3))
    if kind == 0:
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points * [[1, 1, 1], [1, 1, 1], [1, 0.05, 1], [0.1, 1, 0.1]][kind]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(3)
    (folder / "classes.txt").write_text("\n".join(KINDS))
    for split, count in (("train", 40), ("test", 24)):
        labels = np.arange(count) % 4
        np.savez(folder / f"{split}.npz", points=[shape(k, rng) for k in labels], labels=labels)
    return folder


@pytest.fixture
def config(shapes: Path) -> FinetuneConfig:
    return FinetuneConfig(
        encoder_sizes=TINY,
        seeds=(1,),
        data=LabelledConfig("npz", str(shapes), candidates=80),
        optimiser=OptimiserConfig(epochs=3, batch_size=8, lr=2e-3),
        voting=VotingConfig(views=2),
    )


def change(config: FinetuneConfig, section: str, **values: Any) -> FinetuneConfig:
    part = dataclasses.replace(getattr(config, section), **values)
    return dataclasses.replace(config, **{section: part})


def test_it_learns(config: FinetuneConfig, tmp_path: Path) -> None:
    # 160 steps: the running statistics of batch norm begin far from the truth.
    result = finetune(change(config, "optimiser", epochs=32), tmp_path)
    (seed,) = result.seeds
    assert seed.plain.overall > 0.6
    assert seed.voted is not None
    assert seed.voted.overall > 0.6
    assert result.spread("overall").std is None


def test_what_is_written(config: FinetuneConfig, tmp_path: Path) -> None:
    config = change(dataclasses.replace(config, seeds=(1, 2)), "data", validation=0.2)
    result = finetune(config, tmp_path)
    overall = [seed.plain.overall for seed in result.seeds]
    spread = result.spread("overall")
    assert spread.mean == pytest.approx(sum(overall) / 2)
    assert spread.std == pytest.approx(statistics.stdev(overall))

    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["over_seeds"]["plain"]["overall"]["mean"] == spread.mean
    assert saved["recipe"]["seeds"] == [1, 2]
    assert saved["seeds"][0]["objects"] == 32
    assert np.sum(saved["seeds"][1]["plain"]["confusion"]) == 24
    log = [json.loads(x) for x in (tmp_path / "seed-2" / "log.jsonl").read_text().splitlines()]
    assert len(log) == 3
    best = result.seeds[1].best
    assert best is not None
    assert best.validation == max(entry["validation"] for entry in log)
    assert log[best.epoch]["validation"] == best.validation
    report = (tmp_path / "report.md").read_text()
    assert f"| 2 | 32 | {overall[1]:.2%} |" in report
    assert "Confusion" in report

    checkpoint = load_checkpoint(tmp_path / "seed-1" / "checkpoint.safetensors")
    assert checkpoint.record["classes"] == list(KINDS)
    assert checkpoint.record["torch"] == torch.__version__
    assert checkpoint.build().embedding_dim == 4


def test_same_seed_same_weights(config: FinetuneConfig, tmp_path: Path) -> None:
    files = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        finetune(dataclasses.replace(config, seeds=(seed,)), tmp_path / folder)
        file = tmp_path / folder / f"seed-{seed}" / "checkpoint.safetensors"
        files.append(load_checkpoint(file).state_dict)
    assert all(torch.equal(files[0][k], files[1][k]) for k in files[0])
    assert not torch.equal(files[0]["cls_pos"], files[2]["cls_pos"])


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_an_interrupted_run_ends_like_an_unbroken_one(
    config: FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    config = change(config, "optimiser", kind=kind, epochs=4, ema=0.3)
    config = change(dataclasses.replace(config, seeds=(1, 2)), "data", validation=0.2)
    whole = finetune(config, tmp_path / "whole")

    finish = Run.finish_epoch

    def finish_then_break(run: Run, entry: dict[str, Any]) -> None:
        finish(run, entry)
        if run.epoch == 2 and run.output.name == "seed-2":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_epoch", finish_then_break)
        with pytest.raises(KeyboardInterrupt):
            finetune(config, tmp_path / "broken")
    resumed = finetune(config, tmp_path / "broken", resume=True)
    assert resumed == whole
    for name in ("seed-1/checkpoint", "seed-2/checkpoint", "seed-2/best"):
        one, other = (
            load_checkpoint(tmp_path / run / f"{name}.safetensors").state_dict
            for run in ("whole", "broken")
        )
        assert all(torch.equal(one[key], other[key]) for key in one), name


def test_sgd_is_nesterovs(config: FinetuneConfig, tmp_path: Path) -> None:
    config = change(config, "optimiser", kind="sgd", momentum=0.8, weight_decay=0.01)
    spec = classifier_spec(EncoderSpec("point_transformer", TINY), 4)
    run = Run(spec, build_encoder(spec), config, tmp_path, 1)
    weight, first = run.encoder.norm.weight, run.encoder.reduce_dim.weight
    velocity = torch.zeros_like(first)
    for _ in range(3):
        before, lr = first.detach().clone(), run.lr()
        run.step((weight.sum() + first.sum()) * 1e-3)
        gradient = 1e-3 + 0.01 * before
        velocity = 0.8 * velocity + gradient
        expected = before - lr * (gradient + 0.8 * velocity)
        torch.testing.assert_close(first.detach(), expected)


def test_warm_up_and_cosine_are_timms() -> None:
    config = OptimiserConfig(epochs=40, lr=0.02, min_lr=1e-6, warmup_epochs=10, warmup_lr=5e-3)
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.02)
    schedule = CosineLRScheduler(
        optimiser, t_initial=30, lr_min=1e-6, warmup_t=10, warmup_lr_init=5e-3, warmup_prefix=True
    )
    for epoch in range(40):
        schedule.step(epoch)
        assert learning_rate(config, epoch) == pytest.approx(optimiser.param_groups[0]["lr"])


@pytest.mark.parametrize("percent", [10, 20, 30, 50, 100])
def test_shares(percent: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, 3], [100, 37, 4, 1]))
    rows = stratified(labels, percent / 100, rng)
    assert len(set(rows.tolist())) == len(rows)
    expected = {
        10: [10, 4, 1, 1], 20: [20, 7, 1, 1], 30: [30, 11, 1, 1], 50: [50, 19, 2, 1],
        100: [100, 37, 4, 1],
    }[percent]  # fmt: skip
    assert np.bincount(labels[rows]).tolist() == expected

    listed = sorted(range(len(labels)), key=lambda row: labels[row])
    official = [row for i, row in enumerate(listed) if i % int(100 / percent) == 0]
    assert every_nth(labels, percent / 100).tolist() == official


def test_candidates() -> None:
    clouds = np.random.default_rng(0).normal(size=(3, 50, 3)).astype(np.float32)
    found = Candidates(clouds, 20, 30, "clouds")
    rows = np.array([2, 0])
    sphere = clouds - clouds.mean(axis=1, keepdims=True)
    sphere /= np.linalg.norm(sphere, axis=2).max(axis=1)[:, None, None]
    first = found.first(rows).numpy()
    drawn = found.draw(rows, np.random.default_rng(1)).numpy()
    again = found.draw(rows, np.random.default_rng(2)).numpy()
    assert first.shape == drawn.shape == (2, 20, 3)
    assert not np.array_equal(drawn, again)
    for i, row in enumerate(rows):
        original = {tuple(np.round(p, 4)) for p in sphere[row]}
        for cloud in (first[i], drawn[i]):
            points = {tuple(np.round(p, 4)) for p in cloud}
            assert len(points) == 20  # none twice
            assert points <= original
    with pytest.raises(TrainingError, match="encoder takes 20 points"):
        Candidates(clouds, 20, 19, "clouds")
    with pytest.raises(TrainingError, match="cloud 1 is one point"):
        Candidates(np.stack([clouds[0], np.ones_like(clouds[0])]), 20, 30, "clouds")


class Recorder(PointEncoder):
    """Logits that depend on every point and its place; keeps what it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 4))
        self.said: list[Tensor] = []

    def forward(self, points: Tensor) -> Tensor:
        places = torch.arange(points.shape[1]).float()[:, None]
        self.said.append(((points + places * points**2).sum(dim=1) @ self.weight).detach())
        return self.said[-1]

    embed_ordered = forward


def test_voting_averages_logits() -> None:
    clouds = np.random.default_rng(0).normal(size=(70, 40, 3)).astype(np.float32)
    network, pool = Recorder(), Candidates(clouds, 20, 30, "clouds")
    voted = voted_logits(network, pool, VotingConfig(views=3), np.random.default_rng(5))
    views = [torch.cat(network.said[i : i + 2]).numpy() for i in (0, 2, 4)]  # 70 = 64 + 6
    assert len(network.said) == 6
    assert not np.allclose(views[0], views[1])
    np.testing.assert_allclose(voted, (views[0] + views[1] + views[2]) / 3, rtol=1e-5)
    again = voted_logits(network, pool, VotingConfig(views=3), np.random.default_rng(5))
    np.testing.assert_array_equal(voted, again)


def test_views_of_nothing_changed_are_the_cloud_itself() -> None:
    spec = EncoderSpec("point_transformer", TINY | {"groups": 64})  # every point is a centre
    clouds = np.random.default_rng(0).normal(size=(5, 64, 3)).astype(np.float32)
    torch.manual_seed(0)
    network, pool = build_encoder(spec).eval(), Candidates(clouds, 64, 64, "clouds")
    voted = voted_logits(network, pool, VotingConfig(2, STILL), np.random.default_rng(0))
    np.testing.assert_allclose(voted, plain_logits(network, pool), atol=1e-5)


def test_counts_by_hand() -> None:
    answers, truth = [0, 1, 1, 2, 0, 0, 2], [0, 0, 1, 1, 1, 0, 2]
    logits = np.eye(4, dtype=np.float32)[answers] + np.float32([0.2, 0.1, 0.05, 0])
    names = ["ant", "bee", "cat", "dog"]
    report = class_report(logits, np.array(truth), names)
    # by eye: ant twice right, once a bee; bee once right, once a cat, once an ant; cat right
    assert report.confusion == ((2, 1, 0, 0), (1, 1, 1, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert report.overall == pytest.approx(4 / 7)
    assert report.mean_class == pytest.approx((2 / 3 + 1 / 3 + 1) / 3)
    assert report.per_class == pytest.approx({"ant": 2 / 3, "bee": 1 / 3, "cat": 1})
    assert report.top3 == 1.0  # nothing but dogs are ever fourth
    counts = np.array(report.confusion)
    table = class_table(names, counts).splitlines()
    assert table[3] == "| bee | 3 | 33.3% | ant 1, cat 1 |"
    assert len(table) == 5  # no dog
    assert confusion_table(names, counts).splitlines()[2].split() == [
        "2", "bee", "1", "1", "1", ".",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "sizes", "head"),
    [("point_transformer", TINY, "cls_head_finetune"), ("point_mlp", MLP, "classifier")],
)
@pytest.mark.parametrize("layout", ["ours", "official", "fine-tuned"])
def test_everything_but_the_head_is_taken_over(
    architecture: str, sizes: dict[str, Any], head: str, layout: str
) -> None:
    start_spec = {
        "ours": EncoderSpec(architecture, sizes),
        "official": EncoderSpec(architecture, sizes | {"head_classes": 55}),
        "fine-tuned": classifier_spec(EncoderSpec(architecture, sizes), 40),
    }[layout]
    start = build_encoder(start_spec)
    spec = classifier_spec(EncoderSpec(architecture, sizes), 7)
    network = build_encoder(spec)
    fresh = {k: v.clone() for k, v in network.state_dict().items()}
    assert load_body(network, spec, start, start_spec) == {}
    for key, value in network.state_dict().items():
        source = fresh if key.startswith(head) else start.state_dict()
        assert torch.equal(value, source[key]), key
    assert sum(k.startswith(head) for k in fresh) >= 4
    assert network.eval()(torch.randn(2, 64, 3)).shape == (2, 7)


def test_of_a_committee_the_member_that_fits_is_taken() -> None:
    wide = EncoderSpec("point_transformer", TINY | {"width": 64})
    specs = [wide, EncoderSpec("point_transformer", TINY), EncoderSpec("point_mlp", MLP)]
    members = [{"architecture": s.architecture, "sizes": s.sizes} for s in specs]
    start_spec = EncoderSpec("committee", {"members": members})
    start = build_encoder(start_spec)
    for number, its in enumerate(specs):
        spec = classifier_spec(its, 7)
        network = build_encoder(spec)
        load_body(network, spec, start, start_spec)
        key = {"point_transformer": "reduce_dim.weight", "point_mlp": "embedding.net.0.weight"}
        name = key[its.architecture]
        assert torch.equal(network.state_dict()[name], start.members[number].state_dict()[name])
    deep = classifier_spec(EncoderSpec("point_transformer", TINY | {"width": 48}), 4)
    with pytest.raises(TrainingError, match="width 64 in place of 48"):
        load_body(build_encoder(deep), deep, start, start_spec)


def test_bodies_that_do_not_fit() -> None:
    start_spec = EncoderSpec("point_transformer", TINY)
    start = build_encoder(start_spec)
    wide = classifier_spec(EncoderSpec("point_transformer", TINY | {"width": 64}), 4)
    with pytest.raises(TrainingError, match="width 32 in place of 64"):
        load_body(build_encoder(wide), wide, start, start_spec)
    mlp = classifier_spec(EncoderSpec("point_mlp", MLP), 4)
    with pytest.raises(TrainingError, match=r"trains a point_mlp.*holds a point_transformer"):
        load_body(build_encoder(mlp), mlp, start, start_spec)
    long = classifier_spec(EncoderSpec("point_transformer", TINY | {"points": 128}), 4)
    assert load_body(build_encoder(long), long, start, start_spec) == {"points": (64, 128)}


def test_one_process_only(
    config: FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="without torchrun"):
        finetune(config, tmp_path)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("data", {"share": 0.0}, "data.share should be above 0"),
        ("data", {"validation": 1.0}, "data.validation"),
        ("data", {"candidates": 60}, "data.candidates is 60.*takes 64"),
        ("data", {"set": "shrubs"}, "no labelled set is called 'shrubs'"),
        ("data", {"share": 0.01, "choice": "every_nth"}, "leaves 1 cloud"),
        ("voting", {"views": -1}, "voting.views"),
    ],
)
def test_settings_out_of_range(
    config: FinetuneConfig, tmp_path: Path, section: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        finetune(change(config, section, **values), tmp_path)


def test_the_command(config: FinetuneConfig, shapes: Path, tmp_path: Path) -> None:
    spec = EncoderSpec("point_transformer", TINY)
    start = tmp_path / "start.safetensors"
    state = cpu_state(build_encoder(spec))
    save_checkpoint(start, Checkpoint(spec, state, torch.zeros(512), 10.0, {}, {}))
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps({
        "encoder_sizes": TINY, "seeds": [4, 5], "optimiser": {"epochs": 1, "batch_size": 8},
        "data": {"set": "npz", "folder": str(shapes), "candidates": 64}, "voting": {"views": 1},
    }))  # fmt: skip
    out = tmp_path / "run"

    def command(*more: str) -> Any:
        arguments = ["finetune", "--config", str(recipe), "-o", str(out), "--device", "cpu"]
        return CliRunner().invoke(main, [*arguments, *more])

    result = command("--resume")
    assert result.exit_code == 1
    assert "no run to resume" in result.output
    result = command("--from", str(start), "--set", "data.share=0.5")
    assert result.exit_code == 0, result.output
    assert "| 5 | 20 |" in result.output
    assert "| mean ± std |" in result.output
    record = load_checkpoint(out / "seed-4" / "checkpoint.safetensors").record
    assert record["start"]["file"] == "start.safetensors"
    assert record["start"]["changed_sizes"] == {}
    assert len(record["start"]["sha256"]) == 64
    assert json.loads((out / "seed-5" / "environment.json").read_text())["cg3d_sdk"]
    assert "holds runs already" in command().output
    wider = command("--resume", "--from", str(start), "--set", "encoder_sizes.width=64")
    assert "width 32 in place of 64" in wider.output
    assert "another recipe" in command("--resume").output
    assert "'share'" in command("--set", "data.shar=1").output
    assert "no such file" in command("--resume", "--from", str(tmp_path / "none")).output
