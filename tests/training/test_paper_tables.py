"""Tables 2 and 3 and Figure 5: collected from runs, against numbers counted by hand."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from small_benchmarks import write_hdf5, write_variants
from small_clip import small_teacher
from small_encoders import TINY

from cg3d_training.checkpoint import Checkpoint, cpu_state, load_checkpoint, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.config import OptimiserConfig
from cg3d_training.encoders import EncoderSpec, build_encoder, encoder_spec
from cg3d_training.finetuning.config import FinetuneConfig, LabelledConfig, VotingConfig
from cg3d_training.finetuning.finetune import finetune
from cg3d_training.paper.reported import TABLE_2, TABLE_3
from cg3d_training.triplets.config import TripletConfig
from cg3d_training.triplets.pretrain import pretrain_triplets


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["table", *map(str, arguments)])


def result_of(
    folder: Path, seeds: dict[int, float], encoder: str = "point_transformer",
    start: str | None = None, name: str = "modelnet40", share: float = 1.0,
) -> Path:  # fmt: skip
    """What `finetune` writes in the end, as far as tables ask for it."""
    folder.mkdir(parents=True)
    data = {"set": name, "folder": "/sets/mine", "share": share}
    answers = [
        {"seed": seed, "objects": int(9843 * share), "plain": {"overall": overall}, "voted": None}
        for seed, overall in seeds.items()
    ]
    recipe = {"encoder": encoder, "start": start, "data": data}
    content = {"recipe": recipe, "over_seeds": {}, "seeds": answers}
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_table_2_by_hand(tmp_path: Path) -> None:
    result_of(tmp_path / "all/scratch", {1: 0.90, 2: 0.92, 3: 0.91})
    result_of(tmp_path / "all/cg3d", {1: 0.93}, start="a.safetensors")
    result_of(tmp_path / "all/cg3d-more", {2: 0.95}, start="a.safetensors")
    result_of(tmp_path / "all/small", {1: 0.5}, share=0.1)
    mlp = result_of(tmp_path / "mlp", {7: 0.8}, "point_mlp", "b", "scanobjectnn")
    own = result_of(tmp_path / "own", {7: 0.7}, "point_mlp", "b", "npz")
    (tmp_path / "all/results.json").write_text('{"of": "something else"}')
    found = run("2", tmp_path / "all", mlp, own)
    assert found.exit_code == 0, found.output
    deviation = statistics.stdev([93, 95])
    assert found.output.splitlines() == [
        "| encoder | start | modelnet40 | the paper | scanobjectnn | the paper | mine "
        "| the paper |",
        "|---|---|---|---|---|---|---|---|",
        "| point_transformer | scratch | 91.00% ± 1.00 (3 runs) | 91.62 ± 0.29 | - | 75.56 ± 0.24 "
        "| - | - |",
        f"| point_transformer | cg3d | 94.00% ± {deviation:.2f} (2 runs) | 92.93 ± 0.06 | - "
        "| 80.95 ± 0.54 | - | - |",
        "| point_mlp | cg3d | - | 93.35 ± 0.18 | 80.00% (1 run) | 85.78 ± 0.75 | 70.00% (1 run) "
        "| - |",
    ]
    assert TABLE_2[("point_mlp", "scratch")]["modelnet40"] == (92.61, 0.13)
    assert len(json.loads(run("2", tmp_path / "all", "--json").stdout)) == 6
    twice = result_of(tmp_path / "twice", {3: 0.9})
    assert "seed 3 of point_transformer from scratch" in run("2", tmp_path / "all", twice).output
    assert "without voting" in run("2", mlp, "--voted").output
    assert "no run has learnt from the whole" in run("2", tmp_path / "all/small").output
    (mlp / "results.json").write_text('{"recipe": {}, "over_seeds": {}}')
    assert "not the result of a fine-tuning" in run("2", mlp).output
    (mlp / "results.json").unlink()
    assert "no results.json of" in run("2", mlp).output


def test_figure_5_by_hand(tmp_path: Path) -> None:
    result_of(tmp_path / "a", {1: 0.50, 2: 0.60}, share=0.1)
    result_of(tmp_path / "b", {1: 0.55, 2: 0.69, 3: 0.9}, start="x", share=0.1)
    result_of(tmp_path / "c", {1: 0.80}, share=0.5)
    found = run("figure5", tmp_path)
    assert found.exit_code == 0, found.output
    gain = statistics.stdev([5, 9])
    assert found.output.splitlines()[2:] == [
        f"| point_transformer | modelnet40 | 10% (984) | 55.00% ± {statistics.stdev([50, 60]):.2f} "
        f"(2 runs) | 71.33% ± {statistics.stdev([55, 69, 90]):.2f} (3 runs) | +7.00 ± {gain:.2f} |",
        "| point_transformer | modelnet40 | 50% (4921) | 80.00% (1 run) | - | - |",
    ]
    picture = tmp_path / "pictures" / "five.png"
    drawn = run("figure5", tmp_path, "--plot", picture)
    assert drawn.exit_code == 0, drawn.output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_of_finetune_come_to_tables(tmp_path: Path) -> None:
    """Real runs, two seeds of two shares, on a set in our own layout."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "classes.txt").write_text("ball\nplate")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        labels = np.arange(16) % 2
        points = rng.normal(size=(16, 80, 3)) * np.where(labels, 0.05, 1)[:, None, None] ** [
            0,
            1,
            0,
        ]
        np.savez(folder / f"{split}.npz", points=points, labels=labels)
    config = FinetuneConfig(
        encoder_sizes=TINY, seeds=(1, 2), data=LabelledConfig("npz", str(folder), candidates=70),
        optimiser=OptimiserConfig(epochs=1, batch_size=4), voting=VotingConfig(views=1),
    )  # fmt: skip
    overall = {}
    for share in (0.5, 1.0):
        data = dataclasses.replace(config.data, share=share)
        done = finetune(dataclasses.replace(config, data=data), tmp_path / f"runs/{share}")
        overall[share] = done.spread("overall"), done.spread("overall", voted=True)
    plain, voted = overall[1.0]
    assert f"| scratch | {plain} (2 runs) | - |" in run("2", tmp_path / "runs").output
    assert f"| scratch | {voted} (2 runs) | - |" in run("2", tmp_path / "runs", "--voted").output
    lines = run("figure5", tmp_path / "runs").output
    assert f"| 50% (8) | {overall[0.5][0]} (2 runs) | - |" in lines
    assert f"| 100% (16) | {plain} (2 runs) | - |" in lines


