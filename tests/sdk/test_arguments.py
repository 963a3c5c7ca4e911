"""What is no text, list, count or share is said to be none, by name, wherever it is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_sdk import Cg3dError, InputError, MapSettings, Recognizer, SceneMap, ShapeIndex

CLOUD = np.random.default_rng(0).normal(size=(300, 3))


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("household-tiny", engine="cpu", threads=1)


Calls = dict[str, Callable[[Any], object]]


@pytest.fixture(scope="module")
def calls(recognizer: Recognizer) -> Calls:
    """Calls with one argument that is to be wrong, by its name."""
    scene, memory, shapes = recognizer.scene(CLOUD), SceneMap(recognizer), ShapeIndex(recognizer)
    return {
        "texts": recognizer.embed_text,
        "texts of a scene": scene.query_many,
        "texts of a map": memory.query_many,
        "labels": recognizer.set_labels,
        "clouds": recognizer.classify_many,
        "up": lambda up: recognizer.classify(CLOUD, up),
        "top of a scene": lambda top: scene.query("chair", top),
        "top of a cloud": lambda top: recognizer.query(CLOUD, "chair", top),
        "top of a map": lambda top: memory.query("chair", top),
        "top of an index": lambda top: shapes.search_cloud(CLOUD, top),
        "threshold of a scene": lambda least: scene.query("chair", threshold=least),
        "threshold of a map": lambda least: memory.query("chair", threshold=least),
        "at_once": recognizer.warmup,
        "batch": lambda batch: Recognizer("household-tiny", engine="cpu", batch=batch),
        "engine": lambda engine: Recognizer("household-tiny", engine=engine),
        "progress": lambda progress: recognizer.scene(CLOUD, progress=progress),
        "recognizer of a map": SceneMap,
        "recognizer of an index": ShapeIndex,
        "settings": lambda settings: SceneMap(recognizer, settings),
    }


NAMES = (
    "texts", "texts of a scene", "texts of a map", "labels", "clouds", "up", "top of a scene",
    "top of a cloud", "top of a map", "top of an index", "threshold of a scene",
    "threshold of a map", "at_once", "batch", "engine", "progress", "recognizer of a map",
    "recognizer of an index", "settings",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong",
    [-1, 2.5, float("nan"), 1 + 2j, True, b"chair", {"a": 1}, object(), np.float64(3.5),
     np.array(3), np.zeros((2, 2)), [None], [[3]], "flux capacitor"],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused_with_its_name(calls: Calls, name: str, wrong: object) -> None:
    with pytest.raises(Cg3dError) as caught:
        calls[name](wrong)
    assert "\n" not in str(caught.value)
    if isinstance(caught.value, InputError) and name not in ("clouds", "texts"):
        assert name.split()[0] in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers(-3, 0) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    ),
)
def test_any_value_gives_an_answer_or_an_error_of_ours(
    calls: Calls, name: str, value: object
) -> None:
    with contextlib.suppress(Cg3dError):
        calls[name](value)


def test_what_numpy_calls_a_whole_number_is_one(recognizer: Recognizer) -> None:
    scene, memory = recognizer.scene(CLOUD), SceneMap(recognizer, MapSettings())
    assert len(scene.query("chair", np.int64(1)).regions) == 1
    assert scene.query("chair", threshold=np.float32(0.25)).threshold == 0.25
    assert memory.query("chair", np.uint8(2), np.float64(1)).threshold == 1.0
    assert recognizer.embed_text(np.array(["chair", "table"])).shape[0] == 2  # type: ignore[arg-type]
    recognizer.set_labels(name for name in ("chair", "table"))
    assert recognizer.labels == ("chair", "table")
    recognizer.set_labels(None)
