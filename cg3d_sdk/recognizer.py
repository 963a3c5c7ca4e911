"""The Recognizer: from points to a name, by composing the rooms of `cg3d_runtime`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.bundle import Bundle, ImageEncoderInfo
from cg3d_runtime.engines.choose import EngineChoice, Refusal, open_engine, open_part
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.errors import BundleError, InputError, VocabularyError
from cg3d_runtime.images import prepare_image
from cg3d_runtime.points import Prepared, Up, prepare
from cg3d_runtime.points.normalize import check_up
from cg3d_runtime.scene.objects import ObjectSegmentation
from cg3d_runtime.scene.segmentation import Segmentation, candidates
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.encoder import TextEncoder
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.tokenizer import Tokenizer
from cg3d_sdk.results import UNKNOWN, Classification, Ranked
from cg3d_sdk.scene import Scene, SceneAnswer, ScenePoints

#: The bundle that ships with the package.
DEFAULT_BUNDLE = "household-small"

#: Clouds that go through the encoder at once; on a CPU more gain nothing and cost 14 MB each.
_BATCH = 8


def default_bundle() -> Path:
    """The folder of the bundle that ships with the package."""
    return Path(str(resources.files("cg3d_sdk") / "bundles" / DEFAULT_BUNDLE))


class Recognizer:
    """Names point clouds with the words of a text bank.

    Safe to use from several threads at once. Loading takes a fraction of a second; make one
    Recognizer and keep it.

    Args:
        bundle: a folder made by `cg3d-export`; None for the one that ships with the package.
        labels: the names to choose from, in any spelling the bundle knows (see `vocabulary`);
            None for all of them.
        engine: what runs the networks. "auto" takes the best that works here: a TensorRT plan of
            the bundle, else CUDA, else the CPU; `engine_report` tells why not the others. "cpu",
            "cuda", "tensorrt", "ort-tensorrt" and "ort-tensorrt-rtx" are used or are an error;
            docs/engines.md compares them.
        up: the axis that points up in your clouds: "z" (robots, ROS) or "y" (most mesh files).
        threads: CPU threads of the engine; None leaves the choice to it.
        reject: None names everything. Else a share from 0 to below 1: at most so much of what does
            have one of the labels may be answered with "unknown", and what has none of them is
            as far as that allows. docs/unknown.md says how far that is.

    Raises:
        BundleError: the bundle is missing, damaged or of another format, or `reject` is given and
            it was not calibrated.
        VocabularyError: a label is not in the bundle's vocabulary; the nearest ones are named.
        EngineError: no engine of that kind works here.
        DependencyError: no engine is installed; the message has the line that installs one.
        InputError: `up` is not an axis, or `reject` not a share.
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
    ) -> None:
        self.up: Up = check_up(up)
        self.reject = _checked_share(reject)
        self.bundle = Bundle.open(default_bundle() if bundle is None else bundle)
        self._engine_options = (engine, threads)
        self._text = self.bundle.text()
        self._space = TextSpace(self._text.mean)
        self.calibration = self.bundle.calibration()
        if reject is not None and self.calibration is None:
            raise BundleError(_not_calibrated(self.bundle.manifest.name))
        self.set_labels(labels)
        self._opened = open_part(self.bundle, "encoder", engine, threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names to choose from."""
        return self.bank.labels

    def set_labels(self, labels: Iterable[str] | None) -> None:
        """Choose among other names from now on; nothing is rebuilt.

        Calls that run in other threads meanwhile answer with the old names or with the new ones.

        Args:
            labels: names in any spelling the bundle knows (see `vocabulary`); None for all of them.

        Raises:
            VocabularyError: a label is not in the bundle's vocabulary; the old names stay.
        """
        bank = self._vocabulary if labels is None else self._vocabulary.select(labels)
        if self.calibration is not None:
            bank = replace(bank, logit_scale=self.calibration.logit_scale(len(bank)))
        if self.reject is not None and UNKNOWN in bank:
            raise VocabularyError(
                f"with `reject` the label {UNKNOWN!r} is the answer for what has no label; give "
                "yours another name"
            )
        self.bank = bank

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every label of the bundle; each may have aliases beside."""
        return self._vocabulary.labels

    @property
    def engine(self) -> str:
        """What runs the encoder, for people."""
        return self._opened.engine.name

    @property
    def engine_report(self) -> tuple[Refusal, ...]:
        """The engines that come before the one in use and were not taken, each with its reason."""
        return self._opened.refusals

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
        bank = self.bank  # one for the whole call, whatever set_labels does meanwhile
        prepared = self._prepare(clouds, up)
        embeddings = self._embed(prepared)
        scores = bank.score(embeddings) if prepared else np.empty((0, 0), np.float32)
        return [
            self._classification(bank, row, embedding, cloud.dropped, familiarity)
            for row, embedding, cloud, familiarity in zip(
                scores, embeddings, prepared, self._familiarity(bank, embeddings), strict=True
            )
        ]

    def embed(
        self, points: ArrayLike | Sequence[ArrayLike], up: Up | None = None
    ) -> NDArray[np.float32]:
        """Embeddings, to compare with each other or with `embed_text`.

        Args:
            points: one cloud as an array (N, 3+), or a list of such arrays.
            up: the axis that points up, if it differs from the Recognizer's.

        Returns:
            (n, d) float32 unit rows, one for each cloud.

        Raises:
            InputError: a cloud is not usable.
        """
        one = isinstance(points, np.ndarray) or not _holds_arrays(points)
        return self._embed(self._prepare([points] if one else points, up))  # type: ignore[list-item, arg-type]

    def embed_text(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of words, in the space of `embed`.

        Args:
            texts: names, or simple phrasings around one ("a photo of a chair").

        Returns:
            (n, d) float32 unit rows; the products with those of `embed` are cosines.

        Raises:
            VocabularyError: a text that the bundle's text encoder was not made for, or a bundle
                without a text encoder.
        """
        return self._space.apply(
            self._text_encoder.embed([texts] if isinstance(texts, str) else list(texts))
        )

    def scene(
        self,
        points: ArrayLike,
        up: Up | None = None,
        segmentation: Segmentation | None = None,
    ) -> Scene:
        """Cut a scene into candidates and embed them once, to be asked with words.

        Args:
            points: (N, 3) or wider, metres. Rows with NaN or infinity are left out.
            up: the axis that points up, if it differs from the Recognizer's.
            segmentation: how to cut; None for `ObjectSegmentation()`. `KMeansSegmentation()` is
                the paper's.

        Raises:
            InputError: the points are no usable cloud.
        """
        cloud = ScenePoints.of(points, self.up if up is None else check_up(up))
        cut = ObjectSegmentation() if segmentation is None else segmentation
        parts = candidates(cut(cloud.local), cloud.local)
        embeddings = self._embed(self._prepare([cloud.local[rows] for rows in parts.rows], "z"))
        encoder = self.bundle.manifest.text.encoder
        any_text = encoder is not None and encoder.open_vocabulary
        return Scene(
            cloud, parts, embeddings, self.bank, self._vocabulary, self._asked_vector, any_text
        )

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
            InputError: the points are no usable cloud.
            VocabularyError: the text holds no name that the bundle knows.
        """
        return self.scene(points, up).query(text, top)

    def _asked_vector(self, text: str) -> NDArray[np.float32]:
        """(d,) of a name of the vocabulary, or of any text if the bundle reads any."""
        if text in self._vocabulary:
            vector: NDArray[np.float32] = self._vocabulary.vectors[self._vocabulary.index(text)]
            return vector
        row: NDArray[np.float32] = self.embed_text(text)[0]
        return row

    def embed_image(self, images: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.float32]:
        """Embeddings of pictures, in the space of `embed`.

        Args:
            images: one picture (H, W, 3) uint8, red, green, blue, or a list of such;
                `cg3d_runtime.images.read_image` reads a file.

        Returns:
            (n, d) float32 unit rows; the products with those of `embed` are cosines.

        Raises:
            InputError: what is given is no picture, or the bundle has no image encoder.
        """
        info, encoder = self._image_encoder
        one = isinstance(images, np.ndarray) and images.ndim < 4
        pictures: Sequence[ArrayLike] = [images] if one else images  # type: ignore[assignment, list-item]
        rows = [np.empty((0, self.bundle.manifest.encoder.embedding_dim), np.float32)]
        for picture in pictures:
            batch = prepare_image(picture, info.size, info.mean, info.std)[None]
            rows.append(encoder.run({"images": batch})["embedding"])
        return np.concatenate(rows)

    def _prepare(self, clouds: Sequence[ArrayLike], up: Up | None) -> list[Prepared]:
        spec = self.bundle.manifest.preprocess
        prepared = []
        for i, cloud in enumerate(clouds):
            try:
                prepared.append(prepare(cloud, spec, self.up if up is None else up))
            except InputError as error:
                if len(clouds) == 1:
                    raise
                raise InputError(f"cloud {i} of {len(clouds)}: {error}") from error
        return prepared

    def _embed(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        rows = [np.empty((0, self.bundle.manifest.encoder.embedding_dim), np.float32)]
        for start in range(0, len(prepared), _BATCH):
            batch = np.stack([p.cloud for p in prepared[start : start + _BATCH]])
            rows.append(self._opened.engine.run({"points": batch})["embedding"])
        return np.concatenate(rows)

    def _familiarity(self, bank: TextBank, embeddings: NDArray[np.float32]) -> list[float | None]:
        if self.calibration is None or not len(embeddings):
            return [None] * len(embeddings)
        evidence = self.calibration.evidence(embeddings, bank)
        return [float(f) for f in self.calibration.familiarity(evidence, len(bank))]

    def _classification(
        self,
        bank: TextBank,
        scores: NDArray[np.float32],
        embedding: NDArray[np.float32],
        dropped: int,
        familiarity: float | None,
    ) -> Classification:
        order = np.argsort(-scores, kind="stable")
        ranking = tuple(Ranked(bank.labels[i], float(scores[i])) for i in order)
        label, score = ranking[0].label, ranking[0].score
        known = self.reject is None or familiarity is None or familiarity >= self.reject
        if not known:
            label, score = UNKNOWN, 0.0
        return Classification(label, score, ranking, embedding, dropped, familiarity, known)

    @cached_property
    def _vocabulary(self) -> TextBank:
        return TextBank(
            self._text.labels,
            self._text.aliases,
            self._space.apply(self._text.vectors),
            self._text.logit_scale,
        )

    @cached_property
    def _image_encoder(self) -> tuple[ImageEncoderInfo, Engine]:
        info = self.bundle.manifest.image
        if info is None:
            raise InputError(
                f"the bundle {self.bundle.manifest.name!r} has no image encoder, so it reads no "
                "pictures; export the checkpoint with `cg3d-export --image-encoder TEACHER`"
            )
        engine, threads = self._engine_options
        # No plans are built of it.
        choice = "auto" if engine == "tensorrt" else engine
        return info, open_engine(self.bundle.bytes(info.file), choice, threads)

    @cached_property
    def _text_encoder(self) -> TextEncoder:
        info = self.bundle.manifest.text.encoder
        if info is None:
            raise VocabularyError(
                f"the bundle {self.bundle.manifest.name!r} has no text encoder; it knows the "
                "labels in `vocabulary` only"
            )
        merges = self.bundle.bytes(info.merges).decode("utf-8")
        engine = open_part(self.bundle, "text_encoder", *self._engine_options).engine
        return TextEncoder(
            engine, Tokenizer(merges), info.context_length, self._vocabulary, info.open_vocabulary
        )


def _holds_arrays(points: object) -> bool:
    """Whether a list is a list of clouds, not one cloud written as lists of numbers."""
    return isinstance(points, (list, tuple)) and (len(points) == 0 or np.ndim(points[0]) >= 2)


def _not_calibrated(name: str) -> str:
    return (
        f"the bundle {name!r} was not calibrated, so it cannot tell what it does not know: leave "
        "`reject` out, or calibrate it with `cg3d-train calibrate BUNDLE -o NEW_BUNDLE "
        "--household DIR --clip-text DIR` (docs/unknown.md)"
    )


def _checked_share(reject: float | None) -> float | None:
    if reject is not None and not (isinstance(reject, (int, float)) and 0 <= reject < 1):
        raise InputError(
            f"reject is the share of known objects that may be given up, from 0 to below 1 (0.1 "
            f"is a tenth), not {reject!r}"
        )
    return reject
