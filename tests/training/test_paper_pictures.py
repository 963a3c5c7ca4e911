"""Tables 4 and 5: probes against scikit-learn, towers against the teacher, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from small_benchmarks import write_hdf5
from small_clip import small_teacher
from small_triplets import TINY, made_shards
from torch.nn import functional

from cg3d_runtime.errors import DependencyError, TrainingError
from cg3d_runtime.points import unit_sphere
from cg3d_training.cli.main import main
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.data.triplet_set import PictureForm
from cg3d_training.paper import probe as probe_module
from cg3d_training.paper.depth_maps import DEPTH_MAPS
from cg3d_training.paper.image_tables import measure_pictures
from cg3d_training.paper.pictures import (
    ImageTower,
    of_clouds,
    of_shards,
    open_prompts,
    view_vectors,
)
from cg3d_training.paper.probe import linear_probe
from cg3d_training.paper.reported import TABLE_4, TABLE_5
from cg3d_training.paper.words import TeacherWords
from cg3d_training.render.pointclip import pointclip_views
from cg3d_training.teachers import DeepPrompts


def prompts_for(model: Any, tokens: int = 2) -> DeepPrompts:
    torch.manual_seed(3)
    made = DeepPrompts.for_tower(model.token_tower(), tokens)
    with torch.no_grad():
        made.prompt_embeddings.mul_(20)  # so that they change something
    return made


@pytest.mark.parametrize("kinds", [2, 5])
def test_probes_are_scikit_learns(kinds: int) -> None:
    rng = np.random.default_rng(kinds)
    places = rng.normal(size=(kinds, 8))
    labels, shown = rng.integers(kinds, size=60), rng.integers(kinds, size=41)
    train = (places[labels] + rng.normal(size=(60, 8))).astype(np.float32)
    test = (places[shown] + rng.normal(size=(41, 8))).astype(np.float32)
    classes = [f"class {k}" for k in range(kinds)]
    found = linear_probe("made", train, labels, test, shown, classes)
    direct = LogisticRegression(C=0.316, max_iter=1000).fit(train, labels)
    assert found.top1 == pytest.approx(direct.score(test, shown), abs=1e-12)
    assert 1 / kinds < found.top1 < 1
    answers = direct.predict(test)
    for k in range(kinds):
        own = shown == k
        assert found.per_class[classes[k]] == ((answers[own] == k).sum(), own.sum())
    loose = linear_probe("made", train, labels, test, shown, classes, strength=100.0)
    again = LogisticRegression(C=100.0, max_iter=1000).fit(train, labels)
    assert loose.top1 == pytest.approx(again.score(test, shown), abs=1e-12)


def test_classes_that_a_probe_never_saw_are_never_its_answer() -> None:
    train = np.eye(4, dtype=np.float32)
    found = linear_probe("made", train, np.array([0, 0, 2, 2]), train, np.arange(4), list("abcd"))
    assert found.per_class == {"a": (1, 1), "b": (0, 1), "c": (1, 1), "d": (0, 1)}
    with pytest.raises(TrainingError, match="two classes"):
        linear_probe("made", train, np.zeros(4, np.int64), train, np.arange(4), list("abcd"))


def test_towers_see_what_the_teacher_sees() -> None:
    teacher = small_teacher()
    clouds = np.random.default_rng(0).normal(size=(7, 50, 3)).astype(np.float32)
    labelled = LabelledClouds(("chair",), clouds, np.zeros(7, np.int64))
    towers = [ImageTower("plain", teacher), ImageTower("tuned", teacher, prompts_for(teacher))]
    for name, views in [("pointclip", 6), ("official-single", 1), ("prepared", 1)]:
        pictures = of_clouds("made", labelled, DEPTH_MAPS[name])
        plain, tuned = view_vectors(towers, pictures)
        assert plain.shape == tuned.shape == (7, views, 12)
        np.testing.assert_allclose(np.linalg.norm(plain, axis=2), 1, atol=1e-5)
        assert np.abs(plain - tuned).max() > 1e-3
        made = pictures.make(6, PictureForm.of(teacher))
        alone = functional.normalize(teacher.encode_image(made, towers[1].prompts), dim=1)
        np.testing.assert_allclose(tuned[6], alone.detach(), atol=1e-5)


def test_pointclips_maps_reach_the_tower_as_depths() -> None:
    """Without CLIP's mean and deviation, enlarged with the corners in place."""
    cloud = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    form = PictureForm((255, 255), (0.5,) * 3, (0.1,) * 3)
    made = DEPTH_MAPS["pointclip"].draw(cloud, form)
    maps = pointclip_views(unit_sphere(cloud).xyz)
    assert made.shape == (6, 3, 255, 255)
    np.testing.assert_allclose(made[:, 1, ::2, ::2], maps, atol=1e-6)


