"""A scene, cut into regions and asked with words: what `Recognizer.scene` gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.arguments import as_texts, share, whole
from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.points import Up, as_points
from cg3d_runtime.scene.question import object_of, objects_asked
from cg3d_runtime.scene.scoring import FOUND, apart, belief, varied
from cg3d_runtime.scene.segmentation import Candidates
from cg3d_runtime.scene.sizes import extents, plausibility
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.thing import Thing, best_names
from cg3d_sdk.timings import NOT_TIMED, Timings


@dataclass(frozen=True, eq=False, kw_only=True)
class Region(Thing):
    """A part of a scene that may be one thing; `Thing` has its names, score, points and boxes.

    Attributes:
        indices: (n,) int64, ascending rows of the caller's array.
        way: how it was cut out, e.g. "usual" (it stands free) or "standing" (on a top).
    """

    indices: NDArray[np.int64] = field(repr=False)
    way: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the points and their indices."""
        return {**super().to_dict(), "points": len(self.indices), "way": self.way}


@dataclass(frozen=True)
class SceneAnswer:
    """What a scene answers to a question.

    Attributes:
        question: as it was asked.
        asked: the names that it was reduced to.
        regions: the best answers, the best first; they hardly share points. They are there even
            if nothing was found.
        found: whether the best reaches `threshold`. If not, the thing is probably not here.
        threshold: the score from which an answer counts.
        timings: where the time went: of `Scene.query` the question alone, of `Recognizer.query`
            the scene too.
    """

    question: str
    asked: tuple[str, ...]
    regions: tuple[Region, ...]
    found: bool
    threshold: float
    timings: Timings = field(default=NOT_TIMED, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "question": self.question,
            "asked": list(self.asked),
            "found": self.found,
            "threshold": self.threshold,
            "regions": [region.to_dict() for region in self.regions],
        }


@dataclass(frozen=True, eq=False)
class ScenePoints:
    """The usable points of a scene.

    Attributes:
        local: (n, 3) float32 about `origin`, metres, z up.
        origin: (3,) float64.
        rows: (n,) int64, ascending rows of the caller's array.
        dropped: rows left out because they held NaN or infinity.
    """

    local: NDArray[np.float32]
    origin: NDArray[np.float64]
    rows: NDArray[np.int64]
    dropped: int

    @classmethod
    def of(cls, points: ArrayLike, up: Up) -> ScenePoints:
        """Check points and turn them z up: y up becomes x, -z, y.

        Raises:
            InputError: they are no usable cloud.
        """
        checked = as_points(points)
        rows = np.arange(len(checked.xyz))
        if checked.dropped:
            finite = np.isfinite(np.asarray(points)[:, :3].astype(np.float64)).all(axis=1)
            rows = np.flatnonzero(finite)
        xyz = checked.xyz
        if up == "y":
            xyz = np.stack([xyz[:, 0], -xyz[:, 2], xyz[:, 1]], axis=1)
        # Map coordinates have more digits than float32.
        origin = np.array([column.mean(dtype=np.float64) for column in xyz.T])
        local = (xyz - origin.astype(xyz.dtype)).astype(np.float32)
        return cls(local, origin.astype(xyz.dtype).astype(np.float64), rows, checked.dropped)


