"""The ShapeIndex with the bundle that ships, and its verbs."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cg3d_runtime.files import read_points
from cg3d_runtime.retrieval import ExactIndex, Origin
from cg3d_sdk import InputError, Recognizer, ShapeIndex, VocabularyError
from cg3d_sdk.cli.main import main

SAMPLES = sorted(Path(str(resources.files("cg3d_sdk") / "samples")).glob("*.npz"))
NAMES = [path.stem for path in SAMPLES]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(engine="cpu", threads=1)


@pytest.fixture(scope="module")
def shapes(recognizer: Recognizer) -> ShapeIndex:
    index = ShapeIndex(recognizer)
    clouds = [read_points(path).points for path in SAMPLES]
    index.add_many(NAMES, clouds, [{"long": len(name) > 5} for name in NAMES])
    return index


def test_texts_and_clouds_find_what_brute_force_finds(
    shapes: ShapeIndex, recognizer: Recognizer
) -> None:
    vectors = recognizer.embed([read_points(path).points for path in SAMPLES])
    for query, hits in (
        (recognizer.embed_text("a chair"), shapes.search_text("a chair", 5)),
        (vectors[3:4], shapes.search_cloud(read_points(SAMPLES[3]).points, 5)),
    ):
        scores = vectors @ query[0]
        order = np.argsort(-scores)[:5]
        assert [hit.id for hit in hits] == [NAMES[i] for i in order]
        np.testing.assert_allclose([hit.score for hit in hits], scores[order], atol=1e-6)
    assert shapes.search_cloud(read_points(SAMPLES[3]).points, 1)[0].id == NAMES[3]
    assert {hit.metadata["long"] for hit in shapes.search_text("chair", 99, {"long": True})} == {
        True
    }


def test_it_changes_and_comes_back(
    shapes: ShapeIndex, recognizer: Recognizer, tmp_path: Path
) -> None:
    shapes.save(tmp_path / "index")
    again = ShapeIndex.open(tmp_path / "index", recognizer)
    cloud = np.random.default_rng(0).normal(size=(300, 3))
    again.add("noise", cloud, {"made": True})
    with pytest.raises(InputError, match="already"):
        again.add("noise", cloud)
    again.add("noise", cloud, replace=True)
    assert again.search_cloud(cloud, 1)[0].metadata == {}
    again.remove(["noise", "mug"])
    assert ("mug" in again, "mug" in shapes, len(again)) == (False, True, len(NAMES) - 1)


def test_vectors_of_another_encoder_are_refused(recognizer: Recognizer, tmp_path: Path) -> None:
    ExactIndex(512, Origin("elsewhere", "0" * 64)).save(tmp_path / "index")
    with pytest.raises(InputError, match=r"'elsewhere'.*not of 'household-small'"):
        ShapeIndex.open(tmp_path / "index", recognizer)


def test_a_text_outside_the_vocabulary(shapes: ShapeIndex) -> None:
    with pytest.raises(VocabularyError, match="outside the vocabulary"):
        shapes.search_text("the meaning of life")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    root = tmp_path_factory.mktemp("shapes")
    (root / "in" / "deeper").mkdir(parents=True)
    for path in SAMPLES[:6]:
        shutil.copy(path, root / "in" / "deeper" / path.name)
    (root / "in" / "broken.npy").write_bytes(b"nothing")
    (root / "in" / "notes.md").write_text("no shape")
    result = run("index", "build", root / "in", "-o", root / "index", "--engine", "cpu")
    return root, result


def test_build_reports_what_is_broken_and_keeps_the_rest(built: tuple[Path, Result]) -> None:
    root, result = built
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == f"{root / 'index'}: 6 shapes, 1 left out"
    assert f"Error: {root / 'in' / 'broken.npy'}: " in result.stderr
    index = ExactIndex.open(root / "index")
    assert sorted(index.ids) == [f"deeper/{path.name}" for path in SAMPLES[:6]]


def test_build_again_replaces_and_says_nothing_of_errors(built: tuple[Path, Result]) -> None:
    root, _ = built
    result = run("index", "build", root / "in" / "deeper", "-o", root / "new", "--json",
                 "--labels", "chair,bed", "--engine", "cpu")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["shapes"], document["errors"]) == (6, [])
    hits = run("index", "search", root / "new", "--text", "bed", "--json", "--where", "label=bed")
    labels = [h["metadata"]["label"] for h in json.loads(hits.stdout)["results"][0]["hits"]]
    assert set(labels) == {"bed"}


def test_search_for_people_and_for_programs(built: tuple[Path, Result]) -> None:
    root, _ = built
    cloud = root / "in" / "deeper" / SAMPLES[1].name
    result = run(
        "index", "search", root / "index", "--cloud", cloud, "--text", "bottle", "--top", 2
    )
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 6
    assert lines[0] == "bottle"
    assert lines[4].split()[:2] == ["1.000", f"deeper/{SAMPLES[1].name}"]
    found = json.loads(
        run("index", "search", root / "index", "--cloud", cloud, "--top", 1, "--json").stdout
    )
    assert found["shapes"] == 6
    (answer,) = found["results"]
    assert answer["cloud"] == str(cloud)
    assert answer["hits"][0]["id"] == f"deeper/{SAMPLES[1].name}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "{root}/nowhere", "-o", "{root}/x"), "is not a folder"),
        (("build", "{root}/index", "-o", "{root}/index"), "needs one of its own"),
        (("build", "{root}/in", "-o", "{root}/in/deeper"), "no part of an index"),
        (("search", "{root}/in", "--text", "chair"), "holds no index.json, so it is not an index"),
        (("search", "{root}/index"), "Give --text, --cloud or --image"),
        (("search", "{root}/index", "--text", "chair", "--where", "label"), "KEY=VALUE"),
        (("search", "{root}/index", "--cloud", "{root}/none.ply"), "no such file"),
    ],
)
def test_faults_are_one_line(
    built: tuple[Path, Result], arguments: tuple[str, ...], words: str
) -> None:
    result = run("index", *(a.format(root=built[0]) for a in arguments))
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_no_shape_at_all_writes_no_index(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.npy").write_bytes(b"nothing")
    result = run("index", "build", tmp_path / "in", "-o", tmp_path / "index", "--engine", "cpu")
    assert result.exit_code == 1
    assert "none of the 1 files" in result.stderr
    assert not (tmp_path / "index").exists()


def test_a_bundle_without_an_image_encoder_says_how_to_get_one(shapes: ShapeIndex) -> None:
    with pytest.raises(InputError, match=r"no image encoder.*--image-encoder"):
        shapes.search_image(np.zeros((8, 8, 3), np.uint8))