def test_the_probes_of_the_table_are_scikit_learns_on_the_views_side_by_side() -> None:
    teacher, kinds = small_teacher(), ("flat", "long", "round")
    rng = np.random.default_rng(0)
    splits = {}
    for split, count in (("train", 24), ("test", 30)):
        labels = np.arange(count) % 3
        scales = np.array([[1, 0.4, 1], [0.5, 1, 0.5], [1, 1, 1]])[labels][:, None]
        clouds = (rng.normal(size=(count, 60, 3)) * scales).astype(np.float32)
        splits[split] = of_clouds(
            "made", LabelledClouds(kinds, clouds, labels), DEPTH_MAPS["official"]
        )
    towers = [ImageTower("plain", teacher), ImageTower("tuned", teacher, prompts_for(teacher))]
    words = TeacherWords(teacher, "small")
    found = measure_pictures(towers, words, ["This is a {}"], splits["test"], splits["train"])
    train, test = view_vectors(towers, splits["train"]), view_vectors(towers, splits["test"])
    for result, learnt, shown in zip(found, train, test, strict=True):
        assert learnt.shape == (24, 3, 12)
        direct = LogisticRegression(C=0.316, max_iter=1000)
        direct.fit(learnt.reshape(24, 36), splits["train"].labels)
        assert result.probe is not None
        right = direct.score(shown.reshape(30, 36), splits["test"].labels)
        assert result.probe.top1 == pytest.approx(right, abs=1e-12)
        assert result.trained_on == 24
        assert 1 / 3 < right < 1
    assert found[0].probe != found[1].probe  # prompts change what a probe sees


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", "pictures", *map(str, arguments)])


def test_the_command_makes_tables_4_and_5(tmp_path: Path, small_model: Path, shards: Path) -> None:
    (tmp_path / "test").mkdir()
    test = made_shards(tmp_path / "test", 30, 6)
    clouds = tmp_path / "modelnet40_ply_hdf5_2048"
    clouds.mkdir()
    write_hdf5(clouds)
    (tmp_path / "run").mkdir()
    state = prompts_for(small_teacher()).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "run/prompts.safetensors")
    common = [
        "--teacher", f"open_clip:{small_model}", "--prompts", f"CG3D-render={tmp_path / 'run'}",
        "--shards", test, "--dataset", "modelnet40", "--data", tmp_path,
    ]  # fmt: skip
    result = run(*common, "--probe", "--train-shards", shards)
    assert result.exit_code == 0, result.output
    for row in TABLE_4, TABLE_5:
        assert f"| CG3D-depth | {row['CG3D-depth'][0]} | {row['CG3D-depth'][1]} |" in result.output
    assert result.output.count("| CG3D-render | ") == 4
    assert "modelnet40, one depth map as prepared |" in result.output
    found = json.loads(run(*common, "--json").stdout)
    assert [(r["method"], r["words"]["clouds"], r["probe"]) for r in found] == [
        ("PointCLIP", 6, None), ("CG3D-render", 6, None),
        ("PointCLIP", 80, None), ("CG3D-render", 80, None),
    ]  # fmt: skip
    both = of_shards([test, shards])
    assert both[0].classes == both[1].classes == ("airplane", "bottle", "mug", "table")
    assert [len(part.labels) for part in both] == [6, 22]
    for arguments, message in [
        (["--teacher", f"open_clip:{small_model}"], "give --shards or --dataset"),
        ([*common, "--probe"], "give --train-shards"),
        ([*common, "--prompts", "x"], "write NAME=RUN"),
        ([*common, "--prompts", f"x={tmp_path}"], "no such file"),
        ([*common, "--teacher", tmp_path], "should hold names.json"),
    ]:
        assert message in run(*arguments).output


