"""`cg3d classify`: a line a file, faults beside them, JSON, labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner, Result
from stand_in import StandIn

from cg3d_runtime.engines.choose import EngineChoice
from cg3d_sdk.cli.main import main
from cg3d_sdk.cli.options import ENGINES


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    monkeypatch.setattr("cg3d_sdk.recognizer.Recognizer", StandIn)
    monkeypatch.setattr(StandIn, "made", [])
    return StandIn


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    points = np.random.default_rng(0).normal(size=(40, 3))
    points[:3] = np.nan
    np.save(tmp_path / "scan.npy", points)
    return tmp_path / "scan.npy"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_a_line_for_each_file(cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.xyz").write_text("".join(f"{i} {i * i} 0\n" for i in range(20)))
    result = run("classify", cloud.name, "b.xyz", "--top", 3)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "scan.npy  mug 70.0 %  | bowl 20.0 %, chair 6.0 %  (3 rows dropped)",
        "b.xyz     mug 70.0 %  | bowl 20.0 %, chair 6.0 %",
    ]
    assert result.stderr == ""


def test_a_file_that_fails_lets_the_others_go_on(cloud: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "nan.npy", np.full((30, 3), np.nan))
    missing = tmp_path / "missing.ply"
    result = run("classify", missing, cloud, tmp_path / "nan.npy", "--top", 1)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].split()[1:4] == ["mug", "70.0", "%"]
    first, second = result.stderr.splitlines()
    assert first == f"Error: {missing}: no such file"
    assert second.startswith(f"Error: {tmp_path / 'nan.npy'}: 0 finite points left")


def test_a_file_that_may_not_be_read_lets_the_others_go_on(
    cloud: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # to root everything is readable
    assert run("classify", cloud, "--top", 1).exit_code == 0


def test_json_is_one_document(cloud: Path, tmp_path: Path) -> None:
    result = run("classify", cloud, tmp_path / "no.pcd", "--json", "--top", 2)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document == {
        "bundle": "stand-in",
        "engine": "none",
        "up": "z",
        "labels": 4,
        "reject": None,
        "results": [
            {
                "file": str(cloud),
                "points": 40,
                "faces": 0,
                "label": "mug",
                "score": 0.7,
                "known": True,
                "familiarity": None,
                "ranking": [{"label": "mug", "score": 0.7}, {"label": "bowl", "score": 0.2}],
                "dropped": 3,
            }
        ],
        "errors": [{"file": str(tmp_path / "no.pcd"), "error": "no such file"}],
    }


def test_options_reach_the_recognizer(cloud: Path, stand_in: type[StandIn]) -> None:
    result = run(
        "classify", cloud, "--labels", " chair, bowl ,", "--up", "y", "--engine", "cpu",
        "--bundle", "some/where", "--reject", 0.1,
    )  # fmt: skip
    assert result.exit_code == 0
    assert stand_in.made == [
        {
            "bundle": Path("some/where"),
            "labels": ["chair", "bowl"],
            "up": "y",
            "engine": "cpu",
            "reject": 0.1,
        }
    ]
    assert "chair 70.0 %" in result.stdout


def test_labels_from_a_file(cloud: Path, tmp_path: Path, stand_in: type[StandIn]) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\ufeffbowl\n# vessels\n\n  mug  # with a handle\n")
    assert run("classify", cloud, "--labels-file", names).exit_code == 0
    assert stand_in.made[0]["labels"] == ["bowl", "mug"]


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (["--labels", "unicorn"], 1, "Error: 'unicorn' is not among the 4 names"),
        (["--labels", " , "], 1, "Error: --labels names no labels"),
        (["--labels-file", "nowhere.txt"], 1, "Error: nowhere.txt: cannot be read"),
        (["--labels", "mug", "--labels-file", "x"], 2, "not both"),
        (["--up", "x"], 2, "--up"),
        (["--top", "0"], 2, "--top"),
    ],
)
def test_wrong_options(cloud: Path, options: list[str], status: int, reason: str) -> None:
    result = run("classify", cloud, *options)
    assert result.exit_code == status
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_meshes_read_as_z_up_are_mentioned(tmp_path: Path) -> None:
    trimesh.creation.box().export(tmp_path / "box.stl")
    assert "--up y" in run("classify", tmp_path / "box.stl").stderr
    assert run("classify", tmp_path / "box.stl", "--up", "z").stderr == ""


def test_a_file_name_cannot_drive_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred.npy"
    np.save(path, np.random.default_rng(0).normal(size=(20, 3)))
    result = run("classify", path, tmp_path / "\x1b[2Jgone.npy")
    assert "\x1b" not in result.output
    assert "\N{REPLACEMENT CHARACTER}[31mred.npy" in result.stdout


def test_the_engines_offered_are_those_that_exist() -> None:
    assert get_args(EngineChoice) == ENGINES
