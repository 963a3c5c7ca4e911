"""From embeddings to answers: the labels to choose from, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.errors import BundleError, InputError, VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.calibration import Calibration
from cg3d_runtime.text.phrasing import Phrasing
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.words import Reader, Words
from cg3d_sdk.results import UNKNOWN, Classification, Ranking


@dataclass(frozen=True, eq=False)
class Naming:
    """The words of a bundle and what is made of scores. Never changes; `choosing` gives another.

    Attributes:
        words: every name of the bundle, and how new ones get their vectors.
        calibration: what scores mean; None where the bundle does not say.
        reject: the share of known objects that may be answered with "unknown"; None for never.
        bank: the labels to choose from.
    """

    words: Words
    calibration: Calibration | None
    reject: float | None
    bank: TextBank

    @classmethod
    def of(cls, bundle: Bundle, reject: float | None = None) -> Naming:
        """All the words of a bundle.

        Raises:
            BundleError: they are damaged, or `reject` is given and the bundle was not calibrated.
            InputError: `reject` is no share.
        """
        _check_share(reject)
        text, calibration = bundle.text(), bundle.calibration()
        if reject is not None and calibration is None:
            raise BundleError(
                f"the bundle {bundle.manifest.name!r} was not calibrated, so it cannot tell what "
                "it does not know: leave `reject` out, or calibrate it with `cg3d-train calibrate "
                "BUNDLE -o NEW_BUNDLE --household DIR --clip-text DIR` (docs/unknown.md)"
            )
        space = TextSpace(text.mean)
        vocabulary = TextBank(
            text.labels, text.aliases, space.apply(text.vectors), text.logit_scale
        )
        info = bundle.manifest.text
        reads_any = info.encoder is not None and info.encoder.open_vocabulary
        words = Words(vocabulary, space, info.phrasing or Phrasing(), reads_any)
        return cls(words, calibration, reject, vocabulary)

    def choosing(self, labels: Iterable[str] | None, reader: Reader) -> Naming:
        """The same with other labels to choose from; None for all.

        Args:
            labels: names of the bundle; any words where its text encoder reads any.
            reader: asked for the text encoder where a label is new.

        Raises:
            VocabularyError: a label that the bundle does not know and cannot read.
        """
        bank = self.words.choose(labels, reader)
        if self.calibration is not None:
            bank = replace(bank, logit_scale=self.calibration.logit_scale(len(bank)))
        if self.reject is not None and UNKNOWN in bank:
            raise VocabularyError(
                f"with `reject` the label {UNKNOWN!r} is the answer for what has no label; give "
                "yours another name"
            )
        return replace(self, bank=bank)

    def classify(
        self, embeddings: NDArray[np.float32], dropped: Sequence[int]
    ) -> list[Classification]:
        """Name clouds by their embeddings.

        Args:
            embeddings: (n, d) float32.
            dropped: n counts of rows that were left out.
        """
        if not len(embeddings):
            return []
        scores = self.bank.score(embeddings)
        familiar = self._familiarity(embeddings)
        return [
            self._answer(*each) for each in zip(scores, embeddings, dropped, familiar, strict=True)
        ]

    def _familiarity(self, embeddings: NDArray[np.float32]) -> Sequence[float | None]:
        if self.calibration is None:
            return [None] * len(embeddings)
        evidence = self.calibration.evidence(embeddings, self.bank)
        return [float(f) for f in self.calibration.familiarity(evidence, len(self.bank))]

    def _answer(
        self,
        scores: NDArray[np.float32],
        embedding: NDArray[np.float32],
        dropped: int,
        familiarity: float | None,
    ) -> Classification:
        ranking = Ranking(self.bank.labels, scores)
        best = int(scores.argmax())
        label, score = self.bank.labels[best], float(scores[best])
        known = self.reject is None or familiarity is None or familiarity >= self.reject
        if not known:
            label, score = UNKNOWN, 0.0
        return Classification(label, score, ranking, embedding, dropped, familiarity, known)


def _check_share(reject: float | None) -> None:
    if reject is not None and not (isinstance(reject, (int, float)) and 0 <= reject < 1):
        raise InputError(
            f"reject is the share of known objects that may be given up, from 0 to below 1 (0.1 "
            f"is a tenth), not {reject!r}"
        )
