"""The phrasings around a name that CLIP is asked with: "chair", "a chair", "a photo of a chair"."""

from __future__ import annotations

import re
from functools import lru_cache

#: Phrasings by name; `fill` writes "an" for "a" where the name asks for it.
TEMPLATES = (
    "{}",
    "a {}",
    "the {}",
    "a photo of a {}",
    "a picture of a {}",
    "a 3D model of a {}",
    "a point cloud of a {}",
    "This is a {}",
    "There is a {} in the scene",
)

# Spelled with a vowel but spoken with a consonant ("a unicycle", "a one-seater"), and the reverse.
_SPOKEN_CONSONANT = re.compile(r"uni(?!n)|u[kst][aeiub]|urin|eu|ewe|one\b|once\b", re.IGNORECASE)
_SPOKEN_VOWEL = re.compile(r"[aeiou]|hour|heir|hono|honest", re.IGNORECASE)


def normal_name(name: str) -> str:
    """A name as names are compared: lower case, underscores as blanks, single blanks.

    >>> normal_name(" Coffee_Mug ")
    'coffee mug'
    """
    return " ".join(name.replace("_", " ").split()).lower()


def fill(template: str, name: str) -> str:
    """Put a name into a template, with the article that fits it.

    >>> fill("a photo of a {}", "armchair")
    'a photo of an armchair'
    """
    vowel = _SPOKEN_VOWEL.match(name) and not _SPOKEN_CONSONANT.match(name)
    return (template.replace("a {}", "an {}") if vowel else template).replace("{}", name)


def split(text: str) -> tuple[str, str]:
    """The template a text was written with, and the name in it, as `normal_name` gives it.

    The longest template that fits wins; either article, any case and a full stop are accepted. A
    text that no template fits is a name by itself, with the template "{}".

    >>> split("This is an Armchair.")
    ('This is a {}', 'armchair')
    """
    plain = normal_name(text)
    for template, pattern in _patterns():
        found = pattern.fullmatch(plain)
        if found:
            return template, found["name"]
    return "{}", plain


def strip(text: str) -> str:
    """The name in a text, without the phrasing around it.

    >>> strip("a photo of a coffee mug")
    'coffee mug'
    """
    return split(text)[1]


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    framed = sorted((known for known in TEMPLATES if known != "{}"), key=len, reverse=True)
    patterns = []
    for template in framed:
        before, after = template.lower().split("{}")
        article = "an? " if before.endswith("a ") else ""
        before = before.removesuffix("a ") if article else before
        pattern = rf"{re.escape(before)}{article}(?P<name>\S.*?){re.escape(after)}\.?"
        patterns.append((template, re.compile(pattern)))
    return patterns
