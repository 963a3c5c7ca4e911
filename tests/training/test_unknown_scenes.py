"""When a thing counts as found in a scene: the choice, the flats, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.writer import rewrite_bundle
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.scene.scoring import FOUND, found_from
from cg3d_sdk import Recognizer
from cg3d_sdk.shipped import default_bundle
from cg3d_training.cli.main import main
from cg3d_training.evaluation import seen_rooms
from cg3d_training.unknown import scenes
from cg3d_training.unknown.scenes import (
    Asked,
    ScenesCalibration,
    ask_flat,
    choose,
    rates,
    write_scenes,
)

SCORES = st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.2, 0.5, 1.0]), min_size=1, max_size=8)


def answers(hits: list[float], absent: list[float], candidates: int = 100) -> list[Asked]:
    asked = [Asked("a", True, True, score, candidates) for score in hits]
    return asked + [Asked("b", False, False, score, candidates) for score in absent]


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES)
def test_no_other_threshold_is_better(hits: list[float], absent: list[float]) -> None:
    asked = answers(hits, absent)
    found, growth = choose(asked)
    assert growth == 0  # all flats are of one size
    if len({*hits, *absent}) > 1:
        best = max(rates(asked, t, 0.0).worse for t in np.linspace(0.001, 0.999, 999))
        assert rates(asked, found, growth).worse == pytest.approx(best)


def test_the_threshold_grows_with_the_candidates_where_that_serves() -> None:
    small = answers([0.021, 0.03], [0.001, 0.015], 100)
    large = answers([0.041, 0.06], [0.002, 0.035], 400)
    found, growth = choose([*small, *large])
    assert growth == 0.5
    assert 0.0175 < found < 0.0205
    assert rates([*small, *large], found, growth).worse == 1.0
    assert rates([*small, *large], found, 0.0).worse < 1.0


def test_misses_count_for_neither() -> None:
    asked = [*answers([0.4, 0.3], [0.1, 0.2]), Asked("c", True, False, 0.9, 100)]
    assert choose(asked) == (pytest.approx(0.25), 0.0)
    found = rates(asked, 0.25, 0.0)
    assert (found.present, found.hits, found.hits_kept, found.absent_told) == (3, 2, 1.0, 1.0)
    with pytest.raises(TrainingError, match="not 0 and 1"):
        choose(answers([], [0.1]))


def test_flats_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small flat: what stands there is found more surely than what does not."""
    monkeypatch.setattr(seen_rooms, "ROOMS", 1)
    monkeypatch.setattr(seen_rooms, "_DENSITY", 150.0)
    asked = ask_flat(Recognizer(engine="cpu", threads=1), 2, camera=False)
    present = [one for one in asked if one.present]
    absent = [one for one in asked if not one.present]
    assert len(absent) == 20
    assert not {one.name for one in present} & {one.name for one in absent}
    assert not {"floor", "wall", "ceiling"} & {one.name for one in asked}
    hits = [one.score for one in present if one.hit]
    assert hits
    assert np.median(hits) > np.median([one.score for one in absent])


def test_the_bundle_says_it_and_scenes_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        scenes, "ask_flat", lambda recognizer, seed, camera: answers([0.4, 0.2 + seed / 10], [0.1])
    )
    result = CliRunner().invoke(
        main,
        ["calibrate-scenes", str(default_bundle()), "-o", str(tmp_path / "b"), "--flats", "4",
         "--json"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout[result.stdout.index("{") :])
    manifest = Bundle.open(tmp_path / "b").manifest
    assert manifest.scenes is not None
    assert manifest.scenes.found == printed["found"] == pytest.approx(0.15)
    assert manifest.scenes.record["reported_on"]["hits_kept"] == 1.0
    assert (tmp_path / "b" / "encoder.onnx").read_bytes() == (
        default_bundle() / "encoder.onnx"
    ).read_bytes()

    cloud = np.random.default_rng(0).random((3000, 3))
    with Recognizer(tmp_path / "b", engine="cpu", threads=1) as recognizer:
        answer_scene = recognizer.scene(cloud)
        answer = answer_scene.query("chair")
    scenes_said = manifest.scenes
    assert answer.threshold == found_from(
        len(answer_scene.embeddings), scenes_said.found, scenes_said.growth
    )
    assert answer.found == (answer.regions[0].score >= answer.threshold)


def test_a_bundle_that_does_not_say_has_the_default(tmp_path: Path) -> None:
    none = rates([], 0.3, 0.0)
    found = ScenesCalibration(0.3, 0.0, none, none, "made up")
    silent = write_scenes(Bundle.open(default_bundle()), found, tmp_path / "b")

    silent = rewrite_bundle(silent, tmp_path / "c", {}, scenes=None)
    cloud = np.random.default_rng(0).random((3000, 3))
    for bundle, threshold in ((tmp_path / "b", 0.3), (silent.root, FOUND)):
        with Recognizer(bundle, engine="cpu", threads=1) as recognizer:
            assert recognizer.scene(cloud).found == threshold


def test_too_few_flats() -> None:
    with pytest.raises(TrainingError, match="needs 4 flats"):
        scenes.calibrate_scenes(default_bundle(), 3)
