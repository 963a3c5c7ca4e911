"""The exact index against a naive model that sorts everything, and against its own chunking."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError
from cg3d_runtime.retrieval import ExactIndex, Origin
from cg3d_runtime.retrieval import index as index_module

ORIGIN = Origin("test bundle", "ab" * 32)
DIM = 4

IDS = st.sampled_from(["a", "b", "ä/ö.glb", "c d", "👩‍🚀", "e"])
# Few different numbers, so that there are many ties.
VECTORS = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM).filter(any)
METADATA = st.fixed_dictionaries(
    {}, optional={"kind": st.sampled_from(["chair", "mug", 1, True, None])}
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, VECTORS, METADATA),
        st.tuples(st.just("remove"), IDS),
        st.tuples(st.just("search"), VECTORS, st.integers(1, 8), METADATA),
    ),
    max_size=25,
)


def unit(vector: list[int]) -> list[float]:
    length = math.sqrt(math.fsum(v * v for v in vector))
    return [float(np.float32(v / length)) for v in vector]


def naive(model: dict[str, Any], query: list[int], top: int, where: Any) -> list[tuple[str, float]]:
    """Every cosine, sorted; 1 is not true."""
    wanted = [(type(v), v) for v in where.values()]
    scores = {
        id: float(np.float32(math.fsum(a * b for a, b in zip(unit(query), row, strict=True))))
        for id, (row, entry) in model.items()
        if [(type(entry[k]), entry[k]) for k in where if k in entry] == wanted
    }
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:top]


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 3))
def test_any_sequence_of_calls_answers_like_a_naive_model(steps: list[Any], rows: int) -> None:
    index, model = ExactIndex(DIM, ORIGIN), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_ROWS", rows)  # every answer crosses chunks
        for step in steps:
            if step[0] == "add":
                _, id, vector, entry = step
                if id in model:
                    with pytest.raises(InputError, match="already"):
                        index.add([id], [vector], [entry])
                index.add([id], [vector], [entry], replace=id in model)
                model[id] = (unit(vector), entry)
            elif step[0] == "remove":
                if step[1] in model:
                    index.remove([step[1]])
                    del model[step[1]]
                else:
                    with pytest.raises(InputError, match="no shape of the id"):
                        index.remove([step[1]])
            else:
                _, query, top, where = step
                found = index.search([query], top, where)[0]
                assert [(h.id, h.score) for h in found] == naive(model, query, top, where)
                assert all(h.metadata == model[h.id][1] for h in found)
        assert len(index) == len(model)
        assert sorted(index.ids) == sorted(model)


def filled(n: int, dim: int = 32) -> tuple[ExactIndex, np.ndarray]:
    vectors = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    index = ExactIndex(dim, ORIGIN)
    index.add([f"{i:06}" for i in range(n)], vectors, [{"even": i % 2 == 0} for i in range(n)])
    return index, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_batch_over_several_chunks_equals_brute_force() -> None:
    index, vectors = filled(40_000)
    queries = np.random.default_rng(1).normal(size=(70, 32))
    found = index.search(queries, 7)
    wide = vectors.astype(np.float64) @ queries.T / np.linalg.norm(queries, axis=1)
    for query, hits in enumerate(found):
        order = np.argsort(-wide[:, query], kind="stable")[:7]
        assert [int(h.id) for h in hits] == order.tolist()
        np.testing.assert_allclose([h.score for h in hits], wide[order, query], atol=1e-6)


def test_equal_shapes_come_in_the_order_of_their_ids() -> None:
    index = ExactIndex(32, ORIGIN)
    row = np.random.default_rng(0).normal(size=32)
    ids = [f"{i:05}" for i in np.random.default_rng(1).permutation(20_000)]
    index.add(ids, np.tile(row, (len(ids), 1)))
    assert [h.id for h in index.search([row], 3)[0]] == ["00000", "00001", "00002"]


def test_a_filter_with_many_shapes_equals_brute_force() -> None:
    index, vectors = filled(40_000)
    hits = index.search(vectors[:1], 5, {"even": False})[0]
    scores = vectors @ vectors[0]
    scores[::2] = -2
    assert [int(h.id) for h in hits] == np.argsort(-scores)[:5].tolist()
    assert index.search(vectors[:1], 5, {"even": 0}) == [()]


def test_a_refused_call_changes_nothing() -> None:
    index, vectors = filled(10)
    before = index.search(vectors, 10)
    nan = np.full((2, 32), np.nan)
    for call in (
        lambda: index.add(["new", "000003"], vectors[:2]),
        lambda: index.add(["new", "new"], vectors[:2]),
        lambda: index.add(["new", ""], vectors[:2]),
        lambda: index.add(["new", "other"], nan),
        lambda: index.add(["new", "other"], vectors[:2], [{}, {"a": {1, 2}}]),
        lambda: index.add(["new", "other"], vectors[:2], [{}, {"a": math.nan}]),
        lambda: index.remove(["000001", "new"]),
        lambda: index.remove(["000001", "000001"]),
    ):
        with pytest.raises(InputError):
            call()
    assert index.search(vectors, 10) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1, 2]], 3), r"shape \(n, 4\)"),
        (([[0, 0, 0, 0]], 3), "zero"),
        (([[1, 2], [3]], 3), "not an array"),
        (([[1, 0, 0, 0]], 0), "top must be"),
        (([[1, 0, 0, 0]], 3, {"a": [1]}), "where asks for"),
        (([[1, 0, 0, 0]], 3, "chair"), "where must be"),
    ],
)
def test_searches_that_cannot_be_meant(arguments: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ExactIndex(4, ORIGIN).search(*arguments)


def test_metadata_is_copied_in_and_out() -> None:
    index, entry = ExactIndex(2, ORIGIN), {"tags": ["a"]}
    index.add(["x"], [[1, 0]], [entry])
    entry["tags"].append("b")
    index.search([[1, 0]])[0][0].metadata["tags"].append("c")
    assert index.search([[1, 0]])[0][0].metadata == {"tags": ["a"]}


def test_adding_and_searching_at_once(tmp_path: Path) -> None:
    index, vectors = filled(300)
    found: list[int] = []

    def search() -> None:
        for _ in range(30):
            found.append(len(index.search(vectors[:3], 300)[0]))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(100):
        index.add([f"new {i}"], [vectors[i]])
        index.remove([f"{i:06}"])
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert len(index) == 300
