from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cg3d_runtime.text.templates import TEMPLATES, fill, normal_name, split, strip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chair", "a chair"),
        ("armchair", "an armchair"),
        ("Umbrella", "an Umbrella"),
        ("unicycle", "a unicycle"),
        ("urn", "an urn"),
        ("urinal", "a urinal"),
        ("ukulele", "a ukulele"),
        ("usb stick", "a usb stick"),
        ("ewer", "a ewer"),
        ("one dollar bill", "a one dollar bill"),
        ("onion", "an onion"),
        ("hourglass", "an hourglass"),
        ("house", "a house"),
    ],
)
def test_the_article_fits_the_name(name: str, expected: str) -> None:
    assert fill("a {}", name) == expected
    assert fill("a photo of a {}", name) == f"a photo of {expected}"


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", ["chair", "armchair", "pan (metal container)", "tie-in {}"])
def test_split_undoes_fill(template: str, name: str) -> None:
    assert split(fill(template, name)) == (template, name)


@given(st.sampled_from(TEMPLATES), st.text("abehou -", min_size=1).filter(str.strip))
def test_strip_finds_the_name_in_any_template(template: str, text: str) -> None:
    name = strip(text)
    assert strip(fill(template, name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "a armchair",
        "THIS IS AN ARMCHAIR",
        "  this is\ta  Armchair.",
        "A photo of a armchair",
        "there is an armchair in the scene.",
        "the armchair",
        "a 3d model of an armchair",
    ],
)
def test_case_blanks_articles_and_a_full_stop_do_not_matter(text: str) -> None:
    assert strip(text) == "armchair"


@pytest.mark.parametrize("text", ["", "a", "a ", "chair", "another chair", "photo of a chair"])
def test_a_text_without_a_template_is_a_name(text: str) -> None:
    assert split(text) == ("{}", normal_name(text))


def test_names_are_compared_without_case_underscores_and_blanks() -> None:
    assert normal_name(" Coffee_MUG\t(blue) ") == "coffee mug (blue)"
