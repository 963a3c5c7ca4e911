"""CLIP's clean-up of a text before it is cut into tokens, with the standard library alone.

CLIP runs `ftfy.fix_text` with its default options, unescapes HTML twice, collapses white space and
lowers the case. `clean_text` gives the same for every text that ftfy does not take for mojibake:
ftfy's guesses at wrongly decoded text ("sÃ³" for "só") and stray C1 controls (U+0080 to U+009F) are
not followed, because the tables of that guess are larger than the rest of the tokenizer. Write
labels in proper Unicode and there is no difference.

Source: ftfy 6.3 (Apache-2.0) for what is repaired; open_clip's tokenizer (MIT) for the order.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache
from html.entities import html5

_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_TERMINAL_ESCAPE = re.compile("\033\\[[\\d;]*[a-zA-Z]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text as CLIP tokenizes it: repaired, lower case, single blanks, none at the ends.

    Raises nothing: any string has a clean form, which may be empty.
    """
    if not text.isascii() or "&" in text or not text.isprintable():
        text = "".join(_repair(line) for line in _lines_with_html_flag(text))
    text = html.unescape(html.unescape(text))
    return " ".join(text.split()).lower()


def _lines_with_html_flag(text: str) -> list[tuple[str, bool]]:
    # A "<" means real HTML, whose entities ftfy leaves alone from that line to the end.
    lines: list[tuple[str, bool]] = []
    unescape = True
    for line in re.findall("[^\n]*\n|[^\n]+", text):
        unescape = unescape and "<" not in line
        lines.append((line, unescape))
    return lines


def _repair(line_and_flag: tuple[str, bool]) -> str:
    text, unescape = line_and_flag
    while True:
        before = text
        if unescape:
            text = _ENTITY.sub(_unescape_entity, text)
        text = text.translate(_replacements())
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = _SURROGATE_PAIR.sub(_join_surrogates, text)
        text = _SURROGATE.sub("\ufffd", text)
        text = _TERMINAL_ESCAPE.sub("", text)
        text = text.translate(_CONTROLS)
        text = unicodedata.normalize("NFC", text)
        if text == before:
            return text


def _unescape_entity(match: re.Match[str]) -> str:
    entity = match.group()
    if entity.startswith("&#"):
        character = html.unescape(entity)
        # Out of range or too long: html.unescape leaves the semicolon, and ftfy the whole.
        return entity if ";" in character else character
    name = entity[1:]
    if name in html5:
        return html5[name]
    lower = name.lower()
    # "&EACUTE;" is no entity, but clear, unless a shorter one ("&LT") is hidden in it.
    if name == lower.upper() and lower in html5 and html.unescape(entity) == entity:
        return html5[lower].upper()
    return entity


def _join_surrogates(match: re.Match[str]) -> str:
    return match.group().encode("utf-16", "surrogatepass").decode("utf-16")


_CONTROLS: dict[int, None] = dict.fromkeys(
    (
        *range(0x09),
        0x0B,
        *range(0x0E, 0x20),
        0x7F,
        *range(0x206A, 0x2070),
        0xFEFF,
        *range(0xFFF9, 0xFFFD),
    )
)


@lru_cache(maxsize=1)
def _replacements() -> dict[int, str]:
    """Ligatures, fullwidth and halfwidth forms, and curly quotes to their plain form."""
    table = {ord("ŉ"): "\u02bcn", ord("ﬅ"): "\u017ft", 0x3000: " "}
    for character in "ĲĳǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ":
        table[ord(character)] = unicodedata.normalize("NFKC", character)
    for code in range(0xFF01, 0xFFF0):
        plain = unicodedata.normalize("NFKC", chr(code))
        if plain != chr(code):
            table[code] = plain
    table.update(dict.fromkeys((0x02BC, *range(0x2018, 0x201C)), "'"))
    table.update(dict.fromkeys(range(0x201C, 0x2020), '"'))
    table.update(dict.fromkeys((0x2028, 0x2029, 0x85), "\n"))
    return table
