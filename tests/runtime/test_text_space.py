from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from cg3d_runtime.errors import InputError
from cg3d_runtime.text.space import TextSpace, unit_rows

RNG = np.random.default_rng(0)
# As CLIP's: long vectors around one common direction.
RAW = (RNG.normal(size=(40, 16)) + 4 * np.eye(16)[3]).astype(np.float32) * 10


def test_cosines_are_those_of_scipy_on_unit_rows_less_their_mean() -> None:
    units = RAW / np.linalg.norm(RAW, axis=1, keepdims=True)
    expected = 1 - cdist(units - units.mean(0), units - units.mean(0), "cosine")
    rows = TextSpace.fit(RAW).apply(RAW)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows @ rows.T, expected, atol=1e-5)


def test_the_mean_comes_from_the_bundle_not_from_the_vectors_at_hand() -> None:
    space = TextSpace.fit(RAW)
    np.testing.assert_array_equal(space.apply(RAW[:3]), space.apply(RAW)[:3])


def test_the_length_of_a_vector_does_not_matter() -> None:
    space = TextSpace.fit(RAW)
    np.testing.assert_allclose(space.apply(RAW * 7), space.apply(RAW), atol=1e-6)


@given(
    arrays(np.float32, (3, 5), elements=st.floats(-(2.0**120), 2.0**120, width=32)).filter(
        lambda a: bool((a != 0).any(axis=1).all())
    )
)
def test_unit_rows_have_length_one_for_any_magnitude(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(np.linalg.norm(unit_rows(vectors, "x"), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(16), r"shape \(n, d\), not float64 of shape \(16,\)"),
        (np.full((2, 16), "a"), "must be numbers"),
        (np.ones((2, 8)), "8 columns, but the text space has 16"),
        (np.vstack([np.ones(16), np.zeros(16)]), "row 1 is zero or not finite"),
        (np.full((1, 16), np.nan), "row 0 is zero or not finite"),
    ],
)
def test_other_vectors_are_refused(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextSpace(np.zeros(16, np.float32)).apply(vectors)


def test_a_vector_that_is_the_mean_is_refused() -> None:
    with pytest.raises(InputError, match="without their mean: row 0"):
        TextSpace(np.eye(4, dtype=np.float32)[0]).apply([[2.0, 0, 0, 0]])


@pytest.mark.parametrize("mean", [np.zeros((2, 2)), np.array([0, np.inf])])
def test_another_mean_is_refused(mean: np.ndarray) -> None:
    with pytest.raises(InputError, match="one finite row"):
        TextSpace(mean)


def test_no_vectors_have_no_mean() -> None:
    with pytest.raises(InputError, match="the mean of no text vectors"):
        TextSpace.fit(np.empty((0, 4)))
