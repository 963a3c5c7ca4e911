"""Table 1: accuracies by hand, the official protocol, and the command on published layouts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_encoders
import torch
from click.testing import CliRunner, Result
from official_weights import official_weights
from small_benchmarks import write_hdf5, write_off, write_text, write_variants
from small_clip import DIM, small_teacher

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import unit_sphere
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.checkpoint import Checkpoint, cpu_state, save_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.data.captions import TEMPLATES
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.encoders import EncoderSpec, build_encoder, encoder_spec
from cg3d_training.encoders.official import load_official_spec
from cg3d_training.paper.contenders import BundleContender, EncoderContender
from cg3d_training.paper.phrasings import class_text, find_phrasings
from cg3d_training.paper.protocol import PROTOCOLS, prepared
from cg3d_training.paper.reported import TABLE_1
from cg3d_training.paper.sets import find_set
from cg3d_training.paper.words import TeacherWords, class_vectors
from cg3d_training.paper.zeroshot import class_scores, counted, zero_shot

NO_MEAN = TextSpace(np.zeros(DIM, np.float32))


def some_clouds(classes: tuple[str, ...], labels: list[int], points: int = 80) -> LabelledClouds:
    clouds = np.random.default_rng(0).normal(size=(len(labels), points, 3)).astype(np.float32)
    return LabelledClouds(classes, clouds, np.array(labels))


def test_accuracies_of_fixed_embeddings_by_hand() -> None:
    """Six classes along the axes; what each cloud's vector holds is its score of that class."""
    classes = tuple("abcdef")
    vectors = np.array([
        [0.9, 0.4, 0, 0, 0, 0],          # an a, at first place
        [0.4, 0.9, 0, 0, 0, 0],          # an a, at second place
        [0.1, 0.4, 0.3, 0.2, 0.8, 0],    # an a, at fifth place
        [0.1, 0.5, 0.4, 0.3, 0.2, 0.6],  # an a, at sixth place
        [0.3, 0.5, 0.6, 0.4, 0.1, 0.2],  # an a, at fourth place
        [0, 0, 1, 0, 0, 0],              # a c, at first place
        [0, 0.3, 0.2, 0.9, 0, 0],        # a c, at third place
    ], np.float32)[:, None]  # fmt: skip
    truth = some_clouds(classes, [0, 0, 0, 0, 0, 2, 2])
    found = counted("by hand", "six", "axes", class_scores(vectors, np.eye(6, dtype="f4")), truth)
    hits = found.hits
    assert (hits.top1, hits.top3, hits.top5) == pytest.approx((2 / 7, 4 / 7, 6 / 7))
    assert hits.per_class == {"a": (1, 5), "c": (1, 2)}
    assert found.mean_class == pytest.approx((1 / 5 + 1 / 2) / 2)
    assert (hits.clouds, hits.labels) == (7, 6)
    assert hits.answers["a"] == {"a": 1, "b": 1, "c": 1, "e": 1, "f": 1}


def test_views_have_one_vote_each() -> None:
    views = np.array([[[1, 0], [0, 1], [0, 1]]], np.float32)
    assert class_scores(views, np.eye(2, dtype="f4"))[0] == pytest.approx([1 / 3, 2 / 3])


def test_long_text_vectors_win_under_the_official_head() -> None:
    """The nearer text is the first; the second is longer, and wins where lengths count."""

    class Fixed:
        name, dim = "fixed", 2

        def raw(self, texts: list[str]) -> np.ndarray:
            self.texts = texts
            return np.array([[1, 0], [6, 8]], np.float32)

        def rows(self, texts: list[str], space: TextSpace) -> np.ndarray:
            return space.apply(self.raw(texts))

    cloud, words = np.array([[[0.96, 0.28]]], np.float32), Fixed()
    plain = TextSpace(np.zeros(2, np.float32))
    names = ["night_stand", "airplane"]
    unit = class_vectors(words, plain, names, ["This is a {}"])
    assert words.texts == ["This is a night stand", "This is an airplane"]
    assert class_scores(cloud, unit)[0] == pytest.approx([0.96, 0.8 * 0.28 + 0.6 * 0.96])
    raw = class_vectors(words, plain, names, ["This is a {}"], raw_names=True, unit_texts=False)
    assert words.texts == ["This is a night_stand", "This is a airplane"]
    assert class_scores(cloud, raw)[0] == pytest.approx([0.96, 10 * (0.8 * 0.28 + 0.6 * 0.96)])
    for templates, space in [(["a {}", "the {}"], plain), (["a {}"], TextSpace(np.ones(2, "f4")))]:
        with pytest.raises(TrainingError, match="go with one phrasing"):
            class_vectors(words, space, names, templates, unit_texts=False)