def test_table_2_and_figure_5_from_the_published_layouts(tmp_path: Path) -> None:
    """By commands alone: `finetune` on both sets as they are published, then `table`."""
    sets = {"modelnet40": tmp_path / "modelnet40_ply_hdf5_2048", "scanobjectnn": tmp_path / "h5"}
    for folder in sets.values():
        folder.mkdir()
    write_hdf5(sets["modelnet40"], 80)
    write_variants(sets["scanobjectnn"])
    start = tmp_path / "start.safetensors"
    base = encoder_spec("point_transformer")
    spec = EncoderSpec(base.architecture, base.sizes | TINY)
    weights = cpu_state(build_encoder(spec))
    save_checkpoint(start, Checkpoint(spec, weights, torch.zeros(512), 10.0, {}, {}))
    recipe = tmp_path / "small.yaml"
    recipe.write_text(json.dumps({
        "encoder": "point_transformer", "encoder_sizes": TINY, "seeds": [1, 2],
        "optimiser": {"epochs": 1, "batch_size": 8}, "voting": {"views": 0},
        "data": {"candidates": 64},
    }))  # fmt: skip

    def tuned(name: str, *more: str) -> list[float]:
        out = tmp_path / "runs" / f"{name}{''.join(more)}".replace("/", "_")
        done = CliRunner().invoke(main, [
            "finetune", "--config", str(recipe), "-o", str(out), "--device", "cpu", "--set",
            f"data.set={name}", "--set", f"data.folder={sets[name]}", *more,
        ])  # fmt: skip
        assert done.exit_code == 0, done.output
        seeds = json.loads((out / "results.json").read_text())["seeds"]
        return [100 * seed["plain"]["overall"] for seed in seeds]

    def cell(values: list[float]) -> str:
        return f"{statistics.mean(values):.2f}% ± {statistics.stdev(values):.2f} (2 runs)"

    found = {
        (name, way): cell(tuned(name, *more))
        for name in sets
        for way, more in (("scratch", ()), ("cg3d", ("--from", str(start))))
    }
    half = tuned("modelnet40", "--set", "data.share=0.5")
    lines = run("2", tmp_path / "runs").output.splitlines()
    for line, way in zip(lines[2:], ("scratch", "cg3d"), strict=True):
        paper = TABLE_2["point_transformer", way]
        cells = [
            f"{found[name, way]} | {paper[name][0]:.2f} ± {paper[name][1]:.2f}"
            for name in ("modelnet40", "scanobjectnn")
        ]
        assert line == f"| point_transformer | {way} | {' | '.join(cells)} |"
    curves = run("figure5", tmp_path / "runs", "--plot", tmp_path / "five.png").output
    assert f"| point_transformer | modelnet40 | 50% (40) | {cell(half)} | - | - |" in curves
    assert f"| 100% (80) | {found['modelnet40', 'scratch']} |" in curves
    assert (tmp_path / "five.png").is_file()


