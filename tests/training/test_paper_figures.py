"""Every figure of the paper by its command, from small sets in the layouts that are published."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import small_encoders
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from small_benchmarks import write_hdf5, write_off
from small_clip import small_teacher
from small_rooms import s3dis, scannet

from cg3d_training.checkpoint import Checkpoint, cpu_state, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.data.modelnet import CLASSES_10, CLASSES_40
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.teachers import DeepPrompts


def figure(*arguments: object) -> None:
    result = CliRunner().invoke(main, ["figure", *map(str, arguments)])
    assert result.exit_code == 0, result.output


def page(file: Path) -> str:
    """A figure's page without the pictures in it."""
    return re.sub(r"data:[^\"']*", "", file.read_text(encoding="utf-8"))


@pytest.fixture
def flat_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two axes; umap-learn itself takes a minute to compile."""

    class Umap:
        def __init__(self, **options: object) -> None:
            pass

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2]

    module = ModuleType("umap")
    module.UMAP = Umap  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)


@pytest.mark.usefixtures("flat_umap")
def test_figures_6_and_7_of_modelnet10(tmp_path: Path, small_model: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra [plots] is not installed")
    folder = tmp_path / "ModelNet10"
    folder.mkdir()
    write_off(folder)
    spec = EncoderSpec("point_transformer", small_encoders.TINY)
    weights = cpu_state(build_encoder(spec))
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, Checkpoint(spec, weights, torch.zeros(512), 20.0, {}, {}))
    state = DeepPrompts.for_tower(small_teacher().token_tower(), 2).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "prompts.safetensors")
    common = ["--dataset", "modelnet10", "--data", tmp_path, "-o"]
    seen = ["--teacher", f"open_clip:{small_model}", "--prompts", tmp_path / "prompts.safetensors"]
    for number, own, titles in (
        (6, [start], ["before training", "after training"]),
        (7, seen, ["without prompts", "with prompts"]),
    ):
        figure("umap", *own, *common, tmp_path / f"{number}.png")
        figure("umap", *own, *common, tmp_path / f"{number}.html")
        found = re.search(r'id="data">(.*?)</script>', page(tmp_path / f"{number}.html"), re.S)
        assert found is not None
        data = json.loads(found[1])
        assert [m["title"] for m in data["maps"]] == titles
        assert sorted(data["names"]) == sorted(name.replace("_", " ") for name in CLASSES_10)
        assert [len(m["xy"]) for m in data["maps"]] == [10, 10]
        with Image.open(tmp_path / f"{number}.png") as picture:
            assert picture.width > picture.height


def test_figure_4_of_modelnet40(tmp_path: Path) -> None:
    folder = tmp_path / "modelnet40_ply_hdf5_2048"
    folder.mkdir()
    write_hdf5(folder, 64)
    asked = ["--query", "chair", "--query", "bed", "--dataset", "modelnet40", "--data", tmp_path]
    figure("retrieval", *asked, "-o", tmp_path / "four.html")
    text = page(tmp_path / "four.html")
    shown = [name for name in CLASSES_40 if re.search(rf"\b{name.replace('_', '.')}\b", text)]
    assert shown
    figure("retrieval", *asked, "-o", tmp_path / "four.png")
    with Image.open(tmp_path / "four.png") as picture:
        assert picture.size == (4 * 158 + 8, 18 + 2 * 176 + 8)


@pytest.mark.parametrize(("number", "name"), [(8, "s3dis"), (9, "scannet")])
def test_figures_3_8_and_9(number: int, name: str, tmp_path: Path) -> None:
    root = (s3dis if name == "s3dis" else scannet)(tmp_path)
    asked = [root, "--dataset", name, "--query", "table", "--query", "chair", "--clusters", 6]
    figure("scene", *asked, "-o", tmp_path / f"{number}.png")
    with Image.open(tmp_path / f"{number}.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    red = (pixels == (214, 40, 40)).all(axis=2)
    width = pixels.shape[1] // 4  # the scene, its clusters, and a panel a question
    panels = [red[:, i * width : (i + 1) * width].any() for i in range(4)]
    assert panels == [False, False, True, True]
