"""Knowing what is not known: measures, clutter, the fit, the command, and the answer unknown."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.writer import rewrite_bundle
from cg3d_runtime.errors import BundleError, InputError, TrainingError
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk import UNKNOWN, Recognizer
from cg3d_sdk.cli.main import main as cg3d
from cg3d_sdk.shipped import default_bundle
from cg3d_training.data.clutter import made_clutter, table_patches, world_crops
from cg3d_training.unknown.calibrate import Calibrated, write_calibrated
from cg3d_training.unknown.clouds import Shown
from cg3d_training.unknown.fit import Known, fit_calibration
from cg3d_training.unknown.metrics import (
    chance_calibration_error,
    expected_calibration_error,
    rejected_share,
)
from cg3d_training.unknown.report import random_labels, unknown_report

DIM, LABELS = 24, 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_bin_by_bin(answers: list[tuple[float, bool]]) -> None:
    scores, right = np.array([a[0] for a in answers]), np.array([a[1] for a in answers])
    total = 0.0
    for low in range(15):
        inside = [i for i, s in enumerate(scores) if min(int(s * 15), 14) == low]
        if inside:
            gap = abs(np.mean(scores[inside]) - np.mean(right[inside]))
            total += len(inside) / len(answers) * gap
    assert expected_calibration_error(scores, right) == pytest.approx(total, abs=1e-9)


def test_true_scores_have_no_error_but_chance() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    assert expected_calibration_error(scores, rng.random(20_000) < scores) < 0.02
    assert expected_calibration_error(scores, rng.random(20_000) < scores**3) > 0.2
    few = scores[:100]
    found = [expected_calibration_error(few, rng.random(100) < few) for _ in range(200)]
    assert chance_calibration_error(few) == pytest.approx(np.mean(found), rel=0.15)


def test_the_share_that_is_rejected() -> None:
    known = np.arange(100.0)
    assert rejected_share(known, [-1, 5, 9, 10, 50], kept=0.9) == pytest.approx(3 / 5)
    with pytest.raises(ValueError, match="one length"):
        expected_calibration_error([0.5], [True, False])


def test_made_clutter_repeats_and_is_in_the_unit_sphere() -> None:
    cubes = [np.random.default_rng(i).uniform(-1, 1, (500, 3)).astype(np.float32) for i in range(3)]
    first, again = (made_clutter(cubes, 4, np.random.default_rng(7)) for _ in range(2))
    assert len(first) == 3
    for kind, clouds in first.items():
        assert len(clouds) == 4
        for cloud, same in zip(clouds, again[kind], strict=True):
            assert cloud.dtype == np.float32
            assert len(cloud) > 200
            assert np.linalg.norm(cloud, axis=1).max() == pytest.approx(1, abs=1e-4)
            np.testing.assert_array_equal(cloud, same)


def test_patches_of_a_table_lie_flat(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    across = rng.uniform(-400, 400, (9000, 3))
    across[:, 1] = 300 + 0.5 * across[:, 2]  # a table that slopes in the camera's frame
    across[:, 2] += 900
    labels = np.ones(9000, np.uint8)
    labels[:3000] = 2
    across[:3000, 1] -= 100  # an object above it
    np.savez(tmp_path / "view.npz", xyz_mm=across.astype(np.int16), label=labels)
    for patch in table_patches(tmp_path, 5, rng):
        assert np.ptp(patch[:, 1]) < 0.01 < np.ptp(patch[:, 0])
    with pytest.raises(TrainingError, match="no views"):
        table_patches(tmp_path / "none", 1, rng)


def test_crops_of_a_world_are_no_single_thing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0, 4000, (60_000, 3))
    instance = (xyz[:, 0] > 2000).astype(np.uint16)  # two things that meet in a plane
    np.savez(tmp_path / "world.npz", xyz_mm=xyz.astype(np.uint16), instance=instance,
             names=np.array(["Sofa_01", "Desk_01"]))  # fmt: skip
    for crop in world_crops(tmp_path / "world.npz", 5, rng):
        right = (crop[:, 0] > 2.0).mean()
        assert 0.35 < right < 0.65
    np.savez(tmp_path / "one.npz", xyz_mm=xyz.astype(np.uint16), instance=instance * 0,
             names=np.array(["Sofa_01"]))  # fmt: skip
    with pytest.raises(TrainingError, match="only 0 of 1"):
        world_crops(tmp_path / "one.npz", 1, rng)
    with pytest.raises(TrainingError, match=r"missing\.npz is missing"):
        world_crops(tmp_path / "missing.npz", 1, rng)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def task(seed: int) -> tuple[TextBank, Shown]:
    """Things near their label; clutter all over, and off in a direction of its own."""
    rng = np.random.default_rng(99)
    labels = rng.normal(size=(LABELS, DIM))
    labels[:, 0] = 0
    names = tuple(f"thing {i}" for i in range(LABELS))
    bank = TextBank(names, ((),) * LABELS, unit(labels), 60.0)
    rng = np.random.default_rng(seed)
    true = rng.integers(LABELS, size=800)
    near = bank.vectors[true] + 0.4 * rng.normal(size=(800, DIM))
    kin = tuple(f"kin {i % 90}" for i in range(800))
    known = Known(unit(near), tuple((int(t),) for t in true), kin)
    clutter = rng.normal(size=(400, DIM))
    clutter[:, 0] += 4
    half = Known(known.embeddings[:400], known.rows[:400], kin[:400])
    rest = Known(known.embeddings[400:], known.rows[400:], kin[400:])
    return bank, Shown(half, rest, {"lumps": unit(clutter), "noise": unit(clutter[:100, ::-1])})


def test_the_fit_holds_on_others_and_for_other_labels() -> None:
    bank, shown = task(0)
    calibration = fit_calibration(shown.known(), shown.unknown, bank)
    assert calibration.labels == (3, 5, 10, 20, LABELS)
    _, others = task(1)
    tasks = {"all": (np.arange(LABELS),), "12": random_labels(others.whole, 12, 10, seed=5)}
    report = unknown_report(calibration, bank, others, tasks)
    for scores in report.scores:
        # 60 is far too sure of itself; what was fitted is about right.
        assert scores.error < scores.chance + 0.02 < 0.15 < scores.uncalibrated
        assert scores.score == pytest.approx(scores.right, abs=0.06)
    for rejects in report.rejects:
        assert rejects.kept["both"] == pytest.approx(0.9, abs=0.04)
        assert rejects.rejected["lumps"] > 0.9
        assert rejects.at_90["lumps"] >= rejects.cosine_at_90["lumps"] - 0.02
    assert set(report.rejects[1].rejected) == {"lumps", "noise", "things with another name"}
    json.dumps(report.to_dict(), allow_nan=False)


def test_too_few_to_fit() -> None:
    bank, shown = task(0)
    few = Known(shown.whole.embeddings[:9], shown.whole.rows[:9], shown.whole.kin[:9])
    with pytest.raises(TrainingError, match="not 9 and 500"):
        fit_calibration(few, shown.unknown, bank)
    with pytest.raises(TrainingError, match="not 800 and 0"):
        fit_calibration(shown.known(), {}, bank)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a calibration to made embeddings about its own words."""
    plain = Recognizer(engine="cpu", threads=1)
    rng = np.random.default_rng(0)
    true = rng.integers(len(plain.bank), size=300)
    near = unit(plain.bank.vectors[true] + 0.06 * rng.normal(size=(300, 512)))
    known = Known(near, tuple((int(t),) for t in true), tuple(f"kin {t}" for t in true))
    noise = {"noise": unit(rng.normal(size=(200, 512)))}
    found = fit_calibration(known, noise, plain.bank)
    bank, shown = plain.bank, Shown(known, known, noise)
    report = unknown_report(found, bank, shown, {"all": (np.arange(len(bank)),)})
    folder = tmp_path_factory.mktemp("calibrated") / "bundle"
    write_calibrated(plain.bundle, Calibrated(found, report, "made up"), folder)
    return folder


