"""The tokenizer against open_clip's, which cleans with ftfy and cuts with the `regex` package."""

from __future__ import annotations

import html
import html.entities
import json
import random
import sys
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import clip_merges
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.text.templates import TEMPLATES, fill
from cg3d_runtime.text.tokenizer import CLIP_MERGES, Tokenizer

open_clip_tokenizer = pytest.importorskip("open_clip.tokenizer", reason="needs open_clip_torch")
ftfy = pytest.importorskip("ftfy", reason="needs ftfy, which open_clip_torch brings")


@pytest.fixture
def tokenizer() -> Tokenizer:
    return clip_merges.tokenizer()


@cache
def theirs() -> Any:
    return open_clip_tokenizer.SimpleTokenizer()


SENTENCES = [
    "a photo of a chair",
    "A  Chair,\tand\n an ARMCHAIR!",
    "mouse (computer equipment)",
    "it's they're we've I'm you'll he'd don't rock'n'roll o'clock 'S",
    "!'s ?!'ll '' '",
    "2x4 lumber, 100% cotton, no. 7½ ²³ Ⅷ ٣",
    "fish &amp; chips &lt;b&gt; &amp;lt; &eacute; &EACUTE; &#233; &#xE9; &#128; &bogus; &LT; &amp",
    "<b>&amp;</b> &eacute;",
    "first &eacute; line\n<i>second</i> &eacute;\nthird &eacute;",
    "café cafe\u0301 ﬁlm ﬆone ＦＵＬＬ　ＷＩＤＴＨ ﾀ",  # noqa: RUF001
    "“curly” ‘quotes’ it’s ʼn ŉ",  # noqa: RUF001
    "naïve jalapeño smörgåsbord Straße İstanbul ſtraße",  # noqa: RUF001
    "tab\x0bvertical\x1b[31mred\x1b[0m\x00nul\ufeffbom",
    "椅子 стул كرسي κάθισμα 😀 👩‍🚀",
    "snake_case dash-case slash/case dot.case",
    "<start_of_text> <end_of_text> <START_OF_TEXT>",
    "",
    "   ",
    "supercalifragilisticexpialidocious",
    "!?",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_ids_are_those_of_open_clip(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.encode(text) == theirs().encode(text)


def test_every_name_of_the_vocabulary_in_every_template(tokenizer: Tokenizer, shared: Path) -> None:
    lists = json.loads((shared / "data/clip-text/names.json").read_text(encoding="utf-8"))
    names = {
        n for rows in lists.values() for r in rows for n in [r["name"], *r.get("synonyms", [])]
    }
    texts = [fill(template, name) for name in sorted(names) for template in TEMPLATES]
    texts += [row["definition"] for row in lists["lvis"]]
    assert [tokenizer.encode(text) for text in texts] == [theirs().encode(text) for text in texts]


ENTITIES = st.sampled_from(sorted(html.entities.html5)).map(lambda name: f"&{name}")
WHITE = st.sampled_from(["\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\xa0", "\u2003", "\u3000"])
PIECES = st.one_of(
    st.text(st.characters(max_codepoint=0x7F), max_size=12),
    st.text(st.characters(max_codepoint=0x24F, exclude_categories=["Cc"]), max_size=8),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cn"]), max_size=4),
    st.text("0123456789½²", max_size=4),
    st.sampled_from(["'s", "'T", "'re", "'VE", "'m", "'ll", "'d", "''", "’s", "<", ">"]),  # noqa: RUF001
    ENTITIES,
    ENTITIES.map(str.upper),
    st.integers(0, 0x10FFFF + 9).map(lambda n: f"&#{n};"),
    WHITE,
)


def unguessed(text: str) -> bool:
    """Whether the text is none of those that the docstring of `Tokenizer` excepts."""
    clean = ftfy.fix_text(text)
    if clean != ftfy.fix_text(text, fix_encoding=False, fix_c1_controls=False):
        return False  # ftfy repairs it by guess
    # Characters that Python does not know yet may be letters to a newer `regex`.
    return "Cn" not in map(unicodedata.category, html.unescape(html.unescape(clean)))


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_ids_are_those_of_open_clip_for_any_text_but_mojibake(text: str) -> None:
    assume(unguessed(text))
    assert clip_merges.tokenizer().encode(text) == theirs().encode(text)


EMOJI = "😀 👩‍🚀 👍🏽 🏳️‍🌈 🇩🇪 ❤️ 1️⃣ 🪑 🛋️ ☕".split()
WORDS = "a chair, the ARMCHAIR 's don't 3D 2x4 photo (mug) naïve Straße &amp; — … “sofa”".split()


def corpus() -> list[str]:
    """11,000 texts: words among every script, emoji, marks and blanks; one to 2,000 characters."""
    draw = random.Random(0)
    known = [chr(c) for c in range(sys.maxunicode + 1)]
    known = [c for c in known if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
    texts = ["", " ", "\n\t", " ".join(EMOJI) * 20, "chair " * 300, "ab" * 500]
    for _ in range(11_000):
        place = draw.randrange(len(known) - 40)  # neighbours are of one script
        pieces = []
        for _ in range(draw.choice((1, 2, 3, 8, 8, 30))):
            kind = draw.random()
            if kind < 0.4:
                pieces.append(
                    "".join(draw.choices(known[place : place + 40], k=draw.randint(1, 6)))
                )
            else:
                pieces.append(draw.choice(WORDS if kind < 0.8 else EMOJI))
        texts.append(draw.choice((" ", " ", "", "\u3000")).join(pieces))
    return texts


def test_ids_are_those_of_open_clip_for_a_corpus_of_all_scripts(tokenizer: Tokenizer) -> None:
    texts = [text for text in corpus() if unguessed(text)]
    assert len(texts) >= 10_000
    different = [text for text in texts if tokenizer.encode(text) != theirs().encode(text)]
    assert different == []


def test_rows_are_those_of_open_clip(tokenizer: Tokenizer) -> None:
    texts = ["a chair", "", "This is a pan (metal container)"]
    rows = tokenizer(texts, 77)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, theirs()(texts).numpy())
    np.testing.assert_array_equal(tokenizer(texts, 24), rows[:, :24])


def test_merges_may_come_as_lines(tokenizer: Tokenizer) -> None:
    by_lines = Tokenizer(clip_merges.merges().split("\n"))
    assert by_lines.encode("an armchair") == tokenizer.encode("an armchair")


def test_a_text_that_fills_the_context_fits_and_one_more_token_does_not(
    tokenizer: Tokenizer,
) -> None:
    assert tokenizer(["chair " * 6], 8)[0, -1] == tokenizer.end_id
    with pytest.raises(VocabularyError, match=r"has 7 tokens.*at most 6"):
        tokenizer(["chair " * 7], 8)


def test_a_text_that_is_no_string_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(VocabularyError, match="must be a string, not 7"):
        tokenizer([7], 24)  # type: ignore[list-item]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "i n\nt h\n",
        "#version: 0.2\n" + "i n\n" * CLIP_MERGES,
    ],
)
def test_merges_of_another_vocabulary_are_refused(damaged: str) -> None:
    with pytest.raises(VocabularyError, match="CLIP's tokenizer has 48894 merges"):
        Tokenizer(damaged)


def test_a_damaged_merge_is_named(tokenizer: Tokenizer) -> None:
    lines = clip_merges.merges().split("\n")[:CLIP_MERGES]
    lines[2] = "nonsense"
    with pytest.raises(VocabularyError, match="merge 3 is 'nonsense'"):
        Tokenizer(lines).encode("chair")
