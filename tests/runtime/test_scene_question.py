"""Questions reduced to the names of a bank."""

from __future__ import annotations

import numpy as np
import pytest

from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.scene.question import objects_asked
from cg3d_runtime.text.bank import TextBank

NAMES = ("chair", "sofa", "coffee table", "table", "trash can", "cup", "knife", "light switch")
BANK = TextBank(NAMES, (("seat",),) + ((),) * 7, np.eye(8, dtype=np.float32), 10.0)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("chair", ("chair",)),
        ("a photo of a Coffee_Table", ("coffee table",)),
        ("What is the location of the sofa?", ("sofa",)),
        ("Where can the coffee table be found?", ("coffee table",)),
        ("the seat", ("seat",)),
        ("where are the knives?", ("knife",)),
        ("Is there a sofa or two chairs here?", ("sofa", "chair")),
        ("where can I sit down?", ("chair", "sofa")),
        ("the thing to drink from", ("cup",)),
        ("somewhere for sitting", ("chair", "sofa")),
        ("where do I throw this away?", ("trash can",)),
    ],
)
def test_the_object_is_found(question: str, asked: tuple[str, ...]) -> None:
    assert objects_asked(question, BANK) == asked


@pytest.mark.parametrize("question", ["where is the dinosaur?", "what is it?", "sofabed"])
def test_what_is_not_known_is_told_with_what_is_near(question: str) -> None:
    with pytest.raises(VocabularyError, match="no name that this bundle knows"):
        objects_asked(question, BANK)


@pytest.mark.parametrize("question", ["", "  ", 5])
def test_no_question(question: object) -> None:
    with pytest.raises(VocabularyError, match="words in it"):
        objects_asked(question, BANK)  # type: ignore[arg-type]
