"""The Recognizer: from points to a name, by composing the rooms of `cg3d_runtime`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike

from cg3d_runtime.arguments import items, whole
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import EngineChoice
from cg3d_runtime.errors import InputError, short
from cg3d_runtime.points import Up
from cg3d_runtime.points.normalize import check_up
from cg3d_runtime.scene.objects import ObjectSegmentation
from cg3d_runtime.scene.scoring import FOUND, found_from
from cg3d_runtime.scene.segmentation import Segmentation, candidates
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.embedder import Embedder
from cg3d_sdk.naming import Naming
from cg3d_sdk.networks import Networks
from cg3d_sdk.results import Classification
from cg3d_sdk.scene import Scene, SceneAnswer, ScenePoints
from cg3d_sdk.shipped import bundle_folder
from cg3d_sdk.timings import Timings

#: Runs of each thread in `Recognizer.warmup`, so that all are in the engine together.
_MEETINGS = 5


class Recognizer(Embedder):
    """Names point clouds with the words of a text bank.

    Safe to use from several threads at once, and in children of a fork or a spawn (there it opens
    its networks anew; on a GPU a forked child gets an EngineError). Loading takes a fraction of a
    second; make one Recognizer and keep it. `close` it, or use it in `with`, to free it early.

    Args:
        bundle: a folder made by `cg3d-export`, or the name of a bundle that ships with the
            package: "household-small", which None stands for, or "household-tiny", which takes a
            third of the time.
        labels: the names to choose from, in any spelling the bundle knows (see `vocabulary`), or
            any words where it has CLIP's text tower; None for all of its own.
        engine: what runs the networks. "auto" takes the best that works here: a TensorRT plan of
            the bundle, else CUDA, else the CPU; `engine_report` tells why not the others. "cpu",
            "cuda", "tensorrt", "ort-tensorrt" and "ort-tensorrt-rtx" are used or are an error;
            docs/engines.md compares them.
        up: the axis that points up in your clouds: "z" (robots, ROS) or "y" (most mesh files).
        threads: CPU threads of the engine, the calling one among them; None takes every core.
            With 1 it starts none. docs/robot.md says which threads there are besides.
        reject: None names everything. Else a share from 0 to below 1: at most so much of what does
            have one of the labels may be answered with "unknown", and what has none of them is
            as far as that allows. docs/unknown.md says how far that is.
        batch: clouds, or regions of a scene, that go through the encoder at once. On a CPU more
            than 8 gain nothing and cost 14 MB each.

    Raises:
        BundleError: the bundle is missing, damaged or of another format, or `reject` is given and
            it was not calibrated.
        VocabularyError: a label is not in the bundle's vocabulary; the nearest ones are named.
        EngineError: no engine of that kind works here.
        DependencyError: no engine is installed; the message has the line that installs one.
        InputError: `up` is not an axis, `reject` not a share, or `batch` below 1.
    """

    def __init__(
        self,
        bundle: str | Path | None = None,
        *,
        labels: Iterable[str] | None = None,
        engine: EngineChoice = "auto",
        up: Up = "z",
        threads: int | None = None,
        reject: float | None = None,
        batch: int = 8,
    ) -> None:
        check_up(up)
        opened = Bundle.open(bundle_folder(bundle))
        self._naming = Naming.of(opened, reject)
        networks = Networks(opened, engine, threads, batch)
        super().__init__(opened, self._naming.words, networks, up)
        self.set_labels(labels)

    def __repr__(self) -> str:
        bundle = self.bundle.manifest.name
        return f"<{type(self).__name__} of {bundle}, {len(self.labels):,} labels, up={self.up!r}>"

    def classify(self, points: ArrayLike, up: Up | None = None) -> Classification:
        """Name one cloud.

        Args:
            points: (N, 3) or wider, any number type, any unit; x, y, z first. Rows with NaN or
                infinity are dropped.
            up: the axis that points up, if it differs from the Recognizer's.

        Raises:
            InputError: the points are no usable cloud; the message says why.
        """
        return self.classify_many([points], up)[0]

    def classify_many(
        self, clouds: Sequence[ArrayLike], up: Up | None = None
    ) -> list[Classification]:
        """Name several clouds at once; see `classify`.

        Raises:
            InputError: one of the clouds is not usable; the message says which and why.
        """
        naming = self._naming  # one for the whole call, whatever set_labels does meanwhile
        clouds = items("clouds", clouds, "arrays")
        start = perf_counter()
        prepared = self._prepare(clouds, up)
        prepare_end = perf_counter()
        embeddings = self._networks.encode(prepared)
        encode_end = perf_counter()
        answers = naming.classify(embeddings, [cloud.dropped for cloud in prepared])
        spent = Timings(
            prepare=prepare_end - start,
            encode=encode_end - prepare_end,
            score=perf_counter() - encode_end,
            clouds=len(prepared),
        )
        return [replace(answer, timings=spent) for answer in answers]

    def scene(
        self,
        points: ArrayLike,
        up: Up | None = None,
        segmentation: Segmentation | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Scene:
        """Cut a scene into candidates and embed them once, to be asked with words.

        Args:
            points: (N, 3) or wider, metres. Rows with NaN or infinity are left out.
            up: the axis that points up, if it differs from the Recognizer's.
            segmentation: how to cut; None for `ObjectSegmentation()`. `KMeansSegmentation()` is
                the paper's.
            progress: called with how many of how many candidates are embedded, batch by batch.

        Raises:
            InputError: the points are no usable cloud, or the segmentation or `progress` is no
                function.
        """
        naming = self._naming
        if not (progress is None or callable(progress)):
            raise InputError(
                f"progress={short(progress)} should be a function of how many and of how many"
            )
        if not (segmentation is None or callable(segmentation)):
            raise InputError(
                f"segmentation={short(segmentation)} should be a function from points to "
                "partitions, such as KMeansSegmentation() of cg3d_runtime.scene.kmeans"
            )
        start = perf_counter()
        cloud = ScenePoints.of(points, self.up if up is None else check_up(up))
        cut = ObjectSegmentation() if segmentation is None else segmentation
        parts = candidates(cut(cloud.local), cloud.local)
        spent = Timings(segment=perf_counter() - start, clouds=len(parts.rows))
        encoded = [self._networks.encode([])]
        for first in range(0, len(parts.rows), self._networks.batch):
            batch = parts.rows[first : first + self._networks.batch]
            batch_start = perf_counter()
            prepared = self._prepare([cloud.local[rows] for rows in batch], "z")
            prepare_end = perf_counter()
            encoded.append(self._networks.encode(prepared))
            spent = replace(
                spent,
                prepare=spent.prepare + prepare_end - batch_start,
                encode=spent.encode + perf_counter() - prepare_end,
            )
            if progress is not None:
                progress(first + len(batch), len(parts.rows))
        embeddings = np.concatenate(encoded)
        return Scene(
            cloud, parts, embeddings, naming.bank, self._words.bank, self._asked_vector,
            self._words.open, spent, self.found_among(len(embeddings)),
        )  # fmt: skip

    def query(
        self, points: ArrayLike, text: str, top: int = 3, up: Up | None = None
    ) -> SceneAnswer:
        """Where something is in a scene; for several questions keep the `scene`.

        Args:
            points: (N, 3) or wider, metres.
            text: a name ("chair"), a phrasing of one, or a question ("where can I sit down?").
            top: how many answers to give at most.
            up: the axis that points up, if it differs from the Recognizer's.

        Raises:
            InputError: the points are no usable cloud, or `top` is below 1.
            VocabularyError: the text holds no name that the bundle knows.
        """
        top = whole("top", top)
        scene = self.scene(points, up)
        answer = scene.query(text, top)
        return replace(answer, timings=replace(scene.timings, score=answer.timings.score))

    def found_among(self, candidates: int) -> float:
        """The score from which a thing that was asked for counts as found among so many."""
        measured = self.bundle.manifest.scenes
        if measured is None:
            return FOUND
        return found_from(candidates, measured.found, measured.growth)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names to choose from."""
        return self.bank.labels

    @property
    def bank(self) -> TextBank:
        """The names to choose from, with their vectors."""
        return self._naming.bank

    @property
    def reject(self) -> float | None:
        """The share of known objects that may be answered with "unknown"."""
        return self._naming.reject

    def set_labels(self, labels: Iterable[str] | None) -> None:
        """Choose among other names from now on; nothing is rebuilt.

        Calls that run in other threads meanwhile answer with the old names or with the new ones.

        Args:
            labels: names in any spelling the bundle knows (see `vocabulary`); None for all of them.
                Where the bundle has CLIP's text tower, any words: new ones are encoded once, in
                the phrasing of its own.

        Raises:
            VocabularyError: a label is not in the bundle's vocabulary, and the bundle cannot read
                it; the old names stay.
        """
        self._naming = self._naming.choosing(labels, self._networks.text_encoder)

    def warmup(self, at_once: int = 1) -> Timings:
        """Do now what a first call does once: take memory, record CUDA graphs, sort the tables.

        Runs a made-up cloud alone and as a full batch. Words are not touched: `embed_text` opens
        the text encoder at its first call.

        Args:
            at_once: threads of yours that may call at the same time. The engine takes memory for
                as many runs as have ever met, so without this it may still grow days later.

        Returns:
            What one cloud takes now that it is warm.

        Raises:
            InputError: `at_once` is below 1.
            EngineError: the engine failed.
        """
        at_once = whole("at_once", at_once)
        points = self.bundle.manifest.preprocess.candidates
        cloud = np.random.default_rng(0).normal(size=(points, 3))
        batch = self._prepare([cloud] * self._networks.batch, None)
        if at_once > 1:
            meet = Barrier(at_once)

            def run() -> None:
                meet.wait()
                for _ in range(_MEETINGS):
                    self._networks.encode(batch)

            with ThreadPoolExecutor(at_once) as threads:
                for running in [threads.submit(run) for _ in range(at_once)]:
                    running.result()
        self._networks.encode(batch)
        self.classify(cloud)
        return self.classify(cloud).timings


def check_recognizer(value: object) -> None:
    """Refuse what is given for a Recognizer and is none, such as the name of a bundle.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, Recognizer):
        raise InputError(f"recognizer must be a Recognizer(...), not {short(value)}")
