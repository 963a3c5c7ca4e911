"""CLIP's byte-pair tokenizer, with numpy and the standard library alone.

Source: OpenAI CLIP's `simple_tokenizer.py` (MIT), as open_clip carries it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.text.cleaning import clean_text

#: Merges of CLIP's vocabulary: 49,152 tokens without 256 bytes, 256 bytes that end a word, and two.
CLIP_MERGES = 49152 - 256 - 2
#: Ids a CLIP tokenizer gives: 2 * 256 bytes, the merges, start and end of text.
CLIP_VOCABULARY_SIZE = 2 * 256 + CLIP_MERGES + 2

_START, _END = "<start_of_text>", "<end_of_text>"
_SPECIAL_OR_CONTRACTION = re.compile(rf"({_START}|{_END})|'s|'t|'re|'ve|'m|'ll|'d", re.IGNORECASE)


class Tokenizer:
    """Text to CLIP's token ids, the same ids as `open_clip.tokenizer.SimpleTokenizer`.

    They may differ where ftfy, which CLIP cleans texts with, takes a text for wrongly decoded
    ("sÃ³") and repairs it by guess, and for characters newer than Python's own Unicode tables; see
    `cg3d_runtime.text.cleaning`.

    Building one costs little; the tables are made when the first text is encoded (some 50 ms).
    Instances may be used from several threads at once.

    Args:
        merges: CLIP's 48,894 byte-pair merges in rank order, two symbols a merge: as one text with
            a merge a line, or as a sequence of such lines.

    Raises:
        VocabularyError: another number of merges, whose ids would not be CLIP's.
    """

    def __init__(self, merges: str | Sequence[str]) -> None:
        # Not splitlines(): a line ends at \n alone.
        lines = merges.split("\n") if isinstance(merges, str) else list(merges)
        while lines and not lines[-1].strip():
            lines.pop()
        if len(lines) != CLIP_MERGES:
            raise VocabularyError(
                f"CLIP's tokenizer has {CLIP_MERGES} merges, these are {len(lines)}; give the "
                "merges alone, without the '#version' line and the unused ones at the end"
            )
        self._lines = lines
        # Bounded, because a robot may be asked for new words all day.
        self._word_ids = lru_cache(maxsize=16384)(self._encode_word)

    @property
    def start_id(self) -> int:
        """The id that begins every row."""
        return CLIP_VOCABULARY_SIZE - 2

    @property
    def end_id(self) -> int:
        """The id that ends the text of every row."""
        return CLIP_VOCABULARY_SIZE - 1

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start, end or padding; of any length, empty for no words."""
        ids: list[int] = []
        for word in _words(clean_text(text)):
            ids += self._word_ids(word)
        return ids

    def __call__(self, texts: Sequence[str], context_length: int) -> NDArray[np.int64]:
        """Texts as rows of one array: start, ids, end, zeros.

        Args:
            texts: B strings.
            context_length: L, the columns; a text may have up to L - 2 tokens.

        Returns:
            (B, L) int64.

        Raises:
            VocabularyError: a text has too many tokens, or is not a string.
        """
        if isinstance(texts, str):
            texts = [texts]
        rows = np.zeros((len(texts), context_length), np.int64)
        for row, text in zip(rows, texts, strict=True):
            if not isinstance(text, str):
                raise VocabularyError(f"a text to encode must be a string, not {text!r}")
            ids = [self.start_id, *self.encode(text), self.end_id]
            if len(ids) > context_length:
                shown = text if len(text) <= 60 else f"{text[:57]}..."
                raise VocabularyError(
                    f"{shown!r} has {len(ids) - 2} tokens; this text encoder reads at most "
                    f"{context_length - 2}, so say it shorter"
                )
            row[: len(ids)] = ids
        return rows

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        ranks: dict[tuple[str, str], int] = {}
        for rank, line in enumerate(self._lines):
            pair = line.split()
            if len(pair) != 2:
                raise VocabularyError(f"merge {rank + 1} is {line!r}, not two symbols and a blank")
            ranks[pair[0], pair[1]] = rank
        return ranks

    @cached_property
    def _ids(self) -> dict[str, int]:
        symbols = list(_byte_symbols().values())
        symbols += [f"{symbol}</w>" for symbol in symbols]
        symbols += [first + second for first, second in self._ranks]
        symbols += [_START, _END]
        return {symbol: number for number, symbol in enumerate(symbols)}

    def _encode_word(self, word: str) -> tuple[int, ...]:
        if word in (_START, _END):
            return (self._ids[word],)
        symbols = _byte_symbols()
        parts = [symbols[byte] for byte in word.encode("utf-8")]
        parts[-1] += "</w>"
        while len(parts) > 1:
            pairs = set(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, CLIP_MERGES))
            if best not in self._ranks:
                break
            parts = _merge(parts, best)
        return tuple(self._ids[part] for part in parts)


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            merged.append(pair[0] + pair[1])
            at += 2
        else:
            merged.append(parts[at])
            at += 1
    return merged


def _words(text: str) -> Iterator[str]:
    """Cut a clean text into what the merges apply to: contractions, letters, a digit, the rest.

    CLIP's pattern `'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+`, by hand
    because Python's `re` does not know `\\p`.
    """
    kinds = [_kind(character) for character in text]
    at = 0
    while at < len(text):
        if kinds[at] == " ":
            at += 1
            continue
        end = at + 1
        fixed = _SPECIAL_OR_CONTRACTION.match(text, at)
        if fixed:
            end = fixed.end()
        elif kinds[at] != "N":
            while end < len(text) and kinds[end] == kinds[at]:
                end += 1
        yield text[at:end]
        at = end


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    """L for a letter, N for a number, a blank for white space, else a dot."""
    if character.isspace():
        return " "
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "."


@lru_cache(maxsize=1)
def _byte_symbols() -> dict[int, str]:
    """Every byte as one printable character, in the order of CLIP's first 256 ids."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable}
    symbols.update((byte, chr(256 + n)) for n, byte in enumerate(others))
    return symbols
