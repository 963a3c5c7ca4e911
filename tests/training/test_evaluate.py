"""Counting hits, and what the shipped bundle reaches on objects it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_sdk import Recognizer
from cg3d_training.cli.main import main
from cg3d_training.data.clip_text import load_vocabulary
from cg3d_training.evaluation.accuracy import Accuracy, accuracy
from cg3d_training.evaluation.run import evaluate
from cg3d_training.evaluation.subjects import BundleSubject


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(2, 9), st.integers(0, 9999), st.booleans())
def test_hits_counted_by_sorting(objects: int, labels: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(objects, labels)).astype(np.float32)
    if ties:
        scores = np.round(scores)
    truth = rng.integers(labels, size=objects).tolist()
    names = [f"label {i}" for i in range(labels)]
    found = accuracy("task", scores, truth, names)

    ranked = [sorted(range(labels), key=lambda j: (-row[j], j)) for row in scores]
    for k, share in ((1, found.top1), (3, found.top3), (5, found.top5)):
        hits = [t in order[:k] for t, order in zip(truth, ranked, strict=True)]
        assert share == pytest.approx(np.mean(hits))
    assert found.top1_interval[0] <= found.top1 <= found.top1_interval[1]
    for c, name in enumerate(names):
        own = [order[0] == t for t, order in zip(truth, ranked, strict=True) if t == c]
        assert found.per_class.get(name, (0, 0)) == (sum(own), len(own))
        said = [names[o[0]] for t, o in zip(truth, ranked, strict=True) if t == c]
        assert found.answers.get(name, {}) == {s: said.count(s) for s in said}


def test_more_views_of_an_object_are_no_more_objects() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(50, 4)).astype(np.float32)
    truth = rng.integers(4, size=50)
    names = list("abcd")
    once = accuracy("task", scores, truth.tolist(), names)
    # Every object five times with the same answers: surer of nothing.
    shown = np.repeat(np.arange(50), 5)
    often = accuracy(
        "task", scores[shown], truth[shown].tolist(), names, None, (7 * shown).tolist()
    )
    assert (often.objects, often.clouds) == (50, 250)
    assert often.top1_interval == pytest.approx(once.top1_interval)
    apart = accuracy("task", scores[shown], truth[shown].tolist(), names)
    assert np.ptp(apart.top1_interval) < 0.6 * np.ptp(often.top1_interval)


def test_the_interval_covers_a_coin() -> None:
    rng = np.random.default_rng(0)
    scores = np.zeros((400, 2), np.float32)
    scores[:, 0] = rng.choice([-1, 1], 400)
    found = accuracy("coin", scores, [0] * 400, ["heads", "tails"])
    low, high = found.top1_interval
    # 400 throws: the normal approximation gives 1.96 * sqrt(0.25 / 400) = 0.049 to each side.
    assert low == pytest.approx(found.top1 - 0.049, abs=0.01)
    assert high == pytest.approx(found.top1 + 0.049, abs=0.01)


@pytest.fixture(scope="module")
def results(shared: Path) -> dict[str, Accuracy]:
    data = shared / "data"
    report = evaluate(
        BundleSubject(Recognizer(engine="cpu")), data / "household",
        load_vocabulary(data / "clip-text"), data / "scans" / "tabletop", ("whole", "tabletop"),
    )  # fmt: skip
    return {r.task: r for r in report.results}


def test_the_shipped_bundle_names_unseen_objects(results: dict[str, Accuracy]) -> None:
    modelnet = results["ModelNet40 names"]
    assert (modelnet.objects, modelnet.labels) == (219, 40)
    assert modelnet.top1 >= 0.55
    whole = results["whole vocabulary"]
    assert whole.labels > 1600
    assert whole.objects > 600
    assert whole.top5 >= 0.50


def test_real_scans_are_all_answered(results: dict[str, Accuracy]) -> None:
    assert results["tabletop scans"].objects == 76


def test_the_model_card_states_these_numbers(results: dict[str, Accuracy]) -> None:
    from cg3d_sdk.shipped import default_bundle

    card = (default_bundle() / "MODEL_CARD.md").read_text(encoding="utf-8")
    for r in results.values():
        row = next(line for line in card.splitlines() if line.startswith(f"| {r.task} |"))
        stated = [float(cell.split("%")[0]) for cell in row.split("|")[4:7]]
        # Half a percentage point is one object: other processors round FP16 differently.
        assert stated == pytest.approx([100 * v for v in (r.top1, r.top3, r.top5)], abs=1.4)


def test_the_command_wants_something_to_measure(shared: Path) -> None:
    assert CliRunner().invoke(main, ["evaluate"]).exit_code == 2
    half = CliRunner().invoke(main, ["evaluate", "--household", str(shared)])
    assert "go together" in half.output
    tabletop = ["evaluate", "--tabletop", str(shared / "data" / "scans" / "tabletop"), "--json"]
    (report,) = json.loads(CliRunner().invoke(main, tabletop).stdout)
    assert [r["objects"] for r in report["results"]] == [76]
