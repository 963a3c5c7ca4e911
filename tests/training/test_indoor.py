"""S3DIS and ScanNet in their published layouts, and the questions about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from small_rooms import furniture, s3dis, scannet

from cg3d_runtime.errors import TrainingError
from cg3d_sdk import Recognizer
from cg3d_training.cli.main import main
from cg3d_training.data.indoor import IndoorScene, find_scenes
from cg3d_training.evaluation.scenes import (
    Answer,
    LabelledOut,
    ask,
    summary,
    table,
    words_of,
)


def test_s3dis(tmp_path: Path) -> None:
    (room,) = find_scenes("s3dis", s3dis(tmp_path))
    assert room.name == "Area_1/office_1"
    scene = room.read()
    parts = furniture()
    assert scene.classes == ("ceiling", "chair", "clutter", "floor", "table", "wall")
    assert len(scene.xyz) == sum(map(len, parts.values()))
    whole = np.loadtxt(tmp_path / "Area_1" / "office_1" / "office_1.txt")
    order, other = (np.lexsort(x.T) for x in (scene.xyz.astype(np.float64), whole[:, :3]))
    np.testing.assert_allclose(scene.xyz[order], whole[other, :3], atol=1e-6)
    chair = scene.xyz[scene.rows_of({"chair"})]
    assert chair[:, 2].max() == pytest.approx(0.95, abs=0.01)
    assert scene.rgb[scene.rows_of({"chair"})][:, 0].tolist() == [
        i % 256 for i in range(len(chair))
    ]
    for folder in ("Area_1", "Area_1/office_1"):
        assert find_scenes("s3dis", tmp_path / folder)[0].name == "Area_1/office_1"


def test_the_published_line_with_a_control_character(tmp_path: Path) -> None:
    file = s3dis(tmp_path) / "Area_1" / "office_1" / "Annotations" / "chair_1.txt"
    lines = file.read_bytes().split(b"\n")
    lines[5] = b"1.000 2.000 0.500 185\x10187 170"
    file.write_bytes(b"\n".join(lines))
    scene = find_scenes("s3dis", tmp_path)[0].read()
    assert scene.rgb[scene.rows_of({"chair"})][5].tolist() == [185, 187, 170]


def test_scannet_objects(tmp_path: Path) -> None:
    (scan,) = find_scenes("scannet", scannet(tmp_path))
    scene = scan.read()
    parts = furniture()
    sizes = [len(part) for part in parts.values()]
    assert scan.name == scene.name == "scene0000_00"
    assert scene.classes == ("floor", "ceiling", "wall", "office chair", "table")
    expected = np.repeat([0, 1, 2, 3, 4, -1], sizes)
    np.testing.assert_array_equal(scene.instance, expected)
    np.testing.assert_array_equal(scene.rgb[:3], [[0, 20, 30], [1, 20, 30], [2, 20, 30]])
    assert scene.xyz.shape == (sum(sizes), 3)


def test_scannet_classes_alone(tmp_path: Path) -> None:
    scene = find_scenes("scannet", scannet(tmp_path, objects=False))[0].read()
    assert {scene.classes[i] for i in np.unique(scene.instance)} == {
        "floor", "ceiling", "wall", "chair", "table", "otherprop"
    }  # fmt: skip


def broken(change: Callable[[Path], object], base: str) -> Callable[[Path], tuple[str, Path]]:
    def make(root: Path) -> tuple[str, Path]:
        (s3dis if base == "s3dis" else scannet)(root)
        change(root)
        return base, root

    return make


ROOM = "Area_1/office_1/Annotations"
SCAN = "scans/scene0000_00/scene0000_00"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (broken(lambda r: (r / ROOM / "chair_1.txt").write_text("1 2 3 4 5\n"), "s3dis"),
         r"chair_1\.txt: line 1 has 5 columns"),
        (broken(lambda r: (r / ROOM / "chair_1.txt").write_text("1 2 x 4 5 6\n"), "s3dis"),
         r"chair_1\.txt: line 1: 'x' is not a number"),
        (broken(lambda r: (r / ROOM / "chair_1.txt").write_text(""), "s3dis"), "holds no points"),
        (broken(lambda r: (r / ROOM / "chair_1.txt").write_text("1 nan 3 4 5 6\n"), "s3dis"),
         "not finite"),
        (broken(lambda r: (r / ROOM / "chair_1.txt").write_text("1 2 3 4 5 256\n"), "s3dis"),
         "colours beyond"),
        (broken(lambda r: (r / ROOM / "chair_1.txt").write_bytes(b"\xff\xfe"), "s3dis"),
         r"chair_1\.txt: is not text"),
        (broken(lambda r: (r / ROOM / "dragon_1.txt").write_text("1 2 3 4 5 6"), "s3dis"),
         r"dragon_1\.txt: objects are called"),
        (broken(lambda r: (r / f"{SCAN}_vh_clean_2.ply").write_bytes(b"ply\n"), "scannet"),
         r"vh_clean_2\.ply: not a PLY"),
        (broken(lambda r: cut(r / f"{SCAN}_vh_clean_2.ply", 2000), "scannet"), "truncated"),
        (broken(lambda r: cut(r / f"{SCAN}_vh_clean_2.0.010000.segs.json", 90), "scannet"),
         r"segs\.json: not JSON"),
        (broken(lambda r: (r / f"{SCAN}_vh_clean_2.0.010000.segs.json").write_text(
            '{"segIndices": [1, 2]}'), "scannet"), "2 segIndices for"),
        (broken(lambda r: (r / f"{SCAN}.aggregation.json").write_text(
            '{"segGroups": [{"segments": ["a"], "label": "x"}]}'), "scannet"), "group 0 lacks"),
        (broken(lambda r: (r / f"{SCAN}.aggregation.json").write_text("[1]"), "scannet"),
         "not a JSON object"),
        (broken(lambda r: (r / f"{SCAN}_vh_clean_2.0.010000.segs.json").unlink(), "scannet"),
         r"segs\.json cannot be read: No such file"),
        (broken(lambda r: ((r / f"{SCAN}.aggregation.json").unlink(),
                           (r / f"{SCAN}_vh_clean_2.labels.ply").unlink()), "scannet"),
         "neither an aggregation"),
    ],
)  # fmt: skip
def test_what_is_not_as_published(
    make: Callable[[Path], tuple[str, Path]], message: str, tmp_path: Path
) -> None:
    dataset, root = make(tmp_path)
    with pytest.raises(TrainingError, match=message):
        find_scenes(dataset, root)[0].read()


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


@pytest.mark.parametrize("dataset", ["s3dis", "scannet", "worlds", "tabletop"])
def test_nothing_there(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no|is missing"):
        find_scenes(dataset, tmp_path)
    with pytest.raises(TrainingError, match="no such folder"):
        find_scenes(dataset, tmp_path / "nowhere")


@pytest.fixture(scope="module")
def whole_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scannet(tmp_path_factory.mktemp("damage"))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_or_a_scene(data: st.DataObject, whole_scan: Path) -> None:
    endings = ["_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json", ".aggregation.json"]
    file = whole_scan / f"{SCAN}{data.draw(st.sampled_from(endings))}"
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, min(len(whole), 600) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(changed)
    scene, message = None, ""
    try:
        scene = find_scenes("scannet", whole_scan)[0].read()
    except TrainingError as error:
        message = str(error)
    file.write_bytes(whole)
    if scene is None:
        assert message.startswith(str(whole_scan))
    else:
        assert len(scene.instance) == len(scene.xyz)
        assert scene.instance.max() < len(scene.classes)


def made_room() -> IndoorScene:
    parts = furniture()
    instance = np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])
    points = np.concatenate([*parts.values()]).astype(np.float32)
    classes = tuple(name.split("_")[0] for name in parts)
    return IndoorScene("room", points, np.zeros((len(points), 3), np.uint8),
                       instance.astype(np.int32), classes)  # fmt: skip


def test_the_papers_clusters() -> None:
    scene = made_room()
    keep = ~scene.rows_of({"floor", "ceiling"})
    (partition,) = LabelledOut(keep, clusters=5)(scene.xyz)
    assert (partition.labels[~keep] == -1).all()
    assert set(partition.labels[keep]) == set(range(5))
    from scipy.cluster.vq import vq

    centres = np.stack([scene.xyz[partition.labels == i].mean(axis=0) for i in range(5)])
    nearest = vq(scene.xyz[keep], centres)[0]
    assert (nearest == partition.labels[keep]).mean() > 0.97  # k-means: each to the nearest mean


def test_asking() -> None:
    scene, recognizer = made_room(), Recognizer(threads=1)
    assert words_of(scene, recognizer) == ("chair", "table")
    every = {w: ask(recognizer, scene, ["chair", "table"], w) for w in ("paper", "default")}
    for asked in every.values():
        assert [a.word for a in asked.answers] == ["chair", "table"]
        assert len(asked.clusters) == len(scene.xyz)
        for answer in asked.answers:
            true = scene.instance == scene.classes.index(answer.word)
            for rows, overlap in zip(answer.regions, answer.overlaps, strict=True):
                mask = np.zeros(len(true), bool)
                mask[rows] = True
                assert overlap == pytest.approx((mask & true).sum() / (mask | true).sum())
            both, either = (answer.shown & true).sum(), (answer.shown | true).sum()
            assert answer.shown_overlap == pytest.approx(both / either)
    paper = every["paper"].answers[0]
    assert not paper.shown[scene.rows_of({"floor", "ceiling"})].any()
    assert paper.shown[paper.regions[0]].all()
    assert max(every["default"].answers[0].overlaps) > 0.8


def test_the_table_by_hand() -> None:
    none = np.zeros(1, bool)
    answers = [
        Answer("a", "paper", "chair", (), none, (0.30, 0.1), 0.5),
        Answer("a", "paper", "table", (), none, (0.10, 0.9), 0.1),
        Answer("b", "paper", "chair", (), none, (), 0.0),
        Answer("a", "default", "chair", (), none, (0.25,), 1.0),
    ]
    paper, default = summary(answers)
    assert (paper.questions, paper.first, paper.within) == (
        3,
        pytest.approx(1 / 3),
        pytest.approx(2 / 3),
    )
    assert paper.overlap == pytest.approx(0.4 / 3)
    assert paper.shown == pytest.approx(0.2)
    assert (default.first, default.shown) == (1.0, 1.0)


@pytest.mark.parametrize(("dataset", "way"), [("s3dis", "k-means"), ("scannet", "paper")])
def test_the_command(dataset: str, way: str, tmp_path: Path) -> None:
    root = (s3dis if dataset == "s3dis" else scannet)(tmp_path)
    arguments = ["evaluate", "scenes", str(root), "--dataset", dataset, "--way", way]
    result = CliRunner().invoke(main, [*arguments, "--query", "table", "--json", "--clusters", "6"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["way"] for row in found["summary"]] == [way]
    assert {a["word"] for a in found["answers"]} == {"table"}
    result = CliRunner().invoke(main, [*arguments, "--query", "submarine"])
    assert result.exit_code == 1
    assert "nothing to ask" in result.output


def test_every_question_in_the_table() -> None:
    answers = [Answer("room", "paper", "chair", (), np.zeros(1, bool), (0.3, 0.1), 0.5)]
    text = table(summary(answers), answers, per_word=True)
    assert "| 1 | 100.0% | 100.0% | 0.30 | 0.50 |" in text
    assert "| room | chair | paper | 0.30, 0.10 | 0.50 |" in text
