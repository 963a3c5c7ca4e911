from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from cg3d_runtime.errors import InputError, VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.space import unit_rows

LABELS = ("pan (metal container)", "Sofa", "coffee mug", "table lamp", "urn")
ALIASES = (("pan",), ("couch", "settee"), ("mug",), (), ())
VECTORS = unit_rows(np.random.default_rng(0).normal(size=(5, 8)), "vectors")


def bank(**changes: Any) -> TextBank:
    fields: dict[str, Any] = {
        "labels": LABELS,
        "aliases": ALIASES,
        "vectors": VECTORS,
        "logit_scale": 14.3,
    }
    return TextBank(**(fields | changes))


@pytest.mark.parametrize(
    ("name", "row"),
    [("Sofa", 1), ("sofa", 1), (" COUCH ", 1), ("PAN", 0), ("Coffee_Mug", 2), ("table  lamp", 3)],
)
def test_a_label_or_alias_is_found_in_any_spelling(name: str, row: int) -> None:
    assert bank().index(name) == row
    assert name in bank()


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        VocabularyError, match=r"'cofee mug' is not among the 5 names.*'coffee mug'"
    ):
        bank().index("cofee mug")
    with pytest.raises(VocabularyError, match=r"'mug with a handle'.*nearest: '(coffee )?mug'"):
        bank().index("mug with a handle")
    with pytest.raises(VocabularyError, match="nothing in it is near"):
        bank().index("xyzzy")


@pytest.mark.parametrize("name", ["", "  ", None, 3, ["sofa"]])
def test_a_name_must_be_words(name: Any) -> None:
    with pytest.raises(VocabularyError, match="must be a string with words"):
        bank().index(name)
    assert name not in bank()


def test_a_selection_keeps_order_spelling_and_vectors() -> None:
    chosen = bank().select(["Mug", "couch", "urn"])
    assert chosen.labels == ("Mug", "couch", "urn")
    assert chosen.aliases == (("coffee mug",), ("Sofa", "settee"), ())
    assert chosen.logit_scale == 14.3
    np.testing.assert_array_equal(chosen.vectors, VECTORS[[2, 1, 4]])
    assert chosen.index("sofa") == 1
    assert chosen.select(["SOFA"]).labels == ("SOFA",)
    assert "pan" not in chosen


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one label"),
        ("sofa", "must be a list of names, not the one string 'sofa'"),
        (["sofa", "urm"], "'urm' is not among the 5 names.*'urn'"),
        (["sofas", "urm", "urn"], "2 labels are not among.*'sofas'.*'Sofa'|'sofa'.*'urm'.*'urn'"),
        (["sofa", "urn", "sofa"], "^the label 'sofa' is given twice"),
        (["sofa", "SOFA"], "'sofa' and 'SOFA' both stand for 'Sofa'"),
        (["mug", "sofa", "coffee mug"], "'mug' and 'coffee mug' both stand for 'coffee mug'"),
        (["sofa", ""], "must be a string with words"),
        (["sofa", 7], "must be a string with words"),
    ],
)
def test_a_bad_selection_is_refused(names: Any, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        bank().select(names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (), "aliases": ()}, "at least one label"),
        ({"labels": (*LABELS[:4], "SOFA")}, "the label 'SOFA' is given twice"),
        ({"labels": (*LABELS[:4], " ")}, "a label must be a string with words"),
        ({"labels": (*LABELS[:4], 5)}, "a label must be a string with words"),
        ({"aliases": (*ALIASES[:4], ("",))}, "an alias must be a string with words"),
        ({"aliases": ALIASES[:4]}, "5 labels, but aliases for 4"),
        ({"aliases": (*ALIASES[:4], ("Couch",))}, "'Couch' stands for 'Sofa' and for 'urn'"),
        ({"aliases": (*ALIASES[:4], ("sofa",))}, "'sofa' stands for 'Sofa' and for 'urn'"),
    ],
)
def test_names_that_mean_nothing_or_two_things_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        bank(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": VECTORS[:4]}, r"shape \(5, d\), not \(4, 8\)"),
        ({"vectors": VECTORS[0]}, r"shape \(5, d\), not \(8,\)"),
        ({"vectors": VECTORS * 2}, "must be unit rows"),
        ({"vectors": VECTORS * np.nan}, "must be unit rows"),
        ({"logit_scale": 0.0}, "logit_scale must be a positive number"),
        ({"logit_scale": float("inf")}, "logit_scale must be a positive number"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bank(**changes)


def test_a_bank_does_not_change_with_the_array_it_was_made_of() -> None:
    mine = VECTORS.copy()
    made = bank(vectors=mine)
    mine[:] = 0
    np.testing.assert_array_equal(made.vectors, VECTORS)
    with pytest.raises(ValueError, match="read-only"):
        made.vectors[0] = 0


@given(
    arrays(np.float64, (3, 8), elements=st.floats(-1e3, 1e3)).filter(
        lambda a: bool((np.linalg.norm(a, axis=1) > 1e-3).all())
    ),
    st.floats(0.01, 1e4),
)
def test_scores_are_scipys_softmax_of_the_scaled_cosines(
    embeddings: np.ndarray, scale: float
) -> None:
    cosines = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True) @ VECTORS.T
    scores = bank(logit_scale=scale).score(embeddings)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    # A cosine in FP32 is right to 1e-7 or so, which the scale magnifies.
    np.testing.assert_allclose(scores, softmax(scale * cosines, axis=1), atol=1e-5 + 3e-7 * scale)


def test_no_embeddings_have_no_scores() -> None:
    assert bank().score(np.empty((0, 8))).shape == (0, 5)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.ones(8), r"embeddings must be numbers of shape \(n, d\)"),
        (np.ones((2, 7)), "7 columns, the text bank 8"),
        (np.zeros((1, 8)), "row 0 is zero or not finite"),
        (np.full((1, 8), np.inf), "row 0 is zero or not finite"),
    ],
)
def test_other_embeddings_are_refused(embeddings: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bank().score(embeddings)