def cloud() -> np.ndarray:
    with np.load(default_bundle().parents[1] / "samples" / "chair.npz") as archive:
        return archive["points"].astype(np.float32)


def test_the_recognizer_says_unknown(calibrated: Path) -> None:
    swarm = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    plain = Recognizer(calibrated, engine="cpu", threads=1).classify(swarm)
    assert plain.known
    assert plain.familiarity is not None
    assert plain.familiarity < 0.9
    assert plain.label == plain.ranking[0].label
    above = Recognizer(calibrated, engine="cpu", threads=1, reject=plain.familiarity + 0.005)
    high, chair = above.classify_many([swarm, cloud()])
    assert (high.known, high.label, high.score) == (False, UNKNOWN, 0.0)
    # Two clouds at once: the sums are taken in another order.
    assert [r.label for r in high.ranking[:3]] == [r.label for r in plain.ranking[:3]]
    assert high.ranking[0].score == pytest.approx(plain.ranking[0].score, abs=1e-4)
    assert high.to_dict(1)["known"] is False
    assert (chair.known, chair.label) == (True, "chair")
    low = Recognizer(calibrated, engine="cpu", threads=1, reject=0.0).classify(swarm)
    assert (low.known, low.label, low.score) == (True, plain.label, plain.score)


def test_scores_take_the_scale_of_the_number_of_labels(calibrated: Path) -> None:
    names = ["chair", "table", "mug"]
    recognizer = Recognizer(calibrated, labels=names, engine="cpu", threads=1)
    answer = recognizer.classify(cloud())
    bundle = Bundle.open(calibrated)
    calibration = bundle.calibration()
    assert calibration is not None
    logits = calibration.logit_scale(3) * (recognizer.bank.vectors @ answer.embedding)
    odds = np.exp(logits - logits.max())
    assert answer.score == pytest.approx(odds.max() / odds.sum(), abs=1e-4)
    recognizer.set_labels(None)
    assert recognizer.bank.logit_scale == pytest.approx(
        calibration.logit_scale(len(bundle.text().labels))
    )


