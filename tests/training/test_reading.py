"""Files of sets that are damaged, or something else: the error is ours, and names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_runtime.errors import TrainingError
from cg3d_training.cli.main import main
from cg3d_training.config import PretrainConfig, load_config
from cg3d_training.data.clip_text import load_vocabulary
from cg3d_training.data.clutter import table_patches, world_crops
from cg3d_training.data.household import load_household
from cg3d_training.data.names import NameMatcher
from cg3d_training.data.reading import read_arrays, read_json, read_text
from cg3d_training.data.tabletop import find_views, scanned_objects
from cg3d_training.data.triplet_set import TripletSet
from cg3d_training.data.worlds import read_world


def archive(file: Path, **arrays: Any) -> None:
    np.savez(file, **arrays)


def lone_array(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": lambda file: None,
    "empty": lambda file: file.write_bytes(b""),
    "no archive": lambda file: file.write_bytes(b"\xd3no archive" * 9),
    "a lone array": lone_array,
    "an object": lambda file: archive(file, xyz_mm=np.array([{}], dtype=object)),
    "another array": lambda file: archive(file, other=np.zeros(3)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_arrays(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    DAMAGE[damage](file)
    with pytest.raises(TrainingError, match=r"a\.npz (is missing|is damaged|has no array xyz_mm)"):
        read_arrays(file, "xyz_mm")


def test_arrays_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", one=np.ones(1), two=np.ones(2), names=np.array(["x"]))
    found = read_arrays(tmp_path / "a.npz", "names", "two", "one")
    assert [a.tolist() for a in found] == [["x"], [1, 1], [1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "missing"), (b"\xd3", "not text"), (b"{", "not JSON"), (b"[" * 10**5, "not JSON")],
    ids=["missing", "no text", "no JSON", "deep"],
)  # fmt: skip
def test_json(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TrainingError, match=rf"a\.json is {message}"):
        read_json(file)


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read_text(tmp_path)


def test_a_recipe_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"seed: \xd3")
    with pytest.raises(TrainingError, match=r"a\.yaml is not text"):
        load_config(PretrainConfig, str(tmp_path / "a.yaml"))


@pytest.mark.parametrize("content", ["[1]", "null", '{"a": 1}', '{"a": [1]}', '{"a": [{}]}', "{}"])
def test_vocabularies(content: str, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(content)
    archive(tmp_path / "vectors.npz", a=np.zeros((1, 4), np.float32))
    with pytest.raises(TrainingError, match=r"names\.json|vectors\.npz"):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize("vectors", [np.float32(1), np.zeros(1), np.full((1, 4), "x")], ids=str)
def test_vectors_that_are_none(vectors: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"a": [{"name": "cup"}]}')
    archive(tmp_path / "vectors.npz", a=vectors)
    with pytest.raises(TrainingError, match=r"vectors\.npz: the list 'a'"):
        load_vocabulary(tmp_path)


def test_household_lines_that_are_none(household: Path, clip_text: Path, tmp_path: Path) -> None:
    matcher = NameMatcher(load_vocabulary(clip_text))
    (tmp_path / "points.npz").write_bytes((household / "points.npz").read_bytes())
    lines = (household / "objects.jsonl").read_text().splitlines()
    for wrong in ("[]", "null", "{}", json.dumps(json.loads(lines[0]) | {"name": 3})):
        (tmp_path / "objects.jsonl").write_text("\n".join([wrong, *lines[1:]]))
        with pytest.raises(TrainingError, match=r"objects\.jsonl, line 1"):
            load_household(tmp_path, matcher)
    (tmp_path / "objects.jsonl").write_bytes(b"\xd3")
    with pytest.raises(TrainingError, match=r"objects\.jsonl is not text"):
        load_household(tmp_path, matcher)


@pytest.mark.parametrize("content", ["[1]", "null", '[{"scene": "a"}]', '{"scene": 1}'])
def test_annotations_of_tables(content: str, tmp_path: Path) -> None:
    (tmp_path / "objects.json").write_text(content)
    with pytest.raises(TrainingError, match=r"objects\.json is no list"):
        find_views(tmp_path)


XYZ = np.zeros((4, 3), np.int16)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"xyz_mm": XYZ[:, :2], "label": np.ones(4)}, r"xyz_mm is int16 \(4, 2\)"),
        ({"xyz_mm": XYZ.astype(str), "label": np.ones(4)}, "xyz_mm is <U"),
        ({"xyz_mm": XYZ, "label": np.zeros(4)}, "has no table"),
    ],
)
def test_views_of_tables(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    (tmp_path / "objects.json").write_text('[{"scene": "a", "label": 2, "class": "cup"}]')
    archive(tmp_path / "a.npz", rgb=XYZ, **arrays)
    with pytest.raises(TrainingError, match=message):
        list(scanned_objects(tmp_path))
    (view,) = find_views(tmp_path)
    with pytest.raises(TrainingError, match=message):
        view.read()


@pytest.mark.parametrize("damage", DAMAGE)
def test_worlds_and_clutter(damage: str, tmp_path: Path) -> None:
    file, rng = tmp_path / "a.npz", np.random.default_rng(0)
    DAMAGE[damage](file)
    for read in (read_world, lambda path: world_crops(path, 1, rng)):
        with pytest.raises(TrainingError, match=r"a\.npz"):
            read(file)
    with pytest.raises(TrainingError, match=r"a\.npz|holds no views"):
        table_patches(tmp_path, 1, rng)


def test_shards_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"file/index\.jsonl is missing"):
        TripletSet(tmp_path / "file", 64)
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    result = CliRunner().invoke(main, ["index", str(tmp_path)])
    assert result.exit_code == 1
    assert "there is no sample in its .tar files" in result.output