def test_ensembles_are_means_of_unit_rows() -> None:
    words = TeacherWords(small_teacher(), "small")
    found = class_vectors(words, NO_MEAN, ["chair", "oven"], ["a {}", "This is a {}"])
    for row, name in zip(found, ("chair", "oven"), strict=True):
        article = "an" if name == "oven" else "a"
        vectors = words.raw([f"{article} {name}", f"This is {article} {name}"])
        mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert find_phrasings(["ensemble"]) == TEMPLATES
    assert find_phrasings(["paper", "my {}"]) == ("This is a {}", "my {}")
    assert class_text("This is a {}", "office_chair") == "This is an office chair"
    with pytest.raises(TrainingError, match="once, for the name"):
        find_phrasings(["chair"])


@pytest.mark.parametrize("network", ["pointtransformer", "pointmlp"])
def test_the_official_protocol_gives_the_official_embeddings(shared: Path, network: str) -> None:
    """Whole clouds go in; sampling, encoder and the head of unscaled texts are ours."""
    with np.load(shared / "parity" / "official.npz") as official:
        clouds = official["points_8192"]
        expected = official[f"{network}__points_8192_fps1024"]
        texts = official["slip_text_embed"]
    spec, encoder = load_official_spec(official_weights(shared, network))
    checkpoint = Checkpoint(spec, cpu_state(encoder), torch.zeros(512), 100.0, {}, {})

    class Slip:
        name, dim = "slip", 512

        def raw(self, sentences: list[str]) -> np.ndarray:
            assert sentences == ["This is a night_stand", "This is a sofa", "This is a oven"]
            return texts

        def rows(self, sentences: list[str], space: TextSpace) -> np.ndarray:
            return space.apply(self.raw(sentences))

    contender = EncoderContender(checkpoint, network, Slip())
    protocol = PROTOCOLS["official"]
    assert protocol.points == 8192
    protocol = dataclasses.replace(protocol, points=1024)
    labelled = LabelledClouds(("night_stand", "sofa", "oven"), clouds, np.array([0, 1]))
    found = contender.embed(labelled, protocol)[:, 0]
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(found - unit).max() <= 1e-4 * np.abs(unit).max()
    # eval.py: unit rows of points, texts as they are.
    logits = unit.astype(np.float64) @ texts.astype(np.float64).T
    result = zero_shot(contender, "parity", labelled, ("This is a {}",), protocol)
    right = logits.argmax(axis=1) == [0, 1]
    assert result.hits.top1 == right.mean()
    assert result.hits.top3 == 1


def test_official_sampling_takes_the_official_points(shared: Path) -> None:
    with np.load(shared / "parity" / "official.npz") as official:
        for name in ("points_1024", "points_2048", "points_8192"):
            for cloud, rows in zip(official[name], official[f"fps512__{name}"], strict=True):
                found = prepared(cloud, PROTOCOLS["official"], 512)
                np.testing.assert_allclose(found, unit_sphere(cloud).xyz[rows], atol=1e-6)


def test_official_sampling_of_a_small_cloud_repeats_an_index() -> None:
    cloud = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    found = prepared(cloud, PROTOCOLS["official"], 150)
    assert found.shape == (150, 3)
    assert len(np.unique(found[:100], axis=0)) == 100
    assert len(np.unique(found[100:], axis=0)) == 1
    assert len(np.unique(prepared(cloud, PROTOCOLS["sdk"], 150)[100:], axis=0)) == 50
    with pytest.raises(TrainingError, match="NaN"):
        prepared(cloud * np.nan, PROTOCOLS["official"], 10)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A checkpoint of a tiny encoder, for texts of the small teacher's size."""
    torch.manual_seed(0)
    base = encoder_spec("point_transformer_small")
    spec = EncoderSpec(base.architecture, base.sizes | small_encoders.TINY | {"embedding_dim": DIM})
    file = tmp_path / "tiny.safetensors"
    state = cpu_state(build_encoder(spec))
    save_checkpoint(file, Checkpoint(spec, state, torch.zeros(DIM), 20.0, {}, {}))
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", "zeroshot", *map(str, arguments)])