def test_labels_change_in_one_thread_while_others_classify(calibrated: Path) -> None:
    """Scores keep the scale that belongs to their labels."""
    sets = [["chair", "table", "mug"], ["chair", "bed", "sofa", "lamp", "desk", "vase"]]
    recognizer = Recognizer(calibrated, engine="cpu", threads=1)
    expected = {}
    for names in sets:
        recognizer.set_labels(names)
        expected[len(names)] = recognizer.classify(cloud())

    def change(seed: int) -> None:
        for i in np.random.default_rng(seed).integers(2, size=40):
            recognizer.set_labels(sets[i])

    with ThreadPoolExecutor(5) as pool:
        changing = [pool.submit(change, seed) for seed in range(2)]
        answers = list(pool.map(lambda _: recognizer.classify(cloud()), range(20)))
        for one in changing:
            one.result()
    for answer in answers:
        same = expected[len(answer.ranking)]
        assert answer.ranking == same.ranking
        assert answer.familiarity == same.familiarity


def test_reject_needs_a_calibration_and_a_share(calibrated: Path, tmp_path: Path) -> None:
    plain = rewrite_bundle(Bundle.open(default_bundle()), tmp_path / "plain", {}, calibration=None)
    assert plain.calibration() is None
    with pytest.raises(BundleError, match="cg3d-train calibrate"):
        Recognizer(plain.root, reject=0.1)
    for share in (-0.1, 1.0, "0.1"):
        with pytest.raises(InputError, match="from 0 to below 1"):
            Recognizer(calibrated, reject=share)  # type: ignore[arg-type]


def test_reject_on_the_command_line(calibrated: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(2000, 3)))
    call = ["classify", str(tmp_path / "noise.npy"), "--bundle", str(calibrated), "--engine", "cpu"]
    shown = CliRunner().invoke(cg3d, [*call, "--reject", "0.999", "--top", "2"])
    assert shown.exit_code == 0
    assert "unknown  | most like " in shown.output
    document = json.loads(CliRunner().invoke(cg3d, [*call, "--reject", "0.999", "--json"]).stdout)
    assert document["reject"] == 0.999
    (result,) = document["results"]
    assert (result["label"], result["score"], result["known"]) == ("unknown", 0.0, False)
    assert result["ranking"][0]["score"] > 0
    assert (
        "calibrated for 3 to 1619 labels"
        in CliRunner().invoke(cg3d, ["info", str(calibrated)]).output
    )