class Scene:
    """A scene that was cut into candidates and embedded once; questions are cheap.

    Made by `Recognizer.scene`. Boxes and centroids are in metres, z up; a scene that was given
    y up is turned (x, -z, y).

    Attributes:
        embeddings: (c, d) float32 unit rows, one for each candidate.
        timings: what cutting and embedding took.
        found: the score from which a thing counts as found, the bundle's own where it has one.
    """

    def __init__(
        self,
        cloud: ScenePoints,
        parts: Candidates,
        embeddings: NDArray[np.float32],
        bank: TextBank,
        vocabulary: TextBank,
        vector: Callable[[str], NDArray[np.float32]],
        any_text: bool,
        timings: Timings = NOT_TIMED,
        found: float = FOUND,
    ) -> None:
        self.embeddings = embeddings
        self.found = found
        self.timings = timings
        self._cloud = cloud
        self._parts = parts
        self._bank = bank
        self._vocabulary = vocabulary
        self._vector = vector
        self._any_text = any_text

    def __repr__(self) -> str:
        return f"<Scene of {len(self._cloud.rows):,} points, {len(self.embeddings)} candidates>"

    @property
    def dropped(self) -> int:
        """Rows left out because they held NaN or infinity."""
        return self._cloud.dropped

    @property
    def extent(self) -> NDArray[np.float64]:
        """(3,) from side to side of its points, metres."""
        low, high = self._cloud.local.min(axis=0), self._cloud.local.max(axis=0)
        extent: NDArray[np.float64] = (high - low).astype(np.float64)
        return extent

    @property
    def candidates(self) -> tuple[NDArray[np.int64], ...]:
        """Rows of the caller's array for each row of `embeddings`; they overlap."""
        return tuple(self._cloud.rows[rows] for rows in self._parts.rows)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The things of the scene: of the candidates that lie over one another the one that is
        recognised best. No two share much; the surest comes first."""
        if len(self.embeddings) == 0:
            return ()
        best = self._scores.max(axis=1)
        order = np.argsort(-best * self._parts.trust, kind="stable")
        chosen = apart(order.tolist(), self._parts.rows, len(self._cloud.rows), None)
        return tuple(self._region(i, float(best[i])) for i in chosen)

    def query(self, text: str, top: int = 3, threshold: float | None = None) -> SceneAnswer:
        """Where something is.

        Args:
            text: a name ("chair"), a phrasing of one, or a question ("where can I sit down?").
            top: how many answers to give at most.
            threshold: the score from which the thing counts as found; None for `found`.

        Raises:
            VocabularyError: the text holds no name that the bundle knows.
            InputError: `top` is below 1, or the threshold no share.
        """
        start = perf_counter()
        top = whole("top", top)
        threshold = self.found if threshold is None else share("threshold", threshold)
        asked = names_asked(text, self._vocabulary, self._any_text)
        scores = np.zeros(len(self.embeddings), np.float32)
        for name in asked:
            known = (
                self._sizes[:, self._vocabulary.index(name)] if name in self._vocabulary else None
            )
            vector = self._vector(name)
            own = belief(self.embeddings, vector, self._vocabulary, self._sizes, known)
            scores = np.maximum(scores, own * self._parts.trust)
        order = np.argsort(-scores, kind="stable")
        listed = varied(order.tolist(), self._parts.whole)
        chosen = apart(listed, self._parts.rows, len(self._cloud.rows), top)
        regions = tuple(self._region(i, float(scores[i])) for i in chosen)
        found = bool(regions) and regions[0].score >= threshold
        spent = Timings(score=perf_counter() - start, clouds=len(self.embeddings))
        return SceneAnswer(text, asked, regions, found, threshold, spent)

    def query_many(
        self, texts: str | Sequence[str], top: int = 3, threshold: float | None = None
    ) -> tuple[SceneAnswer, ...]:
        """`query` for several texts."""
        return tuple(self.query(text, top, threshold) for text in as_texts(texts))

    @cached_property
    def _sizes(self) -> NDArray[np.float32]:
        """(c, L) how well each name of the vocabulary goes with each candidate's extent."""
        return plausibility(extents(self._cloud.local, self._parts.rows), self._vocabulary)

    @cached_property
    def _scores(self) -> NDArray[np.float32]:
        return self._bank.score(self.embeddings)

    def _region(self, candidate: int, score: float) -> Region:
        rows = self._parts.rows[candidate]
        points = self._cloud.local[rows] + self._cloud.origin
        return Region(
            score=score,
            ranking=best_names(self._bank, self._scores[candidate]),
            points=points,
            centroid=points.mean(axis=0),
            indices=self._cloud.rows[rows],
            way=self._parts.ways[candidate],
        )


@dataclass(frozen=True, eq=False)
class Asked:
    """What a question asks for.

    Attributes:
        names: that it was reduced to.
        vectors: (n, d) float32 unit, of each.
        vocabulary: the names that they compete with.
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    vocabulary: TextBank


def names_asked(text: str, vocabulary: TextBank, any_text: bool) -> tuple[str, ...]:
    """The names that a question asks for, or all of it where the bundle reads any text.

    Raises:
        VocabularyError: the text holds no name that the bundle knows, and it reads names only.
    """
    try:
        return objects_asked(text, vocabulary)
    except VocabularyError:
        # A full text encoder reads what holds no known name.
        asked = object_of(text) if any_text and isinstance(text, str) else ""
        if not asked:
            raise
        return (asked,)
