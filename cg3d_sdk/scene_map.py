"""The SceneMap: what a robot has seen of a place, frame by frame, asked with words at any time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.arguments import as_texts, share, whole
from cg3d_runtime.errors import InputError, short
from cg3d_runtime.points import as_points
from cg3d_runtime.retrieval import origin_of
from cg3d_runtime.retrieval.protocol import check_origin
from cg3d_runtime.scene.map_files import MapFiles, open_map, save_map
from cg3d_runtime.scene.map_settings import MapSettings
from cg3d_runtime.scene.map_state import MapState
from cg3d_runtime.scene.scoring import beside, competes
from cg3d_runtime.sensors.frames import as_transform
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.map_results import MapAnswer, MapObject, MapTimings
from cg3d_sdk.recognizer import Recognizer, check_recognizer
from cg3d_sdk.thing import best_names


class SceneMap:
    """A memory of what was seen, in voxels, with the things in it and what they look like.

    Frames are added one by one with their poses. Every few frames the voxels are cut into things,
    which are matched with those of the last cut, so that a thing keeps its id. The views of each
    are embedded and averaged by how much a view shows. Questions are answered from these averages
    at any time. Memory is bounded: see `MapSettings`.

    Threads: it starts none. All methods may be called from several threads at once; `add`, `query`
    and `objects` wait for each other for milliseconds, and none of them waits for a `cut` that runs
    in another thread.

    Args:
        recognizer: embeds views and knows the words.
        settings: sizes, bounds and rates.

    Raises:
        InputError: one of them is something else.
    """

    def __init__(self, recognizer: Recognizer, settings: MapSettings | None = None) -> None:
        check_recognizer(recognizer)
        if not (settings is None or isinstance(settings, MapSettings)):
            raise InputError(f"settings must be MapSettings(...), not {short(settings)}")
        self.recognizer = recognizer
        self._origin = origin_of(recognizer.bundle)
        dim = recognizer.bundle.manifest.encoder.embedding_dim
        self._state = MapState.empty(MapSettings() if settings is None else settings, dim)
        self._lock = threading.RLock()
        self._cutting = threading.Lock()
        self._saving = threading.Lock()

    def __repr__(self) -> str:
        return f"<SceneMap of {self.frames:,} frames, {self.voxels:,} voxels>"

    @classmethod
    def open(cls, folder: str | Path, recognizer: Recognizer) -> SceneMap:
        """Open what `save` wrote; frames may be added to it.

        Raises:
            InputError: no map, a damaged one, or one of another encoder than the Recognizer's.
        """
        opened = cls(recognizer)
        files = open_map(Path(folder))
        check_origin(files.origin, opened._origin, str(folder))
        dim, known = files.state.things.sums.shape[1], opened._state.things.sums.shape[1]
        if dim != known:
            raise InputError(f"{folder}: embeddings have {dim} columns, the encoder gives {known}")
        opened._state = files.state
        return opened

    def save(self, folder: str | Path) -> None:
        """Write the map to a folder: a kill at any moment leaves the old one or the new one.

        Raises:
            InputError: the folder holds something else, or the disk refused.
        """
        with self._saving:
            with self._lock:
                snapshot = self._state.copied()
            save_map(Path(folder), MapFiles(snapshot, self._origin))

    @property
    def settings(self) -> MapSettings:
        """Sizes, bounds and rates."""
        return self._state.settings

    @property
    def frames(self) -> int:
        """How many frames were added."""
        return self._state.frame

    @property
    def voxels(self) -> int:
        """How many voxels are kept."""
        return len(self._state.grid)

    @property
    def memory(self) -> int:
        """Bytes of all that is kept."""
        with self._lock:
            return self._state.bytes

    def add(self, points: ArrayLike, pose: ArrayLike) -> MapTimings:
        """Add what a sensor saw.

        Args:
            points: (N, 3) or wider, or (H, W, 3) or wider, metres, in the sensor's frame. Rows
                with NaN or infinity, and those beyond the settings' range, are left out.
            pose: (4, 4) from the sensor's frame to the map's, in which z is up.

        Returns:
            Where the time went.

        Raises:
            InputError: the points are no usable cloud, or the pose is no rigid motion; the map is
                as before.
        """
        start = perf_counter()
        placed = as_transform(pose)
        if isinstance(points, np.ndarray) and points.ndim == 3:
            points = points.reshape(-1, points.shape[-1])
        xyz = as_points(points).xyz
        with self._lock:
            near = np.einsum("nk,nk->n", xyz, xyz) <= self.settings.range**2
            local = self._state.fuse(xyz[near], placed)
            due = self._state.cut_is_due()
        fused = perf_counter()
        if due:
            self.cut()
        cut = perf_counter()
        with self._lock:
            views = self._state.worth_looking(local)
        if views:
            embeddings = self.recognizer.embed([view.points for view in views], "z")
            with self._lock:
                self._state.look(views, embeddings)
        return MapTimings(
            fused - start, cut - fused if due else 0.0, perf_counter() - cut, len(views)
        )

    def cut(self) -> None:
        """Find the things anew. `add` does so every `settings.cut_every` frames.

        With `cut_every=0` this is the caller's to do, for instance in another thread: `add` and
        `query` go on meanwhile.
        """
        with self._cutting:
            with self._lock:
                piece = self._state.piece_to_cut()
            labels = piece.cut()
            with self._lock:
                self._state.apply(piece, labels)

    @property
    def objects(self) -> tuple[MapObject, ...]:
        """The things that are settled and were looked at, by their ids."""
        with self._lock:
            rows = self._state.settled()
            if not len(rows):
                return ()
            bank = self.recognizer.bank
            scores = bank.score(self._state.embeddings(rows))
            return tuple(
                self._object(int(i), own, float(own.max()), bank)
                for i, own in zip(rows, scores, strict=True)
            )

    def query(self, text: str, top: int = 3, threshold: float | None = None) -> MapAnswer:
        """Where something is.

        Args:
            text: a name ("mug"), a phrasing of one, or a question ("where can I sit down?").
            top: how many answers to give at most.
            threshold: the score from which the thing counts as found; None for the bundle's.

        Raises:
            VocabularyError: the text holds no name that the bundle knows.
            InputError: `top` is below 1, or the threshold no share.
        """
        top = whole("top", top)
        if threshold is not None:
            threshold = share("threshold", threshold)
        start = perf_counter()
        asked = self.recognizer.asked(text)
        with self._lock:
            rows = self._state.settled()
            embeddings = self._state.embeddings(rows)
            rivals = self._state.logits(rows, asked.vocabulary)
            scores = np.zeros(len(rows), np.float32)
            scale = np.float32(asked.vocabulary.logit_scale)
            for vector in asked.vectors:
                others = rivals[:, competes(vector, asked.vocabulary)]
                scores = np.maximum(scores, beside(scale * (embeddings @ vector), others))
            best = np.argsort(-scores, kind="stable")[:top]
            bank = self.recognizer.bank
            names = bank.score(embeddings[best]) if len(best) else np.empty((0, 0), np.float32)
            objects = tuple(
                self._object(int(rows[i]), own, float(scores[i]), bank)
                for i, own in zip(best, names, strict=True)
            )
        if threshold is None:
            threshold = self.recognizer.found_among(len(rows))
        found = bool(objects) and objects[0].score >= threshold
        return MapAnswer(text, asked.names, objects, found, threshold, perf_counter() - start)

    def query_many(
        self, texts: str | Sequence[str], top: int = 3, threshold: float | None = None
    ) -> tuple[MapAnswer, ...]:
        """`query` for several texts."""
        return tuple(self.query(text, top, threshold) for text in as_texts(texts))

    def _object(
        self, row: int, scores: NDArray[np.float32], score: float, bank: TextBank
    ) -> MapObject:
        state, things = self._state, self._state.things
        id = int(things.ids[row])
        points = state.points_of(id)
        return MapObject(
            id=id,
            base=state.base_of(id),
            voxel=state.settings.voxel,
            score=score,
            ranking=best_names(bank, scores),
            points=points,
            centroid=points.mean(axis=0),
            embedding=state.embeddings(np.array([row]))[0],
            views=int(things.views[row]),
            first=int(things.first[row]),
            last=int(things.last[row]),
        )
