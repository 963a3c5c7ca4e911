"""The paper's figures, drawn of small sets: what is on them, and that pages need no network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from cg3d_sdk import Recognizer
from cg3d_training.checkpoint import Checkpoint, cpu_state, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.data.labelled import LabelledClouds, read_npz
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.figures.retrieval import find_shapes
from cg3d_training.figures.splat import points_picture
from cg3d_training.figures.umap import chosen, cloud_panels

KINDS = ("ball", "bathtub", "table")


def shape(kind: str, rng: np.random.Generator) -> np.ndarray:
    points = rng.normal(size=(300, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    stretch = {"ball": (1, 1, 1), "bathtub": (1, 0.3, 0.5), "table": (1, 0.03, 1)}[kind]
    return (points * stretch).astype(np.float32)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one's own (docs/datasets.md)."""
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    (folder / "classes.txt").write_text("\n".join(KINDS))
    for split in ("train", "test"):
        labels = np.repeat(np.arange(3), 4)
        clouds = np.stack([shape(KINDS[label], rng) for label in labels])
        np.savez(folder / f"{split}.npz", points=clouds, labels=labels)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"points": 64, "groups": 8, "group_size": 8, "patch_hidden": (16, 16), "patch_dim": 16,
             "width": 32, "depth": 1, "heads": 2}  # fmt: skip
    spec = EncoderSpec("point_transformer", sizes)
    torch.manual_seed(7)
    file = tmp_path_factory.mktemp("run") / "checkpoint.safetensors"
    weights = cpu_state(build_encoder(spec))
    save_checkpoint(file, Checkpoint(spec, weights, torch.zeros(512), 20.0, {}, {}))
    return file


@pytest.fixture
def flat_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """umap-learn takes 200 MB and a minute to compile; its place is taken by the first two axes."""

    class Umap:
        def __init__(self, **options: object) -> None:
            assert options["metric"] == "cosine"

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2]

    module = ModuleType("umap")
    module.UMAP = Umap  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["figure", *map(str, arguments)])


def self_contained(file: Path) -> str:
    """The page's text; nothing in it is fetched from anywhere."""
    html = file.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=[\"']?(?!data:|#)", html)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|import)\s*\(", html)
    return html


def test_points_are_drawn_where_they_are_and_the_nearest_in_front() -> None:
    # From straight above: x to the right, y up, z towards the eye.
    xyz = np.array([[0, 0, 0], [0, 0, 1], [10, 0, 0], [0, 10, 0.0]])
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        picture = points_picture(xyz[order], rgb[order], 31, 31, 1, azimuth=0, elevation=90)
        places = np.argwhere((picture != 255).any(axis=2)).tolist()
        drawn = {tuple(picture[r, x].tolist()): (r, x) for r, x in places}
        assert set(drawn) == {(0, 255, 0), (0, 0, 255), (9, 9, 9)}  # the red one is hidden
        (r0, c0), (r1, c1), (r2, c2) = (drawn[k] for k in ((0, 255, 0), (0, 0, 255), (9, 9, 9)))
        assert r1 == r0
        assert c1 - c0 == 29
        assert c2 == c0
        assert r0 - r2 == 29


def test_before_is_not_after(labelled: Path, checkpoint: Path) -> None:
    clouds = chosen(read_npz(labelled, "test"), 2)
    assert clouds.labels.tolist() == [0, 0, 1, 1, 2, 2]
    before, after = cloud_panels(checkpoint, clouds)
    assert before.features.shape == after.features.shape == (6, 512)
    assert np.abs(before.features - after.features).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(after.features, axis=1), 1, atol=1e-5)


