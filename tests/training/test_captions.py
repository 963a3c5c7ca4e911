"""Captions: the 63 templates, the article, the seed."""

from __future__ import annotations

import numpy as np
import pytest

from cg3d_runtime.errors import InputError
from cg3d_training.data.captions import TEMPLATES, choose_caption


def test_the_63_templates() -> None:
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 63
    assert all(t.count("{}") == 1 and t.endswith(".") for t in TEMPLATES)
    # What the official code has: scene forms, itap, plain forms, and 25 pairs with a or the.
    assert sum("in the scene" in t for t in TEMPLATES) == 5
    assert sum(t.startswith("itap") for t in TEMPLATES) == 3
    paired = [t for t in TEMPLATES if " the " in f" {t}" and "scene" not in t and "itap" not in t]
    assert len(paired) == 25 + 1  # and "a photo of the {}."
    for known in (
        "There is a {} in the scene.", "itap of my {}.", "a photo of many {}.",
        "a photo of a hard to see {}.", "a black and white photo of the {}.",
        "an embroidered {}.", "the plushie {}.", "a painting of a {}.", "a close-up photo of a {}.",
    ):  # fmt: skip
        assert known in TEMPLATES


def test_articles_fit_and_every_template_comes_up() -> None:
    rng = np.random.default_rng(0)
    said = {choose_caption("arm_chair", (), rng) for _ in range(2000)}
    assert len(said) == 63
    assert "a photo of an arm chair." in said
    assert "a photo of a nice arm chair." in said
    assert not any("a arm" in caption for caption in said)


def test_the_seed_decides() -> None:
    one, again = ([choose_caption("mug", (), np.random.default_rng(s)) for s in range(9)]
                  for _ in range(2))  # fmt: skip
    assert one == again
    assert len(set(one)) > 3


def test_given_captions_pass_through() -> None:
    rng = np.random.default_rng(0)
    given = ("A  red mug, {} and all", "mug")
    assert {choose_caption("cup", given, rng) for _ in range(50)} == set(given)
    with pytest.raises(InputError, match="name or a caption"):
        choose_caption(" _", (), rng)
