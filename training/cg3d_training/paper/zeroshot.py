"""Zero-shot evaluation (paper, section 4.3 and Table 1): clouds against the names of classes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.evaluation.accuracy import Accuracy, accuracy
from cg3d_training.paper.contenders import Contender
from cg3d_training.paper.protocol import Protocol
from cg3d_training.paper.words import class_vectors


@dataclass(frozen=True)
class ZeroShot:
    """One method on one set.

    Attributes:
        method, title: of the row and the set.
        words: whose text vectors.
        hits: overall, and by class.
        mean_class: mean over classes of the share named rightly.
    """

    method: str
    title: str
    words: str
    hits: Accuracy
    mean_class: float


def zero_shot(
    contender: Contender, title: str, clouds: LabelledClouds, templates: Sequence[str],
    protocol: Protocol,
) -> ZeroShot:  # fmt: skip
    """Name every cloud by the nearest class text.

    Args:
        contender: makes vectors.
        title: of the set.
        clouds: one split of it.
        templates: what is said of a class; several make an ensemble.
        protocol: which points, and what is done to texts.

    Raises:
        TrainingError: the protocol does not fit the contender, or a name is not known.
        VocabularyError: a bundle does not know a name.
    """
    texts = class_vectors(
        contender.words, contender.space, clouds.classes, contender.phrasing or templates,
        protocol.raw_names, protocol.unit_texts,
    )  # fmt: skip
    scores = class_scores(contender.embed(clouds, protocol), texts)
    return counted(contender.name, title, contender.words.name, scores, clouds)


def class_scores(vectors: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, C) scores of (n, views, d) unit rows: the mean over views of their products with texts.

    A softmax over temperature would change no rank, so there is none.
    """
    scores: NDArray[np.float32] = np.einsum("nvd,cd->nc", vectors, texts) / vectors.shape[1]
    return scores


def counted(
    method: str, title: str, words: str, scores: NDArray[np.float32], truth: LabelledClouds
) -> ZeroShot:
    """Hits of (n, C) scores."""
    hits = accuracy(title, scores, truth.labels.tolist(), truth.classes)
    mean = statistics.fmean(right / count for right, count in hits.per_class.values())
    return ZeroShot(method, title, words, hits, mean)
