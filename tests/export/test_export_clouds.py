"""Where the clouds for the parity check come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_export import clouds as room
from cg3d_export.cli.main import main
from cg3d_export.clouds import LIMIT, check_clouds
from cg3d_runtime.errors import InputError
from cg3d_runtime.points.prepare import PreprocessSpec, prepare

SPEC = PreprocessSpec(points=16, candidates=64)


def some(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 40, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["points", "xyz_u16", "clouds", "arr_0"])
def test_npz(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "c.npz", **{name: some(5)})
    found = check_clouds(tmp_path / "c.npz", SPEC).prepared
    expected = [prepare(cloud, SPEC, up="y").cloud for cloud in some(5)]
    np.testing.assert_array_equal(found, expected)


def test_many_clouds_are_thinned_evenly(tmp_path: Path) -> None:
    clouds = some(LIMIT + 51)
    np.savez(tmp_path / "c.npz", points=clouds)
    found = check_clouds(tmp_path / "c.npz", SPEC).prepared
    assert len(found) == LIMIT
    for mine, theirs in ((0, 0), (-1, -1)):
        np.testing.assert_array_equal(found[mine], prepare(clouds[theirs], SPEC, "y").cloud)
    assert len(np.unique(found.reshape(LIMIT, -1), axis=0)) == LIMIT


def test_household_folder_gives_its_test_split(tmp_path: Path) -> None:
    clouds = (some(6) * 1000 + 1000).astype(np.uint16)
    np.savez(tmp_path / "points.npz", xyz_u16=clouds, rgb_u8=np.zeros((6, 40, 3), np.uint8))
    splits = ["train", "test", "train", "test", "test", "train"]
    (tmp_path / "objects.jsonl").write_text("\n".join(json.dumps({"split": s}) for s in splits))
    found = check_clouds(tmp_path, SPEC).prepared
    expected = [prepare(clouds[i], SPEC, up="y").cloud for i in (1, 3, 4)]
    np.testing.assert_array_equal(found, expected)


def test_samples_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    monkeypatch.setattr(room.resources, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match="--clouds"):
        check_clouds(None, SPEC)
    for i, cloud in enumerate(some(3)):
        np.savez(tmp_path / "samples" / f"{i}.npz", points=cloud)
    assert check_clouds(None, SPEC).prepared.shape == (3, 16, 3)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: p.write_bytes(b"x"), "not an .npz"),
        (lambda p: p.write_bytes(b""), "not an .npz"),
        (lambda p: np.save(p.open("wb"), some(2)), "not an .npz"),
        (lambda p: np.savez(p, points=some(1)[0]), "shape"),
        (lambda p: np.savez(p, points=some(0)), "holds no clouds"),
        (lambda p: np.savez(p, points=some(2)[..., :2]), "shape"),
        (lambda p: np.savez(p, points=np.array([["a"]])), "shape"),
        (lambda p: np.savez(p, points=np.array([{}], object)), "not an .npz"),
        (lambda p: np.savez(p), "shape"),
    ],
)
def test_bad_npz(tmp_path: Path, write: object, message: str) -> None:
    path = tmp_path / "c.npz"
    write(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        check_clouds(path, SPEC)


def test_a_cloud_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    clouds = some(3)
    clouds[1] = np.nan
    np.savez(tmp_path / "c.npz", points=clouds)
    with pytest.raises(InputError, match=r"^c\.npz 1: 0 finite points left"):
        check_clouds(tmp_path / "c.npz", SPEC)


def test_the_error_of_a_command_has_a_line_of_its_own(inputs: Path, tmp_path: Path) -> None:
    """Not the progress bar's: what the error leaves open is closed before it is shown."""
    np.savez(tmp_path / "c.npz", points=np.full((2, 40, 3), np.nan))
    given = ["--text", inputs / "text.safetensors", "--clouds", tmp_path / "c.npz"]
    command = [inputs / "checkpoint.safetensors", "-o", tmp_path / "bundle", *given]
    result = CliRunner().invoke(main, [str(part) for part in command])
    assert result.exit_code == 1
    assert "0/2" in result.stderr, "there was a bar"
    assert result.stderr.split("\n")[-2].startswith("Error: c.npz 0: 0 finite points left")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "not the household set"),
        ("{", "not JSON"),
        ("1", "not JSON"),
        ("{}", "1 lines for 2"),
    ],
)
def test_bad_household_folder(tmp_path: Path, lines: str | None, message: str) -> None:
    np.savez(tmp_path / "points.npz", xyz_u16=np.zeros((2, 40, 3), np.uint16))
    if lines is not None:
        (tmp_path / "objects.jsonl").write_text(lines)
    with pytest.raises(InputError, match=message):
        check_clouds(tmp_path, SPEC)
