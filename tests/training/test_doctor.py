"""`cg3d-train doctor` and `cg3d-train recipes`: what a newcomer asks first."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
from collections import namedtuple
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from cg3d_sdk.doctor.finding import Finding
from cg3d_training.cli.main import main
from cg3d_training.cli.recipes import headline
from cg3d_training.config import PretrainConfig, list_recipes, load_config
from cg3d_training.data.recognise import recognise
from cg3d_training.doctor import NEEDED, OPTIONAL, examine
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.triplets.config import TripletConfig


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_what_is_here_is_found(household: Path, clip_text: Path) -> None:
    result = CliRunner().invoke(
        main, ["doctor", "--json", "--data", str(household), "--data", str(clip_text)]
    )
    assert result.exit_code == 0, result.output
    found = {finding["name"]: finding for finding in json.loads(result.output)}
    assert found["torch"]["found"].startswith(torch.__version__)
    assert found["numpy"]["found"].startswith(np.__version__)
    assert found["numpy"]["required"]
    assert f"torch takes {torch.get_num_threads()}" in found["cpu"]["found"]
    assert "gloo" in found["distributed"]["found"]
    assert found["precision"]["found"].startswith("fp32, bf16")
    assert "household set of 60 objects" in found[f"data {household}"]["found"]
    assert "CLIP text vectors" in found[f"data {clip_text}"]["found"]
    assert ("gpu" in found) == (not torch.cuda.is_available())
    memory = float(found["memory"]["found"].split()[0])
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert memory == pytest.approx(pages, rel=0.05)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    find = importlib.util.find_spec

    def look(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in missing else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", look)


def test_what_is_missing_comes_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "wandb", "h5py")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output  # neither is needed by every run
    assert "-> pip install 'cg3d-sdk[wandb]'" in result.output
    assert "-> pip install 'cg3d-sdk[hdf5]'" in result.output
    without(monkeypatch, "sklearn", "umap")
    lines = CliRunner().invoke(main, ["doctor"]).output
    assert "pip install 'cg3d-sdk[probe]'" in lines
    assert "pip install 'cg3d-sdk[plots]'" in lines
    without(monkeypatch, "open_clip")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    line = next(x for x in result.output.splitlines() if "open_clip" in x)
    assert line.startswith("MISSING")
    assert line.endswith("pip install 'cg3d-sdk[train]'")


def test_it_runs_where_torch_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    load = importlib.import_module

    def broken(name: str, package: str | None = None) -> Any:
        if name == "torch":
            raise OSError("libcudart.so.13: cannot open shared object file")
        return load(name, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    found = by_name(examine())
    assert not found["torch"].ok
    assert found["torch"].required
    assert "libcudart" in found["torch"].found
    assert "distributed" not in found


def test_its_lines_name_extras_that_there_are() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for distribution, _, extra, _ in (*NEEDED, *OPTIONAL):
        listed = re.search(rf"^{extra} = \[(.*?)\]$", text, re.M | re.S)
        assert listed, extra
        if distribution != "numpy":  # a dependency of all of it
            assert distribution.lower() in listed[1].lower()


def test_every_extra_that_training_code_asks_for_is_looked_for() -> None:
    """`require(module, extra, why)` in this package and export's, and what doctor lists."""
    root = Path(__file__).parents[2]
    asked = set()
    for folder in (root / "training/cg3d_training", root / "export/cg3d_export"):
        for file in folder.rglob("*.py"):
            found = re.findall(r'require\(\s*"([\w.]+)",\s*"(\w+)"', file.read_text("utf-8"))
            asked |= {(module.split(".")[0], extra) for module, extra in found}
    listed = {(module, extra) for _, module, extra, _ in (*NEEDED, *OPTIONAL)}
    assert ("sklearn", "probe") in asked
    assert {extra for _, extra in asked} <= {extra for _, extra in listed}


def test_gpus_are_told_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = namedtuple("gpu", "name major minor")("Some GPU", 9, 0)
    for name, value in {
        "is_available": lambda: True, "device_count": lambda: 2,
        "get_device_properties": lambda _: gpu, "mem_get_info": lambda _: (20 * 2**30, 24 * 2**30),
        "is_bf16_supported": lambda including_emulation=True: including_emulation,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    found = by_name(examine())
    assert found["gpu 1"].found == "Some GPU, compute capability 9.0, 24 GiB, 20 GiB free"
    assert found["precision"].found == "fp32, fp16"
    without(monkeypatch, "triton")
    assert by_name(examine())["torch.compile"].fix == "pip install triton"


def test_a_full_disk_and_absent_data_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**10, 10**10, 10**6))
    found = by_name(examine((tmp_path / "none", tmp_path), tmp_path))
    assert not found["disk"].ok
    assert found[f"data {tmp_path / 'none'}"].found == "no such folder"
    assert not found[f"data {tmp_path}"].ok
    assert "docs/datasets.md" in found[f"data {tmp_path}"].fix


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["index.jsonl", "00000.tar"], "triplet shards of 1 objects"),
        (["classes.txt", "train.npz", "test.npz"], "labelled clouds"),
        (["shape_names.txt", "ply_data_train0.h5"], "ModelNet as HDF5"),
        (["sofa/train/sofa_1.off", "sofa/test/sofa_2.off"], "ModelNet as meshes"),
        (["main_split/training_objectdataset.h5"], "ScanObjectNN, for"),
        (["shapenet_pc/1-2.npy"], "ShapeNet-55"),
        (["02691156/abc/models/model_normalized.obj"], "ShapeNetCore"),
        (["deep/down/chair.glb"], r"meshes (.glb)"),
        (["notes.txt"], None),
    ],
)
def test_folders_are_known_by_their_files(
    tmp_path: Path, files: list[str], kind: str | None
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one\n")
    found = recognise(tmp_path)
    assert found is None if kind is None else found is not None and found.startswith(kind)


def test_every_recipe_is_listed_under_its_verb_and_can_be_shown(tmp_path: Path) -> None:
    listed = CliRunner().invoke(main, ["recipes"])
    assert listed.exit_code == 0, listed.output
    sections = listed.output.split("cg3d-train ")[1:]
    names = {s.split()[0]: [x.split()[0] for x in s.splitlines()[1:]] for s in sections}
    for verb, kind in (
        ("pretrain", PretrainConfig), ("finetune", FinetuneConfig),
        ("pretrain-triplets", TripletConfig),
    ):  # fmt: skip
        assert names[verb] == list_recipes(kind)
    assert all(len(line.split(maxsplit=1)[1]) > 20 for s in sections for line in s.splitlines()[1:])

    shown = CliRunner().invoke(main, ["recipes", "small-cpu"])
    file = tmp_path / "mine.yaml"
    file.write_text(shown.output)
    assert load_config(TripletConfig, str(file)) == load_config(TripletConfig, "small-cpu")
    assert yaml.safe_load(shown.output)["encoder"] == "point_transformer_small"
    wrong = CliRunner().invoke(main, ["recipes", "small"])
    assert wrong.exit_code == 2
    assert "household-small" in wrong.output


def test_headlines() -> None:
    assert headline("# One thing.\n# Two.\nx: 1\n") == "One thing"
    assert headline("# From a\n# to b: more\n") == "From a to b"
    assert headline("x: 1  # none\n") == ""
