"""How true calibrated scores are and what is refused, on objects that were not fitted to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.calibration import Calibration
from cg3d_training.unknown.clouds import Shown
from cg3d_training.unknown.fit import Known
from cg3d_training.unknown.metrics import (
    chance_calibration_error,
    expected_calibration_error,
    rejected_share,
)

#: What has a name, but none of the labels that were to choose from.
OTHER = "things with another name"

#: Labels that fewer clouds than this have are not asked for.
_FEW = 20


@dataclass(frozen=True)
class ScoreResult:
    """How true the scores are for one set of labels.

    Attributes:
        task: the labels; view: how the objects were shown.
        answers: clouds that have one of the labels, shown in every draw of labels.
        labels: how many there were to choose from.
        right, score: the share of right answers, and the mean score.
        error: the expected calibration error, 15 bins.
        chance: what it would be for scores that are perfectly true, for so few answers.
        uncalibrated: what it is with the scale of training.
    """

    task: str
    view: str
    answers: int
    labels: int
    right: float
    score: float
    error: float
    chance: float
    uncalibrated: float


@dataclass(frozen=True)
class RejectResult:
    """What is refused for one set of labels.

    Attributes:
        task: the labels.
        reject: the share that was allowed.
        kept: by the view, the share of known things that was kept.
        shown: by kind, how many unknown things there were.
        rejected: by kind, the share of unknown things that was refused.
        at_90: the same where exactly 90 % of the known ones are kept.
        cosine_at_90: the same by the cosine to the nearest label alone.
    """

    task: str
    reject: float
    kept: dict[str, float]
    shown: dict[str, int]
    rejected: dict[str, float]
    at_90: dict[str, float]
    cosine_at_90: dict[str, float]


@dataclass(frozen=True)
class UnknownReport:
    """Everything; `to_dict` is plain."""

    scores: tuple[ScoreResult, ...]
    rejects: tuple[RejectResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def unknown_report(
    calibration: Calibration,
    bank: TextBank,
    shown: Shown,
    tasks: Mapping[str, Sequence[NDArray[np.int64]]],
    reject: float = 0.1,
) -> UnknownReport:
    """Measure a calibration.

    Args:
        calibration: what is measured.
        bank: the whole vocabulary, with the logit scale of training.
        shown: objects and clutter that it was not fitted to.
        tasks: by name, one or several sets of labels, as rows of `bank`.
        reject: the share of known things that may be refused.
    """
    views = {"whole": shown.whole, "one side": shown.one_sided, "both": shown.known()}
    scores, rejects = [], []
    for task, drawn in tasks.items():
        sets = [labels for labels in drawn if views["both"].among(labels).any(axis=1).sum() >= _FEW]
        if not sets:
            continue
        banks = [_part(bank, labels) for labels in sets]
        for view, known in views.items():
            scores.append(_scores(calibration, task, view, known, sets, banks))
        rejects.append(_rejects(calibration, task, shown, sets, banks, reject))
    return UnknownReport(tuple(scores), tuple(rejects))


def random_labels(known: Known, count: int, draws: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Sets of names that occur among objects, drawn at random."""
    occurring = np.unique([row for rows in known.rows for row in rows])
    rng = np.random.default_rng(seed)
    count = min(count, len(occurring))
    return tuple(np.sort(rng.permutation(occurring)[:count]) for _ in range(draws))


def _scores(
    calibration: Calibration,
    task: str,
    view: str,
    known: Known,
    sets: Sequence[NDArray[np.int64]],
    banks: Sequence[TextBank],
) -> ScoreResult:
    calibrated: list[NDArray[np.float32]] = []
    before: list[NDArray[np.float32]] = []
    hits: list[NDArray[np.bool_]] = []
    for labels, bank in zip(sets, banks, strict=True):
        named = known.among(labels)
        mine = named.any(axis=1)
        first = bank.score(known.embeddings[mine])
        true = dataclasses.replace(bank, logit_scale=calibration.logit_scale(len(bank)))
        before.append(first.max(axis=1))
        calibrated.append(true.score(known.embeddings[mine]).max(axis=1))
        hits.append(named[mine][np.arange(len(first)), first.argmax(axis=1)])
    score, right = np.concatenate(calibrated), np.concatenate(hits)
    return ScoreResult(
        task, view, len(score), len(banks[0]), float(right.mean()), float(score.mean()),
        expected_calibration_error(score, right), chance_calibration_error(score),
        expected_calibration_error(np.concatenate(before), right),
    )  # fmt: skip


def _rejects(
    calibration: Calibration,
    task: str,
    shown: Shown,
    sets: Sequence[NDArray[np.int64]],
    banks: Sequence[TextBank],
    reject: float,
) -> RejectResult:
    kept: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    rejected: dict[str, list[float]] = {}
    at_90: dict[str, list[float]] = {}
    by_cosine: dict[str, list[float]] = {}
    for labels, bank in zip(sets, banks, strict=True):

        def evidence(x: NDArray[np.float32], bank: TextBank = bank) -> NDArray[np.float64]:
            return calibration.evidence(x, bank)

        def cosine(x: NDArray[np.float32], bank: TextBank = bank) -> NDArray[np.float64]:
            return np.asarray((x @ bank.vectors.T).max(axis=1), np.float64)

        def refused(e: NDArray[np.float64], size: int = len(bank)) -> float:
            return float((calibration.familiarity(e, size) < reject).mean())

        both = shown.known()
        mine = both.among(labels).any(axis=1)
        unknown = dict(shown.unknown)
        if not mine.all():
            unknown[OTHER] = both.embeddings[~mine]
        own = both.embeddings[mine]
        kept.setdefault("both", []).append(1 - refused(evidence(own)))
        for view, known in (("whole", shown.whole), ("one side", shown.one_sided)):
            chosen = known.embeddings[known.among(labels).any(axis=1)]
            kept.setdefault(view, []).append(1 - refused(evidence(chosen)))
        for kind, x in unknown.items():
            counts[kind] = counts.get(kind, 0) + len(x)
            rejected.setdefault(kind, []).append(refused(evidence(x)))
            at_90.setdefault(kind, []).append(rejected_share(evidence(own), evidence(x)))
            by_cosine.setdefault(kind, []).append(rejected_share(cosine(own), cosine(x)))
    return RejectResult(
        task, reject, _means(kept), counts, _means(rejected), _means(at_90), _means(by_cosine)
    )


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(found)) for name, found in values.items()}


def _part(bank: TextBank, labels: NDArray[np.int64]) -> TextBank:
    return bank if len(labels) == len(bank) else bank.select([bank.labels[i] for i in labels])
