"""The miniature of the paper runs from end to end, and CG3D never meets an unseen class."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.data.samples import decode_view
from cg3d_training.data.shards import ShardFolder

FOLDER = Path(__file__).parents[2] / "examples" / "miniature"
MODULES = ("run", "objects", "experiments", "results")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's script, as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import run as module

    yield module
    for name in MODULES:
        sys.modules.pop(name, None)


def test_it_runs_and_goes_on_where_it_stopped(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import experiments

    trained_on: list[set[str]] = []
    pretrain = experiments.pretrain_triplets

    def watched(config: Any, *arguments: Any) -> Any:
        trained_on.append({s.record["name"] for s in ShardFolder(config.data.shards)})
        return pretrain(config, *arguments)

    monkeypatch.setattr(experiments, "pretrain_triplets", watched)
    arguments = ["-o", str(tmp_path / "out"), "--quick", "--seeds", "2", "--workers", "0"]
    done = CliRunner().invoke(run.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "both, and prompts" in done.output

    seed = tmp_path / "out" / "seed-2"
    split = json.loads((seed / "classes.json").read_text())
    assert split["unseen"]
    assert trained_on == [set(split["seen"])] * 5  # four losses, and depth maps
    assert not set(split["unseen"]) & set(split["seen"])
    for losses in (*experiments.LOSSES, experiments.DEPTH):
        folder = experiments.run_folder(tmp_path / "out", 2, losses)
        record = load_checkpoint(folder / "checkpoint.safetensors").record
        assert record["labels"] == record["captions"] == len(split["seen"])
    # The same objects, with depth maps: grey to a JPEG's rounding, on white.
    drawn, shown = (
        list(ShardFolder(tmp_path / f"out/objects/{part}")) for part in ("train", "train-depth")
    )
    assert [s.record["name"] for s in drawn] == [s.record["name"] for s in shown]
    for one, other in zip(drawn, shown, strict=True):
        places = [np.sort(s.points[:, :3].astype(float), axis=0) for s in (one, other)]
        np.testing.assert_allclose(*places, atol=2e-3)
        pixels = decode_view(other.views[0]).astype(int)
        assert np.ptp(pixels, axis=2).max() <= 2
        assert pixels[0, 0].min() > 240
    # The teacher has met all of them.
    taught = {s.record["name"] for s in ShardFolder(tmp_path / "out/objects/teacher")}
    assert taught == set(split["seen"]) | set(split["unseen"])

    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(results["zero_shot"]) == set(experiments.LOSSES)
    assert results["test_objects"]["unseen"] == [3 * len(split["unseen"])]
    (seed / "both" / "done.json").unlink()
    (tmp_path / "out" / "results.json").unlink()
    again = CliRunner().invoke(run.main, arguments, catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert len(trained_on) == 6  # the one that was not done, and nothing else
    repeated = json.loads((tmp_path / "out" / "results.json").read_text())
    assert repeated["zero_shot"] == results["zero_shot"]


def test_three_seeds_leave_out_every_class_once(run: Any) -> None:
    from experiments import unseen_classes

    names = [f"class {i}" for i in range(11)]
    for first in (1, 4):
        thirds = [unseen_classes(names, seed) for seed in range(first, first + 3)]
        assert sorted(name for third in thirds for name in third) == sorted(names)
    assert unseen_classes(names, 1) != unseen_classes(names, 4)


def test_families_are_words_of_names(run: Any) -> None:
    from objects import mesh_families

    names = ["bar table", "table", "tablet", "office chair", "table lamp", "lamp", "lamp"]
    families = ["table", "chair", "lamp"]
    assert mesh_families(names, families, 2) == [
        "table", "table", None, None, "lamp", "lamp", "lamp"
    ]  # fmt: skip


def test_spreads_are_of_the_seeds(run: Any, tmp_path: Path) -> None:
    from experiments import run_folder
    from results import as_markdown, collect

    for seed, right in ((1, 0.5), (2, 0.7)):
        for job in ("points-image", "points-text", "both", "both-prompts", "depth"):
            own = right + (0.1 if job == "both-prompts" else 0.0)
            one = {"accuracy": own, "chance": 0.25, "objects": 8, "right": 1}
            kinds = [a + b for a in ("", "pictures_", "depth_maps_") for b in ("unseen", "seen")]
            run.write_json(
                run_folder(tmp_path, seed, job) / "done.json",
                {"cpu_seconds": 1.0} | dict.fromkeys(kinds, one),
            )
        for start, gain in (("scratch", 0.0), ("cg3d", 0.1 * seed)):
            for share in ("10%", "100%"):
                run.write_json(
                    tmp_path / f"seed-{seed}" / f"finetune-{start}-{share}" / "done.json",
                    {"accuracy": 0.4 + gain, "objects": 5, "cpu_seconds": 1.0},
                )
    results = collect(tmp_path, [1, 2], {"objects": "none"})
    both = results["zero_shot"]["both"]["unseen"]
    assert (both["mean"], both["seeds"]) == (pytest.approx(0.6), [0.5, 0.7])
    assert both["std"] == pytest.approx(0.1 * 2**0.5)
    table = as_markdown(results)
    assert "| both (eq. 7) | 60.0 ± 14.1 | 60.0 ± 14.1 |  |" in table
    assert "| both, and prompts (eq. 9) | 70.0 ± 14.1 | 70.0 ± 14.1 | +10.0 ± 0.0 |" in table
    assert "| *teacher on depth maps, with prompts* | 70.0 ± 14.1 | 70.0 ± 14.1 | |" in table
    assert "| both, and prompts, on depth maps | 60.0 ± 14.1 | 60.0 ± 14.1 | |" in table
    assert "| 10% (5) | 40.0 ± 0.0 | 55.0 ± 7.1 | +15.0 ± 7.1 |" in table
