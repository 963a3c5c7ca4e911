"""What is no text, list, count or share is said to be none, by name, wherever it is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_sdk import Cg3dError, InputError, MapSettings, Recognizer, Scene, SceneMap, ShapeIndex

CLOUD = np.random.default_rng(0).normal(size=(300, 3))


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("household-tiny", engine="cpu", threads=1)


@dataclass(frozen=True)
class Given:
    """What is called."""

    recognizer: Recognizer
    scene: Scene
    memory: SceneMap
    shapes: ShapeIndex


@pytest.fixture(scope="module")
def given_all(recognizer: Recognizer) -> Given:
    scene = recognizer.scene(CLOUD)
    return Given(recognizer, scene, SceneMap(recognizer), ShapeIndex(recognizer))


#: Calls with one argument that is to be wrong, by its name.
CALLS: dict[str, Callable[[Given, Any], object]] = {
    "texts": lambda own, texts: own.recognizer.embed_text(texts),
    "texts of a scene": lambda own, texts: own.scene.query_many(texts),
    "texts of a map": lambda own, texts: own.memory.query_many(texts),
    "labels": lambda own, labels: own.recognizer.set_labels(labels),
    "clouds": lambda own, clouds: own.recognizer.classify_many(clouds),
    "up": lambda own, up: own.recognizer.classify(CLOUD, up),
    "top of a scene": lambda own, top: own.scene.query("chair", top),
    "top of a cloud": lambda own, top: own.recognizer.query(CLOUD, "chair", top),
    "top of a map": lambda own, top: own.memory.query("chair", top),
    "top of an index": lambda own, top: own.shapes.search_cloud(CLOUD, top),
    "threshold of a scene": lambda own, least: own.scene.query("chair", threshold=least),
    "threshold of a map": lambda own, least: own.memory.query("chair", threshold=least),
    "at_once": lambda own, count: own.recognizer.warmup(count),
    "batch": lambda _, batch: Recognizer("household-tiny", engine="cpu", batch=batch),
    "engine": lambda _, engine: Recognizer("household-tiny", engine=engine),
    "progress": lambda own, progress: own.recognizer.scene(CLOUD, progress=progress),
    "recognizer of a map": lambda _, recognizer: SceneMap(recognizer),
    "recognizer of an index": lambda _, recognizer: ShapeIndex(recognizer),
    "settings": lambda own, settings: SceneMap(own.recognizer, settings),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "wrong",
    [-1, 2.5, float("nan"), 1 + 2j, True, b"chair", {"a": 1}, object(), np.float64(3.5),
     np.array(3), np.zeros((2, 2)), [None], [[3]], "flux capacitor"],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused_with_its_name(given_all: Given, name: str, wrong: object) -> None:
    with pytest.raises(Cg3dError) as caught:
        CALLS[name](given_all, wrong)
    assert "\n" not in str(caught.value)
    if isinstance(caught.value, InputError) and name not in ("clouds", "texts"):
        assert name.split()[0] in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(CALLS)),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers(-3, 0) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    ),
)
def test_any_value_gives_an_answer_or_an_error_of_ours(
    given_all: Given, name: str, value: object
) -> None:
    with contextlib.suppress(Cg3dError):
        CALLS[name](given_all, value)


def test_what_numpy_calls_a_whole_number_is_one(recognizer: Recognizer) -> None:
    scene, memory = recognizer.scene(CLOUD), SceneMap(recognizer, MapSettings())
    assert len(scene.query("chair", np.int64(1)).regions) == 1
    assert scene.query("chair", threshold=np.float32(0.25)).threshold == 0.25
    assert memory.query("chair", np.uint8(2), np.float64(1)).threshold == 1.0
    assert recognizer.embed_text(np.array(["chair", "table"])).shape[0] == 2  # type: ignore[arg-type]
    recognizer.set_labels(name for name in ("chair", "table"))
    assert recognizer.labels == ("chair", "table")
    recognizer.set_labels(None)
