"""Qdrant's local mode against the exact index, call by call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError
from cg3d_runtime.retrieval import ExactIndex, Hit, Origin

qdrant_client = pytest.importorskip("qdrant_client", reason="needs the extra qdrant")

from cg3d_runtime.retrieval.qdrant import QdrantIndex  # noqa: E402

ORIGIN = Origin("test bundle", "ab" * 32)
DIM = 6

IDS = st.sampled_from(["a", "b", "ä/ö.glb", "c d", "👩‍🚀"])
# No two ids share a vector, so there are no ties.
SEEDS = st.integers(0, 10_000)
KEYS = st.sampled_from(["kind", "a.b", "n[]"])
VALUES = st.sampled_from(["chair", 1, 1.5, True, False, None])
METADATA = st.dictionaries(KEYS, VALUES, max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, SEEDS, METADATA),
        st.tuples(st.just("remove"), IDS),
        st.tuples(st.just("search"), SEEDS, st.integers(1, 6), METADATA),
    ),
    max_size=15,
)


def vector(id: str, seed: int) -> list[float]:
    return np.random.default_rng([seed, *id.encode()]).normal(size=DIM).tolist()


def near(a: list[tuple[Hit, ...]], b: list[tuple[Hit, ...]]) -> None:
    assert [[(h.id, h.metadata) for h in hits] for hits in a] == [
        [(h.id, h.metadata) for h in hits] for hits in b
    ]
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose([h.score for h in one], [h.score for h in other], atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_any_sequence_of_calls_answers_like_the_exact_index(steps: list[Any]) -> None:
    client = qdrant_client.QdrantClient(":memory:")
    both = (QdrantIndex(client, "shapes", DIM, ORIGIN), ExactIndex(DIM, ORIGIN))
    for step in steps:
        if step[0] == "add":
            _, id, seed, entry = step
            there = [id in index for index in both]
            assert there[0] == there[1]
            for index in both:
                if there[0]:
                    with pytest.raises(InputError, match="already"):
                        index.add([id], [vector(id, seed)], [entry])
                index.add([id], [vector(id, seed)], [entry], replace=there[0])
        elif step[0] == "remove":
            for index in both:
                if step[1] in index:
                    index.remove([step[1]])
                else:
                    with pytest.raises(InputError, match="no shape of the id"):
                        index.remove([step[1]])
        else:
            _, seed, top, where = step
            near(*[index.search([vector("", seed)], top, where) for index in both])
    assert len(both[0]) == len(both[1])


def test_a_collection_keeps_its_origin_and_refuses_others() -> None:
    client = qdrant_client.QdrantClient(":memory:")
    index = QdrantIndex(client, "shapes", DIM, ORIGIN)
    index.add([f"{i}" for i in range(600)], np.random.default_rng(0).normal(size=(600, DIM)))
    again = QdrantIndex(client, "shapes", DIM, Origin("another", "cd" * 32))
    assert (again.origin, len(again)) == (ORIGIN, 600)
    with pytest.raises(InputError, match="vectors of 7 numbers"):
        QdrantIndex(client, "shapes", DIM + 1, ORIGIN)
    size = qdrant_client.models.VectorParams(size=DIM, distance="Cosine")
    client.create_collection("theirs", vectors_config=size)
    with pytest.raises(InputError, match="not made by cg3d-sdk"):
        QdrantIndex(client, "theirs", DIM, ORIGIN)
    with pytest.raises(InputError, match="has a quote"):
        index.search(np.eye(DIM), 1, {'quo"te': 1})
    with pytest.raises(InputError, match="keeps itself"):
        index.save("anywhere")
