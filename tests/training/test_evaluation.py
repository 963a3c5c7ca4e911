"""The whole of `cg3d-train evaluate` on a small set: tasks, tables, pictures, the command."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from small_encoders import TINY

from cg3d_runtime.errors import DependencyError, TrainingError
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.shipped import default_bundle
from cg3d_training.cli.main import main
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary
from cg3d_training.data.curated import read_curated
from cg3d_training.evaluation import plots
from cg3d_training.evaluation.corruptions import CORRUPTIONS
from cg3d_training.evaluation.run import Report, evaluate
from cg3d_training.evaluation.subjects import open_subjects
from cg3d_training.evaluation.table import markdown, plain
from cg3d_training.evaluation.tasks import MODELNET40, POINTS_KEPT, SCANOBJECTNN, VIEWS

SHAPES = ("table", "ball", "ladder", "box")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text vectors of all benchmark classes, and of what the small set holds."""
    folder = tmp_path_factory.mktemp("words")
    names = [name.replace("_", " ") for name in (*MODELNET40, *SCANOBJECTNN)]
    names = list(dict.fromkeys([*SHAPES, *names, "cabinet", "cd player"]))
    (folder / "names.json").write_text(json.dumps({"list": [{"name": n} for n in names]}))
    np.savez(folder / "v.npz", list=np.random.default_rng(0).normal(size=(len(names), 512)))
    return folder


class Judge:
    """Tells the four shapes by their extents, upright; a flat thing lying still is a table."""

    def __init__(self, vocabulary: Vocabulary, name: str, hidden: Sequence[str] = ()) -> None:
        self.name = name
        self.bank = TextBank(
            vocabulary.labels, vocabulary.aliases, np.eye(len(vocabulary.labels)), 10.0
        )
        self.parameters = 12_000_000
        self.record = {"hidden": {"names": list(hidden)}} if hidden else {}

    def embed(self, clouds: Sequence[NDArray[np.float32]], up: str) -> NDArray[np.float32]:
        rows = []
        for cloud in clouds:
            wide, high, deep = np.ptp(cloud, axis=0)
            radii = np.linalg.norm(cloud - cloud.mean(axis=0), axis=1)
            if high < 0.2 * wide:
                kind = "table"
            elif high > 3 * max(wide, deep):
                kind = "ladder"
            else:
                kind = "ball" if radii.std() < 0.08 * radii.mean() else "box"
            rows.append(self.bank.vectors[self.bank.index(kind)])
        return np.stack(rows)


@pytest.fixture(scope="module")
def report(household: Path, words: Path) -> Report:
    vocabulary = load_vocabulary(words)
    return evaluate(Judge(vocabulary, "judge", SHAPES[:2]), household, vocabulary)


def test_every_task_is_asked(report: Report) -> None:
    found = {r.task: r for r in report.results}
    # Three tables in the test split have a ModelNet40 class, no object has one of ScanObjectNN.
    assert list(found) == [
        "ModelNet40 names", "whole vocabulary",
        "ModelNet40 names, random yaw", "whole vocabulary, random yaw",
        "ModelNet40 names, yaw, tilt of 15 degrees", "whole vocabulary, yaw, tilt of 15 degrees",
        "ModelNet40 names, any rotation", "whole vocabulary, any rotation",
        "ModelNet40 names, single partial view", "whole vocabulary, single partial view",
        "names never seen, random yaw", "names never seen, single partial view",
    ]  # fmt: skip
    whole = found["whole vocabulary"]
    assert (whole.objects, whole.clouds, whole.labels) == (12, 12, len(report.embeddings[0]))
    turned = found["ModelNet40 names, random yaw"]
    assert (turned.objects, turned.clouds, turned.labels) == (3, 3 * VIEWS, 40)
    assert turned.top1 == 1.0  # flat, however it is turned
    assert found["ModelNet40 names, any rotation"].top1 < 0.5
    # Of both splits: 15 tables, 15 balls.
    unseen = found["names never seen, random yaw"]
    assert (unseen.objects, unseen.labels) == (30, 2)
    assert set(unseen.per_class) == {"table", "ball"}
    assert unseen.top1 == 1.0
    assert report.classes == ("table",) * 3
    assert len(report.embeddings) == 3


