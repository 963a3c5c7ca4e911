"""Clouds, words and pictures into the space of a bundle: what a Recognizer does before it names."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import Refusal
from cg3d_runtime.errors import InputError
from cg3d_runtime.images import prepare_image
from cg3d_runtime.points import Prepared, Up, prepare
from cg3d_runtime.text.words import Words
from cg3d_sdk.networks import Networks
from cg3d_sdk.scene import Asked, names_asked

_Own = TypeVar("_Own", bound="Embedder")


class Embedder:
    """Vectors of one space for clouds, words and pictures.

    Args:
        bundle: whose space it is.
        words: every name of the bundle.
        networks: of the bundle; `close` frees them.
        up: the axis that points up in clouds.
    """

    def __init__(self, bundle: Bundle, words: Words, networks: Networks, up: Up) -> None:
        self.bundle = bundle
        self.up: Up = up
        self._words = words
        self._networks = networks

    def embed(
        self, points: ArrayLike | Sequence[ArrayLike], up: Up | None = None
    ) -> NDArray[np.float32]:
        """Embeddings, to compare with each other or with `embed_text`.

        Args:
            points: one cloud as an array (N, 3+), or a list of such arrays.
            up: the axis that points up, if it differs from `self.up`.

        Returns:
            (n, d) float32 unit rows, one for each cloud.

        Raises:
            InputError: a cloud is not usable.
        """
        one = isinstance(points, np.ndarray) or not _holds_arrays(points)
        return self._networks.encode(self._prepare([points] if one else points, up))  # type: ignore[list-item, arg-type]

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
        encoder = self._networks.text_encoder(self._words.bank)
        return self._words.space.apply(encoder.embed(texts))

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
        info, encoder = self._networks.image_encoder()
        one = isinstance(images, np.ndarray) and images.ndim < 4
        pictures: Sequence[ArrayLike] = [images] if one else images  # type: ignore[assignment, list-item]
        rows = [np.empty((0, self.bundle.manifest.encoder.embedding_dim), np.float32)]
        for picture in pictures:
            batch = prepare_image(picture, info.size, info.mean, info.std)[None]
            rows.append(encoder.run({"images": batch})["embedding"])
        return np.concatenate(rows)

    def asked(self, question: str) -> Asked:
        """What a question asks for, to be compared with embeddings.

        Args:
            question: a name, a phrasing of one, or a question that holds one.

        Raises:
            VocabularyError: the question holds no name that the bundle knows.
        """
        words = self._words
        names = names_asked(question, words.bank, words.open)
        return Asked(names, np.stack([self._asked_vector(n) for n in names]), words.bank)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every label of the bundle; each may have aliases beside."""
        return self._words.bank.labels

    @property
    def engine(self) -> str:
        """What runs the encoder, for people."""
        return self._networks.point_encoder().engine.name

    @property
    def engine_report(self) -> tuple[Refusal, ...]:
        """The engines that come before the one in use and were not taken, each with its reason."""
        return self._networks.point_encoder().refusals

    def close(self) -> None:
        """Free the networks; a call after it is an EngineError. May be called again."""
        self._networks.close()

    def __enter__(self: _Own) -> _Own:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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

    def _asked_vector(self, name: str) -> NDArray[np.float32]:
        """(d,) of a name of the vocabulary, or of any if the bundle reads any."""
        return self._words.vector(name, self._networks.text_encoder)


def _holds_arrays(points: object) -> bool:
    """Whether a list is a list of clouds, not one cloud written as lists of numbers."""
    return isinstance(points, (list, tuple)) and (len(points) == 0 or np.ndim(points[0]) >= 2)
