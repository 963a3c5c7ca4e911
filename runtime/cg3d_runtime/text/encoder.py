"""Texts to vectors through an engine, refusing what a closed vocabulary does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.arguments import as_texts
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.errors import EngineError, VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.templates import fill, normal_name, split
from cg3d_runtime.text.tokenizer import Tokenizer

# Texts in one run: enough to fill a small network, little memory for a large one.
_BATCH = 256


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A text encoder of a bundle, ready to run.

    A small encoder of our own has learnt the names of its bank and nothing else: it would give
    some vector for any text, and a wrong one. With `open_vocabulary=False` it is therefore asked
    for known names and known phrasings of them only.

    Attributes:
        engine: takes "tokens" (B, L) int64, gives "embedding" (B, d) float32.
        tokenizer: CLIP's.
        context_length: L.
        bank: the names of a closed vocabulary, all of them: not a selection.
        open_vocabulary: whether any text may be asked, as with CLIP's own text tower.
    """

    engine: Engine
    tokenizer: Tokenizer
    context_length: int
    bank: TextBank
    open_vocabulary: bool

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raw text vectors, before any transform: pass them through `TextSpace.apply`.

        Args:
            texts: n names ("coffee mug") or phrasings ("a photo of a coffee mug"), or one.

        Returns:
            (n, d) float32, not normalised.

        Raises:
            VocabularyError: a text is empty, no string or too long, or outside a closed
                vocabulary; the nearest known names are suggested.
            EngineError: the engine failed, or gave another shape than (n, d).
        """
        wanted = list(as_texts(texts))
        for text in wanted:
            if not isinstance(text, str) or not text.strip():
                raise VocabularyError(f"a text must be a string with words in it, not {text!r}")
        if not self.open_vocabulary:
            wanted = [self._known_phrasing(text) for text in wanted]
        width = self.bank.vectors.shape[1]
        vectors = np.empty((len(wanted), width), np.float32)
        for start in range(0, len(wanted), _BATCH):
            tokens = self.tokenizer(wanted[start : start + _BATCH], self.context_length)
            rows = self.engine.run({"tokens": tokens})["embedding"]
            if rows.shape != (len(tokens), width):
                raise EngineError(
                    f"the text encoder gave shape {rows.shape} for {len(tokens)} texts; the "
                    f"bundle's text bank asks for ({len(tokens)}, {width})"
                )
            vectors[start : start + _BATCH] = rows
        return vectors

    def _known_phrasing(self, text: str) -> str:
        # A name that itself begins like a phrasing is a name first.
        template, name = ("{}", normal_name(text)) if text in self.bank else split(text)
        if name in self.bank:
            return fill(template, name)
        raise VocabularyError(
            f"{text!r} is outside the vocabulary of this bundle's text encoder "
            f"({self.bank.suggestion(name)}). It reads the {len(self.bank)} names of its text bank "
            "and their aliases, alone or in a phrasing such as 'a NAME' or 'a photo of a NAME'; "
            "for other texts use a bundle with a full CLIP text encoder"
        )