def test_every_sweep_is_there(report: Report) -> None:
    steps = [(p.sweep, p.at) for p in report.sweeps]
    assert steps == [
        *(("points kept", n) for n in POINTS_KEPT),
        ("clean", 0),
        *((kind, severity) for kind in CORRUPTIONS for severity in (1, 2, 3, 4, 5)),
    ]
    top1 = {step: p.result.top1 for step, p in zip(steps, report.sweeps, strict=True)}
    assert top1["clean", 0] == top1["drop global", 5] == 1.0
    # The table is 0.02 thick and 2 wide; points anywhere in the unit ball make it a box.
    assert top1["add global", 5] == 0.0


def test_results_do_not_depend_on_what_else_is_asked(
    report: Report, household: Path, words: Path
) -> None:
    vocabulary = load_vocabulary(words)
    alone = evaluate(Judge(vocabulary, "judge"), household, vocabulary, parts=("views",))
    assert alone.results == report.results[8:10]
    with pytest.raises(TrainingError, match="nothing to ask judge"):
        evaluate(Judge(vocabulary, "judge"), household, vocabulary, parts=("hidden",))


def test_tables_hold_what_was_counted(report: Report) -> None:
    text = markdown([report])
    turned = next(r for r in report.results if r.task == "whole vocabulary, random yaw")
    low, high = turned.top1_interval
    assert (
        f"| whole vocabulary, random yaw | 12 | {turned.labels} | {turned.top1:.1%} ({low:.1%} to "
        f"{high:.1%}) | {turned.top3:.1%} | {turned.top5:.1%} |"
    ) in text.splitlines()
    jitter = [p.result.top1 for p in report.sweeps if p.sweep == "jitter"]
    cells = " | ".join(f"{share:.1%}" for share in [*jitter, np.mean(jitter)])
    assert f"| jitter | judge | {cells} |" in text.splitlines()
    swept = [p.result.top1 for p in report.sweeps if p.sweep in CORRUPTIONS]
    assert "judge: 12.00 M parameters, evaluated in" in text
    assert f"| mean of all | judge | | | | | | {np.mean(swept):.1%} |" in text
    for block in text.split("\n\n")[:3]:
        assert len({line.count("|") for line in block.splitlines()}) == 1
    (back,) = json.loads(json.dumps(plain([report])))
    assert back["results"][0]["task"] == "ModelNet40 names"
    assert len(back["sweeps"]) == len(report.sweeps)


def test_reports_stand_side_by_side(report: Report, household: Path, words: Path) -> None:
    vocabulary = load_vocabulary(words)
    other = evaluate(
        Judge(vocabulary, "other", SHAPES[2:]), household, vocabulary, parts=("whole", "hidden")
    )
    lines = markdown([report, other]).splitlines()
    assert "judge: top-1 (95 % interval) | top-5 | other: top-1" in lines[0]
    yawed = next(line for line in lines if line.startswith("| whole vocabulary, random yaw"))
    assert yawed.endswith("|  |  |")  # not asked of the other
    both = [
        next(r.top1 for r in x.results if r.task == "names never seen, random yaw")
        for x in (report, other)
    ]
    assert f"names never seen, random yaw, mean of 2 runs: {np.mean(both):.1%}" in lines


@pytest.mark.parametrize("subjects", [1, 2])
def test_pictures_are_drawn(
    report: Report, tmp_path: Path, subjects: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="the extra [plots] is not installed")
    grid = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    monkeypatch.setattr(plots, "embedding_map", lambda embeddings: grid[: len(embeddings)])
    names = ("judge", "runs/a b/judge")[:subjects]
    reports = [
        Report(n, 1, report.results, report.sweeps, 1.0, report.embeddings, report.classes)
        for n in names
    ]
    written = plots.write_plots(reports, tmp_path / "plots")
    tags = [""] if subjects == 1 else ["-judge", "-runs-a-b-judge"]
    assert sorted(f.name for f in written) == sorted(
        ["points-kept.png", "corruptions.png"]
        + [f"{what}{tag}.png" for what in ("confusion", "embeddings") for tag in tags]
    )
    for file in written:
        with Image.open(file) as picture:
            assert len(picture.convert("L").getcolors()) > 10
        assert file.stat().st_size < 200_000


