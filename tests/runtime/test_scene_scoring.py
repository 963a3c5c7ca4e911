"""Scores against the text bank's own softmax, candidates and overlap against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cg3d_runtime.scene.scoring import apart, belief
from cg3d_runtime.scene.segmentation import LEAST_POINTS, Partition, candidates, groups
from cg3d_runtime.text.bank import TextBank


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_belief_is_the_banks_softmax_without_names_of_the_same_meaning() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(6, 16)))
    vectors[1] = unit(vectors[:1] + 0.1 * vectors[2:3])[0]  # "couch" beside "sofa"
    bank = TextBank(tuple("abcdef"), ((),) * 6, vectors, 12.0)
    embeddings = unit(rng.normal(size=(20, 16)))
    others = bank.select(list("acdef"))
    assert (others.vectors[1:] @ vectors[0]).max() < 0.6
    np.testing.assert_allclose(
        belief(embeddings, vectors[0], bank), others.score(embeddings)[:, 0], rtol=1e-4
    )


def test_a_text_alone_has_all_the_belief() -> None:
    vectors = unit(np.ones((1, 4)))
    bank = TextBank(("a",), ((),), vectors, 10.0)
    assert belief(vectors, vectors[0], bank) == pytest.approx([1.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30), min_size=1), max_size=12), st.integers(1, 5))
def test_answers_do_not_lie_over_one_another(sets: list[set[int]], most: int) -> None:
    parts = [np.array(sorted(rows), np.int64) for rows in sets]
    taken = apart(range(len(parts)), parts, 31, most)
    assert taken == sorted(taken)
    assert len(taken) <= most
    assert taken[:1] == [0][: len(parts)]
    for i in taken:
        for j in taken:
            if i != j:
                shared = len(sets[i] & sets[j])
                assert shared <= 0.3 * min(len(sets[i]), len(sets[j])) + 1e-9


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int32, st.integers(1, 60), elements=st.integers(-1, 6)))
def test_groups_are_the_rows_of_each_label(labels: np.ndarray) -> None:
    wanted = [np.flatnonzero(labels == k) for k in range(7) if (labels == k).any()]
    found = groups(labels)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_comes_once_with_the_trust_of_its_first_way() -> None:
    n = 10 * LEAST_POINTS
    xyz = np.random.default_rng(0).random((n, 3))
    first = np.repeat([0, 1], n // 2).astype(np.int32)
    second = first.copy()
    second[:2] = -1  # nearly the same parts
    third = np.full(n, -1, np.int32)
    third[: LEAST_POINTS - 1] = 0  # too small
    third[n // 4 : 3 * n // 4] = 1  # new
    ways = [Partition("a", first, 1.0), Partition("b", second, 0.5), Partition("c", third, 0.2)]
    found = candidates(ways, xyz)
    assert found.ways == ("a", "a", "c")
    np.testing.assert_allclose(found.trust, [1.0, 1.0, 0.2])
    np.testing.assert_array_equal(found.rows[2], np.arange(n // 4, 3 * n // 4))
    assert candidates(ways, np.zeros((n, 3))).rows == ()