def test_table_3(config: TripletConfig, household: Path, tmp_path: Path) -> None:
    """One real run; the others are the same weights with other recipes, so equal in accuracy."""
    weights = tmp_path / "clip.safetensors"
    save_file(small_teacher().model.state_dict(), weights)
    teacher = dataclasses.replace(config.teacher, weights=str(weights))
    optimiser = dataclasses.replace(config.optimiser, epochs=1)
    made = pretrain_triplets(
        dataclasses.replace(config, teacher=teacher, optimiser=optimiser), tmp_path / "runs/all"
    )

    def other(name: str, seed: int = 1, tokens: int = 0, **loss: Any) -> Checkpoint:
        recipe = made.recipe | {
            "seed": seed, "prompts": made.recipe["prompts"] | {"tokens": tokens},
            "loss": made.recipe["loss"] | loss,
        }  # fmt: skip
        checkpoint = dataclasses.replace(made, recipe=recipe)
        save_checkpoint(tmp_path / "runs" / name / "checkpoint.safetensors", checkpoint)
        return checkpoint

    other("images", texts=False)
    other("texts", images=False)
    other("again", 2, images=False)
    scans = tmp_path / "h5_files"
    scans.mkdir()
    write_variants(scans)
    found = run("3", tmp_path / "runs", "--dataset", "scanobjectnn", "--data", tmp_path)
    assert found.exit_code == 0, found.output
    rows = [line.split(" | ") for line in found.stdout.splitlines()[2:]]
    assert [(*row[:3], row[4], row[5]) for row in rows] == [
        ("| yes", "-", "-", "1", f"{TABLE_3[True, False, False]} |"),
        ("| -", "yes", "-", "2", "19.7 |"),
        ("| yes", "yes", "-", "0", "23.9 |"),
        ("| yes", "yes", "yes", "1", "25.6 |"),
    ]
    assert " scanobjectnn | runs |" in found.stdout
    single = json.loads(run("3", tmp_path / "runs/all", "--dataset", scans, "--json").stdout)
    assert rows[1][3] == f"{single[0]['top1']:.2%} ± 0.00"
    assert rows[2][3] == "-"
    assert "give --dataset" in run("3", tmp_path / "runs").output
    assert "no finished run" in run("3", household, "--dataset", household).output
    other("images again", texts=False)
    twice = run("3", tmp_path / "runs", "--dataset", household)
    assert twice.exit_code == 1
    assert "seed 1 of the same losses is in" in twice.output
    assert load_checkpoint(tmp_path / "runs/all/checkpoint.safetensors").recipe["seed"] == 1