def test_a_map_keeps_neighbours_together() -> None:
    pytest.importorskip("umap", reason="the extra [plots] is not installed")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 32))
    own = np.repeat(np.arange(3), 20)
    embeddings = (centres[own] + 0.05 * rng.normal(size=(60, 32))).astype(np.float32)
    xy = plots.embedding_map(embeddings)
    apart = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (own[apart.argmin(axis=1)] == own).all()
    np.testing.assert_array_equal(xy, plots.embedding_map(embeddings))


def test_a_missing_package_is_said_before_any_work(
    words: Path, household: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = importlib.import_module

    def without(name: str, package: str | None = None) -> ModuleType:
        if name == "umap":
            raise ImportError("no umap")
        return genuine(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(DependencyError, match=r"pip install 'cg3d-sdk\[plots\]'"):
        plots.embedding_map(np.zeros((4, 2), np.float32))
    arguments = [
        "evaluate", "--household", str(household), "--clip-text", str(words),
        "--plots", str(tmp_path),
    ]  # fmt: skip
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code != 0
    assert "[plots]" in found.output


def test_checkpoints_are_measured_with_their_hidden_names(
    household: Path, words: Path, tmp_path: Path
) -> None:
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        train = [
            "pretrain", "--config", "household-small", "-o", str(tmp_path / run), "--threads", "1",
            "--set", f"data.household={household}", "--set", f"data.clip_text={words}",
            "--set", "data.hide=[table, ball]", "--set", f"encoder_sizes={json.dumps(TINY)}",
            "--set", "optimiser.epochs=1", "--set", "optimiser.batch_size=8",
            "--set", "precision=fp32", "--set", "data.orders=1",
            "--set", "data.names=rule", "--set", "data.generated=0", "--set", "data.clutter=0",
            "--set", "encoder=point_transformer_small", "--set", "data.partial=0",
        ]  # fmt: skip
        done = CliRunner().invoke(main, train)
        assert done.exit_code == 0, done.output
    # A folder of a run stands for its checkpoint.
    files = [str(tmp_path / "one" / "checkpoint.safetensors"), str(tmp_path / "two")]
    ask = ["evaluate", *files, "--part", "hidden", "--household", str(household)]
    found = CliRunner().invoke(main, [*ask, "--clip-text", str(words)])
    assert found.exit_code == 0, found.output
    assert "| names never seen, random yaw | 30 | 2 |" in found.stdout
    assert "one: top-1 (95 % interval)" in found.stdout
    assert "names never seen, single partial view, mean of 2 runs:" in found.stdout
    vocabulary = load_vocabulary(words)
    narrow = Vocabulary(vocabulary.labels, vocabulary.aliases, vocabulary.vectors[:, :300])
    with pytest.raises(TrainingError, match=r"512 numbers.* 300"):
        open_subjects([tmp_path / "one"], narrow)
    with pytest.raises(TrainingError, match="--clip-text"):
        open_subjects([tmp_path / "one"], None)


def test_equal_names_become_paths() -> None:
    shipped = default_bundle()
    found = open_subjects([shipped, shipped], None)
    assert [s.name for s in found] == ["household-small", str(shipped)]
    assert found[0].parameters == 3_256_256


def test_names_written_by_hand_are_asked_too(household: Path, words: Path) -> None:
    vocabulary = load_vocabulary(words)
    families = """family,use,labels,caption
toy ball,keep,ball,
work bench,keep,bench; table,
ladder,keep,,rope ladder
side,clutter,box,
"""
    kinds = [("ball", "toy ball"), ("table", "work bench"), ("ladder", "ladder"), ("box", "side")]
    rows = "".join(f"made,{kind} number,,{family}\n" for kind, family in kinds)
    table = read_curated(vocabulary, "set,name,id,family\n" + rows, families)
    judge = Judge(vocabulary, "judge")
    report = evaluate(judge, household, vocabulary, parts=("rotations",), curated=table)
    found = {r.task: r for r in report.results}
    first = found["whole vocabulary, curated, random yaw"]
    true = found["whole vocabulary, curated, any true label, random yaw"]
    # Three balls and three tables, which are called "table" and first of all a bench.
    assert (first.objects, first.clouds, first.top1) == (6, 6 * VIEWS, 0.5)
    assert (true.objects, true.clouds, true.top1) == (6, 6 * VIEWS, 1.0)
    assert found["whole vocabulary, random yaw"].objects == 12
