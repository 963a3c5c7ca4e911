"""Where is the chair? The paper's protocol for scenes (3.4.2, appendix A), and ours beside it.

The paper leaves out floor and ceiling by their labels, clusters the coordinates with k-means, and
gives the clusters whose cosine with the text is highest. How many clusters, and from where on a
cluster counts, it does not say: the official code's history has 11, and 0.85 of the way from the
lowest to the highest cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.scene.kmeans import KMeansSegmentation, kmeans
from cg3d_runtime.scene.objects import ObjectSegmentation
from cg3d_runtime.scene.segmentation import Partition
from cg3d_runtime.scene.voxels import spacing, voxels
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.data.indoor import ROOM, IndoorScene

#: In the history of the official code.
CLUSTERS, SHOWN = 11, 0.85

#: An answer is right from this intersection over union with an object on.
HIT = 0.25

#: Answers to a question.
TOP = 3

#: Ways to answer, and what they are.
WAYS = {
    "paper": "k-means, floor and ceiling out by their labels, cosine",
    "k-means": "k-means without labels, belief beside other names",
    "default": "the default segmentation, belief beside other names",
}


@dataclass(frozen=True)
class LabelledOut:
    """k-means on the points that are neither floor nor ceiling; labels say which.

    Attributes:
        keep: (n,) the points that take part.
        clusters: how many.
    """

    keep: NDArray[np.bool_]
    clusters: int = CLUSTERS

    def __call__(self, xyz: NDArray[np.floating]) -> tuple[Partition, ...]:
        """One partition; see `Segmentation`."""
        kept = np.flatnonzero(self.keep)
        labels = np.full(len(xyz), -1, np.int32)
        if len(kept):
            grid = voxels(xyz[kept], 4.0 * spacing(xyz[kept]))
            labels[kept] = kmeans(grid.centres, grid.counts, self.clusters)[grid.of_point]
        return (Partition("paper", labels, 1.0),)


@dataclass(frozen=True, eq=False)
class Answer:
    """What one way answers to one question about one scene.

    Attributes:
        scene, way, word: which.
        regions: rows of the best answers, the best first, `TOP` at most.
        shown: (n,) bool, what would be highlighted: of the paper all clusters above `SHOWN`, else
            the answers that count as found.
        overlaps: with the best object of the word, of each region.
        shown_overlap: of `shown` with all objects of the word together.
    """

    scene: str
    way: str
    word: str
    regions: tuple[NDArray[np.int64], ...]
    shown: NDArray[np.bool_]
    overlaps: tuple[float, ...]
    shown_overlap: float


@dataclass(frozen=True, eq=False)
class Asked:
    """All answers of one way about one scene.

    Attributes:
        answers: one a word.
        clusters: (n,) int32 the part of each point, -1 for none; of the default the regions that
            do not overlap.
    """

    answers: tuple[Answer, ...]
    clusters: NDArray[np.int32]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        way: one of `WAYS`.
        questions: a word in a scene each.
        first, within: shares whose first answer, or one of three, is right.
        overlap: mean intersection over union of the first answers.
        shown: mean intersection over union of what is highlighted with all such objects.
    """

    way: str
    questions: int
    first: float
    within: float
    overlap: float
    shown: float


def words_of(scene: IndoorScene, recognizer: Recognizer) -> tuple[str, ...]:
    """The classes of a scene that are no part of the room, and known to the bundle."""
    present = {scene.classes[i] for i in np.unique(scene.instance) if i >= 0}
    return tuple(sorted(w for w in present - ROOM if _known(w, recognizer.bank)))


def _known(word: str, bank: TextBank) -> bool:
    try:
        bank.index(word)
    except VocabularyError:
        return False
    return True