def test_prompts_for_depth_maps_from_files_to_the_row(tmp_path: Path, small_model: Path) -> None:
    """CG3D-depth by commands alone: `prepare`, `pretrain-triplets`, `evaluate pictures`."""
    weights = tmp_path / "clip.safetensors"  # a CLIP from a path
    save_file(small_teacher().model.state_dict(), weights)
    (tmp_path / "test").mkdir()
    made_shards(tmp_path / "test", 0, 12)
    meshes = tmp_path / "test/meshes"
    made = CliRunner().invoke(main, [
        "prepare", str(meshes), "-o", str(tmp_path / "depth"), "--renderer", "depth", "--points",
        "128", "--size", "16", "--views", "2", "--workers", "1",
    ])  # fmt: skip
    assert made.exit_code == 0, made.output
    recipe = tmp_path / "depth.yaml"
    recipe.write_text(json.dumps({
        "encoder": "point_transformer_small", "encoder_sizes": TINY,
        "optimiser": {"epochs": 4, "batch_size": 4}, "prompts": {"tokens": 2, "lr": 5.0},
    }))  # fmt: skip
    trained = CliRunner().invoke(main, [
        "pretrain-triplets", "--config", str(recipe), "-o", str(tmp_path / "run"),
        "--set", f"data.shards={tmp_path / 'depth'}", "--set", f"teacher.model={small_model}",
        "--set", f"teacher.weights={weights}", "--device", "cpu",
    ])  # fmt: skip
    assert trained.exit_code == 0, trained.output
    shown = ["--shards", tmp_path / "depth", "--teacher", f"open_clip:{small_model}:{weights}"]
    prompts = ["--prompts", f"CG3D-depth={tmp_path / 'run'}"]
    found = json.loads(run(*shown, *prompts, "--json").stdout)
    assert [(r["method"], r["words"]["clouds"]) for r in found] == [
        ("PointCLIP", 12), ("CG3D-depth", 12),
    ]  # fmt: skip
    # The row is what the teacher says through the trained prompts, by its own two towers.
    teacher, (pictures,) = small_teacher(), of_shards([tmp_path / "depth"])
    assert pictures.classes == ("airplane", "bottle", "mug", "table")
    made_of = torch.cat([pictures.make(row, PictureForm.of(teacher)) for row in range(12)])
    texts = ["This is an airplane", *(f"This is a {name}" for name in pictures.classes[1:])]
    words = functional.normalize(teacher.encode_text(teacher.tokenise(texts)), dim=1)
    learnt = open_prompts(tmp_path / "run")
    for row, own in zip(found, (None, learnt), strict=True):
        answers = (teacher.encode_image(made_of, own) @ words.T).argmax(dim=1).numpy()
        assert row["words"]["top1"] == pytest.approx((answers == pictures.labels).mean())


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, extra: str, why: str) -> None:
        raise DependencyError(f"{why} needs {module}: pip install 'cg3d-sdk[{extra}]'")

    monkeypatch.setattr(probe_module, "require", missing)
    with pytest.raises(DependencyError, match=r"cg3d-sdk\[probe\]"):
        probe_module.check_probe()
