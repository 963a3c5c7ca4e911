"""The text encoder against an engine that remembers what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from clip_merges import tokenizer

from cg3d_runtime.errors import EngineError, VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.encoder import TextEncoder

BANK = TextBank(
    ("pan (metal container)", "armchair", "coffee mug", "the bends"),
    (("pan",), (), ("mug",), ()),
    np.eye(4, dtype=np.float32),
    10.0,
)


class RememberingEngine:
    name = "remembering"

    def __init__(self, width: int = 4) -> None:
        self.width = width
        self.asked: list[np.ndarray] = []

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tokens = inputs["tokens"]
        self.asked.append(tokens)
        # A vector that tells texts apart.
        powers = np.arange(1, tokens.shape[1] + 1, dtype=np.float32)[:, None] ** np.arange(4)
        return {"embedding": (tokens @ powers)[:, : self.width].astype(np.float32)}


def encoder(engine: RememberingEngine, open_vocabulary: bool = False) -> TextEncoder:
    return TextEncoder(engine, tokenizer(), 24, BANK, open_vocabulary)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("armchair", "armchair"),
        ("ARMCHAIR", "armchair"),
        ("a armchair", "an armchair"),
        ("This is an Armchair.", "this is an armchair"),
        ("a photo of a mug", "a photo of a mug"),
        ("Coffee_Mug", "coffee mug"),
        ("a pan (metal container)", "a pan (metal container)"),
        ("the bends", "the bends"),
        ("a photo of the bends", None),
    ],
)
def test_a_closed_vocabulary_is_asked_with_learnt_phrasings(text: str, asked: str | None) -> None:
    engine = RememberingEngine()
    if asked is None:
        with pytest.raises(VocabularyError, match="'a photo of the bends' is outside"):
            encoder(engine).embed([text])
        assert not engine.asked
        return
    assert encoder(engine).embed([text]).shape == (1, 4)
    np.testing.assert_array_equal(engine.asked[0], tokenizer()([asked], 24))


def test_a_text_outside_a_closed_vocabulary_is_refused_with_the_nearest() -> None:
    engine = RememberingEngine()
    with pytest.raises(
        VocabularyError,
        match=r"'a photo of an arm-chair' is outside the vocabulary.*nearest: 'armchair'.*'a NAME'",
    ):
        encoder(engine).embed(["mug", "a photo of an arm-chair"])
    assert not engine.asked


def test_an_open_vocabulary_is_asked_with_the_text_as_it_is() -> None:
    engine = RememberingEngine()
    texts = ["a photo of an arm-chair in the rain", "a armchair"]
    vectors = encoder(engine, open_vocabulary=True).embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(engine.asked[0], tokenizer()(texts, 24))


def test_one_text_is_one_row() -> None:
    np.testing.assert_array_equal(
        encoder(RememberingEngine()).embed("mug"), encoder(RememberingEngine()).embed(["mug"])
    )


def test_many_texts_go_in_batches_and_keep_their_order() -> None:
    engine = RememberingEngine()
    texts = ["mug", "pan", "armchair"] * 200
    vectors = encoder(engine).embed(texts)
    assert len(engine.asked) == 3
    np.testing.assert_array_equal(
        vectors, np.tile(encoder(RememberingEngine()).embed(texts[:3]), (200, 1))
    )


def test_no_texts_are_no_rows() -> None:
    assert encoder(RememberingEngine()).embed([]).shape == (0, 4)


@pytest.mark.parametrize("open_vocabulary", [True, False])
@pytest.mark.parametrize("text", ["", " \t", None, 4])
def test_a_text_must_be_words(text: Any, open_vocabulary: bool) -> None:
    with pytest.raises(VocabularyError, match="must be a string with words"):
        encoder(RememberingEngine(), open_vocabulary).embed([text])


def test_a_text_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(VocabularyError, match=r"has 40 tokens.*at most 22"):
        encoder(RememberingEngine(), open_vocabulary=True).embed(["chair " * 40])


def test_an_engine_of_another_bundle_is_noticed() -> None:
    with pytest.raises(EngineError, match=r"shape \(1, 3\) for 1 texts.*\(1, 4\)"):
        encoder(RememberingEngine(width=3)).embed(["mug"])