def results(*arguments: object) -> list[dict[str, Any]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("write", "name", "folder", "clouds", "classes"),
    [
        (write_off, "modelnet10", "ModelNet10", 10, 10),
        (write_text, "modelnet10", "modelnet40_normal_resampled", 10, 10),
        (write_hdf5, "modelnet40", "modelnet40_ply_hdf5_2048", 80, 40),
        (write_variants, "scanobjectnn", "h5_files", 20, 15),
    ],
)
def test_every_published_layout_comes_to_its_table(
    tmp_path: Path, tiny: Path, small_model: Path, write: Callable[[Path], object], name: str,
    folder: str, clouds: int, classes: int,
) -> None:  # fmt: skip
    for part in ("", *(["main_split", "main_split_nobg"] if name == "scanobjectnn" else [])):
        (tmp_path / folder / part).mkdir(parents=True, exist_ok=True)
    write(tmp_path / folder)
    common = [tiny, "--text", f"open_clip:{small_model}", "--pointclip", "--data", tmp_path]
    result = run(*common, "--dataset", name, "--points", 64, "--per-class")
    assert result.exit_code == 0, result.output
    assert f"| PointCLIP | {name} | {clouds} | {classes} |" in result.output
    assert f"| tiny | {name} | {clouds} | {classes} |" in result.output
    assert f"| PointMLP + CG3D | {TABLE_1['PointMLP + CG3D'][name]} |" in result.output
    assert find_set(str(tmp_path / folder), tmp_path).reader == name
    first, second = results(*common, "--dataset", f"{name}={tmp_path / folder}", "--points", 64)
    assert (first["method"], second["method"]) == ("PointCLIP", "tiny")
    assert sum(count for _, count in second["hits"]["per_class"].values()) == clouds


def test_protocols_and_heads_of_the_command(
    household: Path, tiny: Path, small_model: Path, clip_text: Path
) -> None:
    common = [tiny, "--text", f"open_clip:{small_model}", "--dataset", household]
    plain = results(*common)
    assert [r["method"] for r in results(tiny, *common)] == ["tiny", str(tiny)]
    official = results(*common, "--protocol", "official", "--points", 100)
    march = results(*common, "--protocol", "official-march", "--points", 100)
    assert {r[0]["hits"]["clouds"] for r in (plain, official, march)} == {3}
    assert results(*common, "--official-text")[0]["hits"]["labels"] == 1
    for extra, message in [
        (["--text", clip_text], "trained for texts of 12 numbers"),
        (["--points", 4], "8 points or more, not 4"),
        (["--phrasing", "chair"], "once, for the name"),
        (["--phrasing", "ensemble", "--official-text"], "asked with several"),
        (["--text", "slop:x"], "no source of text vectors"),
    ]:
        refused = run(*common, *extra)
        assert refused.exit_code == 1, refused.output
        assert message in refused.output
    assert "has no words of its own" in run(tiny, "--dataset", household).output
    assert "give --text" in run("--pointclip", "--dataset", household).output
    assert "neither a set nor a folder" in run("--dataset", "modelnet50").output
    assert "no labelled set" in run("--dataset", clip_text).output


def test_the_shipped_bundle_on_the_household_set(shared: Path) -> None:
    """With its own text encoder and with CLIP's own vectors of "a NAME"."""
    common = ["--dataset", "household", "--data", shared / "data", "--threads", 1]
    (own,) = results(*common)
    (frozen,) = results(*common, "--text", shared / "data/clip-text", "--phrasing", "name")
    assert own["hits"]["clouds"] == 219
    assert own["hits"]["top1"] > 0.7
    assert abs(own["hits"]["top1"] - frozen["hits"]["top1"]) < 0.05
    assert own["words"] == "household-small"
    bundle = BundleContender(Recognizer())
    with pytest.raises(TrainingError, match="for checkpoints"):
        bundle.embed(some_clouds(("chair",), [0]), PROTOCOLS["official"])


def test_subjects_stay_without_a_verb(shared: Path) -> None:
    tabletop = ["--tabletop", str(shared / "data/scans/tabletop"), "--json"]
    runner = CliRunner()
    both = [runner.invoke(main, ["evaluate", *verb, *tabletop]) for verb in ([], ["subjects"])]
    first, second = (json.loads(result.stdout)[0]["results"] for result in both)
    assert first == second
    assert "zeroshot" in runner.invoke(main, ["evaluate", "--help"]).output
