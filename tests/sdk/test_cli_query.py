"""`cg3d query` from a file of points to lines, JSON and a page."""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner

from cg3d_sdk.cli.main import main
from cg3d_sdk.cli.output import counted


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    floor = np.column_stack([5 * rng.random((9000, 2)), np.zeros(9000)])
    file = Path(str(resources.files("cg3d_sdk") / "samples" / "chair.npz"))
    with np.load(file, allow_pickle=False) as archive:
        chair = archive["points"].astype(np.float64)
    chair = 0.5 * chair / np.abs(chair).max()
    chair += [2.0, 3.0, 0.03 - chair[:, 2].min()]
    path = tmp_path_factory.mktemp("query") / "room.npy"
    np.save(path, np.concatenate([floor, chair]).astype(np.float32))
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["query", *map(str, arguments)])
    return result.exit_code, result.output


def test_lines_say_what_and_where(scene: Path) -> None:
    code, output = run(scene, "chair", "where can I sit down?", "--top", 1)
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "chair"
    assert lines[1].startswith("  1.")
    x, y = map(float, lines[1].split(" at ")[1].split()[:2])
    assert (x, y) == (pytest.approx(2.0, abs=0.2), pytest.approx(3.0, abs=0.2))
    assert "where can I sit down? (chair, " in output


def test_what_is_not_here_is_said(scene: Path) -> None:
    code, output = run(scene, "refrigerator")
    assert code == 0
    assert "probably not here" in output
    assert "probably not here" not in run(scene, "refrigerator", "--threshold", 0)[1]


def test_what_the_answer_cannot_tell_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "mist.npy", 5 * rng.random((60, 3)))
    code, output = run(tmp_path / "mist.npy", "chair")
    assert code == 0
    assert output == "chair  not here: no part of the scene could be a thing\n"
    np.save(tmp_path / "millimetres.npy", rng.random((2000, 3)) * [6000, 4000, 2000])
    code, output = run(tmp_path / "millimetres.npy", "chair")
    assert code == 0
    assert "Note: the scene is 5999 x " in output
    assert "are its coordinates metres?" in output


def test_a_mesh_read_as_z_up_is_mentioned(tmp_path: Path) -> None:
    trimesh.creation.box([1, 1, 0.5]).export(tmp_path / "box.stl")
    assert "add --up y" in run(tmp_path / "box.stl", "box")[1]
    assert "add --up y" not in run(tmp_path / "box.stl", "box", "--up", "z")[1]


def test_what_cannot_be_written_is_told_before_the_work(scene: Path, tmp_path: Path) -> None:
    for option in ("-o", "--rerun"):
        code, output = run(scene, "chair", option, tmp_path / "nowhere" / "file")
        assert code == 2
        assert "there is no folder" in output
        assert "looks like" not in output


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def test_who_looks_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Terminal()
    monkeypatch.setattr("sys.stderr", seen)
    with counted("Looking") as tell:
        assert tell is not None
        tell(8, 32)
        assert "25%" in seen.getvalue()
        tell(32, 32)
    assert "Looking" in seen.getvalue()
    assert "100%" in seen.getvalue()
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with counted("Looking") as tell:
        assert tell is None


def test_json_and_page(scene: Path, tmp_path: Path) -> None:
    page = tmp_path / "answer.html"
    document = json.loads(run(scene, "chair", "--json")[1])
    assert document["answers"][0]["found"] is True
    assert document["points"] > 9000
    assert len(document["answers"][0]["regions"][0]["oriented_box"]["size"]) == 3
    code, _ = run(scene, "chair", "refrigerator", "-o", page)
    assert code == 0
    text = page.read_text(encoding="utf-8")
    assert text.count('<section class="answer found">\n<h2>chair</h2>') == 1
    assert text.count('<section class="answer missing">\n<h2>refrigerator</h2>') == 1


def test_an_unknown_word_is_one_line(scene: Path) -> None:
    code, output = run(scene, "where is the xyzzy?")
    assert code == 1
    assert output.startswith("Error: 'where is the xyzzy?' holds no name")