def ask(
    recognizer: Recognizer,
    scene: IndoorScene,
    words: Sequence[str],
    way: str,
    clusters: int = CLUSTERS,
) -> Asked:
    """Ask for words in a scene, in one way.

    Args:
        way: one of `WAYS`.
        clusters: of the paper's way.

    Raises:
        VocabularyError: a word that the bundle does not know.
    """
    if way == "paper":
        return _paper(recognizer, scene, words, clusters)
    segmentation = ObjectSegmentation() if way == "default" else KMeansSegmentation()
    cut = recognizer.scene(scene.xyz, "z", segmentation)
    answers = []
    for word in words:
        found = cut.query(word, top=TOP)
        shown = [r.indices for r in found.regions if r.score >= found.threshold]
        regions = tuple(region.indices for region in found.regions)
        answers.append(_answer(scene, way, word, regions, shown))
    parts = [region.indices for region in cut.regions] if way == "default" else cut.candidates
    return Asked(tuple(answers), _labels(parts, len(scene.xyz)))


def _paper(
    recognizer: Recognizer, scene: IndoorScene, words: Sequence[str], clusters: int
) -> Asked:
    keep = ~scene.rows_of({"floor", "ceiling"})
    cut = recognizer.scene(scene.xyz, "z", LabelledOut(keep, clusters))
    parts = cut.candidates
    answers = []
    for word, vector in zip(words, recognizer.embed_text(list(words)), strict=True):
        cosines = cut.embeddings @ vector
        order = np.argsort(-cosines, kind="stable")[:TOP]
        low, high = (cosines.min(), cosines.max()) if len(cosines) else (0.0, 1.0)
        shown = [parts[i] for i in np.flatnonzero(cosines - low > SHOWN * (high - low))]
        answers.append(_answer(scene, "paper", word, tuple(parts[i] for i in order), shown))
    return Asked(tuple(answers), _labels(parts, len(scene.xyz)))


def _answer(
    scene: IndoorScene,
    way: str,
    word: str,
    regions: tuple[NDArray[np.int64], ...],
    shown: Sequence[NDArray[np.int64]],
) -> Answer:
    sizes = np.bincount(scene.instance + 1, minlength=len(scene.classes) + 1)[1:]
    own = np.array([name == word for name in scene.classes]) & (sizes > 0)
    overlaps = []
    for rows in regions:
        shared = np.bincount(scene.instance[rows] + 1, minlength=len(sizes) + 1)[1:]
        overlaps.append(float((shared / (sizes + len(rows) - shared).clip(1))[own].max(initial=0)))
    mask = np.zeros(len(scene.xyz), bool)
    for rows in shown:
        mask[rows] = True
    true = scene.rows_of({word})
    together = int((mask | true).sum())
    overlap = float((mask & true).sum() / together) if together else 0.0
    return Answer(scene.name, way, word, regions, mask, tuple(overlaps), overlap)


def _labels(parts: Sequence[NDArray[np.int64]], points: int) -> NDArray[np.int32]:
    labels = np.full(points, -1, np.int32)
    for number, rows in enumerate(parts):
        labels[rows] = number
    return labels


def summary(answers: Sequence[Answer]) -> tuple[Row, ...]:
    """A row for every way that was asked."""
    rows = []
    for way in WAYS:
        own = [a for a in answers if a.way == way]
        if own:
            first = [a.overlaps[0] if a.overlaps else 0.0 for a in own]
            within = [max(a.overlaps, default=0.0) for a in own]
            rows.append(
                Row(
                    way, len(own),
                    float(np.mean(np.array(first) >= HIT)), float(np.mean(np.array(within) >= HIT)),
                    float(np.mean(first)), float(np.mean([a.shown_overlap for a in own])),
                )
            )  # fmt: skip
    return tuple(rows)


def table(rows: Sequence[Row], answers: Sequence[Answer], per_word: bool = False) -> str:
    """Markdown; with `per_word` also every question."""
    lines = [
        "| way | questions | right at first | within three | mean IoU of the first | "
        "IoU of what is shown |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {WAYS[r.way]} | {r.questions} | {r.first:.1%} | {r.within:.1%} | {r.overlap:.2f} | "
        f"{r.shown:.2f} |"
        for r in rows
    ]
    if per_word:
        lines += ["", "| scene | asked | way | IoU of the answers | IoU of what is shown |",
                  "|---|---|---|---|---|"]  # fmt: skip
        lines += [
            f"| {a.scene} | {a.word} | {a.way} | {', '.join(f'{x:.2f}' for x in a.overlaps)} | "
            f"{a.shown_overlap:.2f} |"
            for a in answers
        ]
    return "\n".join(lines)