@pytest.mark.usefixtures("flat_umap")
def test_maps_of_shapes(labelled: Path, checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra [plots] is not installed")
    common = [checkpoint, "--dataset", labelled, "-o"]
    result = run("umap", *common, tmp_path / "map.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 1.5 * picture.height
    assert run("umap", *common, tmp_path / "map.html").exit_code == 0
    html = self_contained(tmp_path / "map.html")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    assert [m["title"] for m in data["maps"]] == ["before training", "after training"]
    assert sorted(data["names"]) == sorted(KINDS)
    assert len(data["own"]) == len(data["maps"][0]["xy"]) == 12
    after = cloud_panels(checkpoint, read_npz(labelled, "test"))[1].features[:, :2]
    expected = (after - after.min(0)) / np.ptp(after, axis=0)
    np.testing.assert_allclose(data["maps"][1]["xy"], expected, atol=1e-3)


def test_what_a_map_needs(labelled: Path, checkpoint: Path, tmp_path: Path) -> None:
    for arguments in (
        ["umap", "--dataset", labelled, "-o", tmp_path / "a.png"],
        ["umap", checkpoint, "--teacher", "slip:a.pt", "-o", tmp_path / "a.png"],
        ["umap", checkpoint, "--dataset", labelled, "-o", tmp_path / "a.gif"],
    ):
        assert run(*arguments).exit_code == 2


@pytest.fixture(scope="module")
def shapes(labelled: Path) -> LabelledClouds:
    return read_npz(labelled, "test")


def test_the_nearest_shapes(shapes: LabelledClouds) -> None:
    recognizer = Recognizer(threads=1)
    (found,) = find_shapes(recognizer, shapes, ["bathtub"], 3)
    cosines = recognizer.embed(list(shapes.clouds), "y") @ recognizer.embed_text(["bathtub"])[0]
    np.testing.assert_array_equal(found.rows, np.argsort(-cosines, kind="stable")[:3])
    np.testing.assert_allclose(found.cosines, np.sort(cosines)[::-1][:3], atol=1e-5)


def test_pictures_as_queries(shapes: LabelledClouds, tmp_path: Path) -> None:
    class WithPictures:
        """The first numbers of clouds; words look along x, dark pictures along y."""

        def embed(self, clouds: list[np.ndarray], up: str) -> np.ndarray:
            return np.stack([cloud[0] / np.linalg.norm(cloud[0]) for cloud in clouds])

        def embed_text(self, texts: list[str]) -> np.ndarray:
            return np.tile([1.0, 0, 0], (len(texts), 1))

        def embed_image(self, images: list[np.ndarray]) -> np.ndarray:
            return np.stack([[0.0, 1, 0] if image.mean() < 99 else [0, 0, 1.0] for image in images])

    Image.new("RGB", (8, 8), (5, 5, 5)).save(tmp_path / "dark.png")
    recognizer: Any = WithPictures()
    found = find_shapes(recognizer, shapes, ["chair"], 2, [tmp_path / "dark.png"])
    assert [f.text for f in found] == ["chair", "dark.png"]
    first = shapes.clouds[:, 0] / np.linalg.norm(shapes.clouds[:, 0], axis=1, keepdims=True)
    for axis, own in enumerate(found):
        np.testing.assert_array_equal(own.rows, np.argsort(-first[:, axis], kind="stable")[:2])


def test_pictures_need_an_image_encoder(labelled: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    common = ["--dataset", labelled, "-o", tmp_path / "out.png"]
    result = run("retrieval", "--image", tmp_path / "a.png", *common)
    assert result.exit_code == 1
    assert "image encoder" in result.output
    assert run("retrieval", *common).exit_code == 2


def test_sheets(labelled: Path, tmp_path: Path) -> None:
    common = ["--query", "table", "--query", "bathtub", "--dataset", labelled, "--top", 3, "-o"]
    result = run("retrieval", *common, tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (3 * 158 + 8, 18 + 2 * 176 + 8)
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    assert run("retrieval", *common, tmp_path / "sheet.html").exit_code == 0
    html = self_contained(tmp_path / "sheet.html")
    assert html.count("table&quot;, ") + html.count('table", ') >= 3


def world(folder: Path) -> Path:
    """Two blocks on a floor, in the layout of the furnished worlds."""
    rng = np.random.default_rng(0)
    floor = rng.uniform([0, 0, 0], [4, 4, 0.01], (3000, 3))
    low, high = (
        rng.uniform([0.5, 0.5, 0.02], [1, 1, 0.6], (800, 3)),
        rng.uniform([2.5, 2.5, 0.02], [3.5, 3.2, 0.7], (900, 3)),
    )
    xyz = np.concatenate([floor, low, high])
    np.savez(
        folder / "made.npz", xyz_mm=np.rint(xyz * 1000).astype(np.uint16),
        rgb=np.full((len(xyz), 3), 90, np.uint8),
        instance=np.repeat([0, 1, 2], [3000, 800, 900]).astype(np.uint16),
        names=np.array(["floor_01_floor", "ChairB_01", "DeskA_01"]),
    )  # fmt: skip
    return folder


def test_scenes(tmp_path: Path) -> None:
    common = [world(tmp_path), "--dataset", "worlds", "--query", "chair", "--clusters", 3, "-o"]
    result = run("scene", *common, tmp_path / "scene.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "scene.png") as picture:
        assert picture.size == (3 * 308 + 8, 246 + 8)
        pixels = np.asarray(picture.convert("RGB"))
    red = (pixels == (214, 40, 40)).all(axis=2)
    assert red[:, 2 * 308 :].any()  # highlighted on the third panel, and nowhere else
    assert not red[:, : 2 * 308].any()
    assert run("scene", *common, tmp_path / "scene.html").exit_code == 0
    self_contained(tmp_path / "scene.html")
    result = run("scene", *common, tmp_path / "b.png", "--scene", "elsewhere")
    assert result.exit_code == 1
    assert "has no scene 'elsewhere'; it has made" in result.output
