"""What users hold: rankings made when somebody looks, and where the time went."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cg3d_sdk import Ranked, Recognizer, SceneMap, ShapeIndex, Timings
from cg3d_sdk.results import Ranking


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=12), st.data())
def test_a_ranking_is_the_tuple_it_replaces(scores: list[float], data: st.DataObject) -> None:
    labels = tuple(f"name {i}" for i in range(len(scores)))
    ranking = Ranking(labels, np.array(scores, np.float32))
    plain = tuple(
        sorted((Ranked(n, s) for n, s in zip(labels, scores, strict=True)), key=lambda r: -r.score)
    )
    assert isinstance(ranking, Sequence)
    assert len(ranking) == len(plain)
    assert tuple(ranking) == plain
    assert ranking == plain
    assert hash(ranking) == hash(plain)
    place = data.draw(st.integers(-len(plain), len(plain) - 1))
    assert ranking[place] == plain[place]
    cut = data.draw(st.slices(len(plain)))
    assert ranking[cut] == plain[cut]
    assert pickle.loads(pickle.dumps(ranking)) == ranking
    assert ranking != plain[:-1]
    with pytest.raises(IndexError):
        ranking[len(plain)]


def test_the_time_is_told_by_stage() -> None:
    recognizer = Recognizer(engine="cpu", threads=1, batch=2)
    warm = recognizer.warmup()
    assert warm.prepare > 0
    assert warm.encode > 0
    assert warm.score > 0
    assert warm.segment == 0
    assert warm.clouds == 1
    assert warm.total == pytest.approx(warm.prepare + warm.encode + warm.score)
    clouds = [np.random.default_rng(i).normal(size=(100, 3)) for i in range(3)]
    answers = recognizer.classify_many(clouds)
    assert {answer.timings.clouds for answer in answers} == {3}
    room = np.random.default_rng(0).random((4000, 3)) * 2
    scene = recognizer.scene(room)
    assert scene.timings.segment > 0
    assert scene.timings.clouds == len(scene.embeddings)
    asked, whole = scene.query("chair").timings, recognizer.query(room, "chair").timings
    assert asked == Timings(score=asked.score, clouds=len(scene.embeddings))
    assert whole.segment > 0
    assert whole.encode > 0
    assert set(whole.to_dict()) == {"segment", "prepare", "encode", "score", "clouds"}


def test_what_a_terminal_shows_is_short() -> None:
    recognizer = Recognizer(engine="cpu", threads=1, labels=["chair", "sofa"])
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.random((4000, 2)) * 4, np.zeros(4000)])
    scene = recognizer.scene(np.concatenate([floor, rng.random((2000, 3)) * 0.5 + [1, 1, 0.2]]))
    answer = recognizer.classify(rng.random((300, 3)))
    region = scene.query("chair", top=1).regions[0]
    for value in (recognizer, answer, scene, region, SceneMap(recognizer), ShapeIndex(recognizer)):
        assert len(repr(value)) < 600
        assert "\n" not in repr(value)
    assert "2 labels" in repr(recognizer)
    assert "chair" in repr(answer)
    assert "6,000 points" in repr(scene)
    recognizer.close()
    assert "household-small" in repr(recognizer)
