"""Names chosen at run time, with a text encoder that gives every text a vector of its own."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError, VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.phrasing import Average, Phrasing
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.words import Words

DIM = 16
SPACE = TextSpace(np.full(DIM, 0.05, np.float32))


def vector(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float32)


class Encoder:
    """In place of a TextEncoder; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Any) -> np.ndarray:
        self.asked += texts
        return np.stack([vector(text) for text in texts])


LABELS = ("chair", "coffee mug", "lamp")
BANK = TextBank(
    LABELS, ((), ("mug",), ()), SPACE.apply(np.stack([vector(label) for label in LABELS])), 12.0
)


class Chosen:
    """Words with the encoder that reads for them; None for a closed vocabulary."""

    def __init__(self, encoder: Encoder | None, phrasing: Phrasing) -> None:
        self.words = Words(BANK, SPACE, phrasing, encoder is not None)
        self.reader: Any = lambda bank: encoder

    def choose(self, names: Any) -> TextBank:
        return self.words.choose(names, self.reader)

    def vector(self, name: str) -> np.ndarray:
        return self.words.vector(name, self.reader)


def words(
    encoder: Encoder | None, templates: tuple[str, ...] = ("a {}",), average: Average = "unit"
) -> Chosen:
    return Chosen(encoder, Phrasing(templates, average))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize("average", ["unit", "raw"])
def test_new_words_are_asked_in_the_phrasings_of_the_bank(average: Average) -> None:
    encoder = Encoder()
    bank = words(encoder, ("a {}", "this is a {}."), average).choose(["Mug", "Egg_cup", "lamp"])
    assert bank.labels == ("Mug", "Egg_cup", "lamp")
    assert encoder.asked == ["an egg cup", "this is an egg cup."]
    rows = np.stack([vector(text) for text in encoder.asked]).astype(np.float64)
    mean = unit(unit(rows).mean(axis=0)) if average == "unit" else rows.mean(axis=0)
    np.testing.assert_allclose(bank.vectors[1], unit(unit(mean) - 0.05), atol=1e-5)
    np.testing.assert_array_equal(bank.vectors[[0, 2]], BANK.vectors[[1, 2]])
    assert bank.index("coffee mug") == 0
    assert bank.logit_scale == BANK.logit_scale


def test_a_word_is_encoded_once() -> None:
    encoder = Encoder()
    chosen = words(encoder)
    first = chosen.choose(["egg cup", "chair", "spoon"])
    again = chosen.choose(["SPOON", "fork", "egg  cup"])
    assert encoder.asked == ["an egg cup", "a spoon", "a fork"]
    np.testing.assert_array_equal(again.vectors[2], first.vectors[0])
    np.testing.assert_array_equal(chosen.vector("spoon"), first.vectors[2])
    np.testing.assert_array_equal(chosen.vector("mug"), BANK.vectors[1])
    assert len(encoder.asked) == 3


def test_a_phrasing_of_ones_own_is_asked_as_it_is() -> None:
    encoder = Encoder()
    words(encoder, ("a {}", "the {}")).choose(["a photo of a spoon", "fork"])
    assert encoder.asked == ["a photo of a spoon", "a fork", "the fork"]


@pytest.mark.parametrize("encoder", [None, Encoder()], ids=["closed", "open"])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one label"),
        ("chair", "not the one string"),
        (["chair", " "], "must be a string with words"),
        (["chair", 7], "must be a string with words"),
        (["mug", "coffee mug"], "both stand for 'coffee mug'"),
    ],
)
def test_names_that_cannot_be_chosen(encoder: Encoder | None, names: Any, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        words(encoder).choose(names)


def test_a_new_word_twice_is_refused() -> None:
    with pytest.raises(VocabularyError, match="given twice"):
        words(Encoder()).choose(["spoon", "Spoon"])


def test_a_closed_vocabulary_stays_closed() -> None:
    closed = words(None)
    assert not closed.words.open
    assert closed.choose(None) is BANK
    for ask in (lambda: closed.choose(["spoon"]), lambda: closed.vector("spoon")):
        with pytest.raises(VocabularyError, match="'spoon' is not among the 3 names"):
            ask()


def test_threads_choose_at_the_same_time() -> None:
    encoder = Encoder()
    chosen = words(encoder)
    names = [f"thing {i}" for i in range(20)]
    start = threading.Barrier(8)

    def choose(seed: int) -> dict[str, np.ndarray]:
        mine = [str(n) for n in np.random.default_rng(seed).permutation(names)[:10]]
        start.wait()
        bank = chosen.choose(mine)
        return dict(zip(bank.labels, bank.vectors, strict=True))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(choose, range(8)))
    for rows in found:
        for name, row in rows.items():
            np.testing.assert_allclose(row, SPACE.apply(vector(f"a {name}")[None])[0], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from(["unit", "raw"]))
def test_means_of_phrasings(n: int, count: int, average: Average) -> None:
    rows = np.random.default_rng(n * count).normal(size=(n, count, 5)).astype(np.float32)
    phrasing = Phrasing(tuple(f"{i} {{}}" for i in range(count)), average)
    found = phrasing.mean(rows)
    assert found.dtype == np.float32
    wanted = unit((unit(rows) if average == "unit" else rows).astype(np.float64).mean(axis=1))
    np.testing.assert_allclose(unit(found), wanted, atol=1e-5)


def test_opposite_vectors_have_no_mean() -> None:
    rows = np.array([[[1, 0], [-1, 0]]], np.float32)
    with pytest.raises(InputError, match="means of text vectors"):
        Phrasing(("a {}", "the {}"), "unit").mean(rows)


def test_many_words_do_not_fill_the_memory() -> None:
    chosen = words(Encoder())
    for start in range(0, 9000, 3000):
        chosen.choose([f"thing {i}" for i in range(start, start + 3000)])
    assert 3000 <= len(chosen.words._kept) <= 4096
