"""The shipped bundle's words against the CLIP vectors that they were made to reproduce."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.text.space import TextSpace, unit_rows
from cg3d_sdk import Recognizer
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary


@pytest.fixture(scope="module")
def vocabulary(shared: Path) -> Vocabulary:
    return load_vocabulary(shared / "data" / "clip-text")


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(engine="cpu", threads=1)


def space_of(recognizer: Recognizer) -> TextSpace:
    return TextSpace(recognizer.bundle.text().mean)


@pytest.mark.parametrize("phrasing", ["{}", "a photo of a {}", "This is a {}"])
def test_the_text_encoder_reproduces_clip(
    vocabulary: Vocabulary, recognizer: Recognizer, phrasing: str
) -> None:
    raw = recognizer._networks.text_encoder(recognizer.bank).embed(
        [phrasing.format(name) for name in vocabulary.labels]
    )
    found, clip = unit_rows(raw, "found"), unit_rows(vocabulary.vectors, "clip")
    assert (found * clip).sum(axis=1).mean() >= 0.98
    # Right: no other name's vector is nearer; misspelt twins have the same vector.
    best = (found @ clip.T).max(axis=1)
    own = (found * clip).sum(axis=1)
    assert np.mean(own >= best - 1e-6) >= 0.98


def test_the_bank_is_its_own_and_ranks_the_right_name_first(
    vocabulary: Vocabulary, recognizer: Recognizer
) -> None:
    assert recognizer.vocabulary == vocabulary.labels
    clip = space_of(recognizer).apply(vocabulary.vectors)
    bank = recognizer.bank.vectors
    assert not np.array_equal(bank, clip)
    assert np.mean((bank @ clip.T).argmax(axis=1) == np.arange(len(clip))) >= 0.98


def test_a_real_clips_vectors_work_with_the_same_encoder(
    vocabulary: Vocabulary, recognizer: Recognizer
) -> None:
    """The transform is data of the bundle: CLIP's own vectors take the place of ours."""
    clip = space_of(recognizer).apply(vocabulary.vectors)
    assert (clip * recognizer.bank.vectors).sum(axis=1).mean() > 0.95
