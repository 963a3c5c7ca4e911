"""Class names to vectors: by a teacher's text tower, frozen vectors, or a bundle's own encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol as Shape

import numpy as np
import torch
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.space import TextSpace, unit_rows
from cg3d_runtime.text.templates import strip
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary
from cg3d_training.data.names import NameMatcher, name_rules
from cg3d_training.paper.phrasings import PHRASINGS, class_text
from cg3d_training.teachers import Teacher, load_open_clip, load_slip
from cg3d_training.triplets.caption_vectors import text_vectors

Vectors = NDArray[np.float32]


class Words(Shape):
    """Makes vectors of texts.

    Attributes:
        name: for tables and records.
        dim: of its vectors.
    """

    name: str
    dim: int

    def raw(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, not unit rows."""

    def rows(self, texts: Sequence[str], space: TextSpace) -> Vectors:
        """(n, dim) unit rows in the space of comparison."""


class TeacherWords:
    """Any text, by a teacher's text tower."""

    def __init__(self, teacher: Teacher, name: str, device: str = "cpu") -> None:
        self.teacher, self.name, self.dim = teacher, name, teacher.embedding_dim
        self._device = torch.device(device)

    def raw(self, texts: Sequence[str]) -> Vectors:
        """See `Words`."""
        return text_vectors(self.teacher, tuple(texts), self._device, quiet=True).numpy()

    def rows(self, texts: Sequence[str], space: TextSpace) -> Vectors:
        """See `Words`."""
        return space.apply(self.raw(texts))


class VectorWords:
    """Names of a vocabulary, by frozen vectors of "a NAME"; no other phrasing has any."""

    def __init__(self, vocabulary: Vocabulary, name: str) -> None:
        self.name, self.dim = name, vocabulary.vectors.shape[1]
        self._vocabulary, self._matcher = vocabulary, NameMatcher(vocabulary)

    def raw(self, texts: Sequence[str]) -> Vectors:
        """See `Words`."""
        return self._vocabulary.vectors[[self._row(text) for text in texts]]

    def rows(self, texts: Sequence[str], space: TextSpace) -> Vectors:
        """See `Words`."""
        return space.apply(self.raw(texts))

    def _row(self, text: str) -> int:
        name = strip(text)
        (template,) = PHRASINGS["name"]
        row = self._matcher.benchmark_row(name)
        if text != class_text(template, name) or row is None:
            why = f"{name!r} is not a name of the vocabulary" if row is None else "not of this form"
            raise TrainingError(
                f"{self.name} holds vectors of 'a NAME' alone, none of {text!r} ({why}); use "
                "--phrasing name, or the text tower of a teacher (--text)"
            )
        return row


class BundleWords:
    """What a bundle's own text encoder reads; small ones know the names of their bank alone."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.name = recognizer.bundle.manifest.name
        self.dim = recognizer.bank.vectors.shape[1]
        self._recognizer = recognizer

    def raw(self, texts: Sequence[str]) -> Vectors:
        """Refused: a bundle gives its vectors in its own space."""
        raise TrainingError(
            f"the bundle {self.name} compares with unit rows; for text vectors as they are give "
            "--text and a checkpoint"
        )

    def rows(self, texts: Sequence[str], space: TextSpace) -> Vectors:
        """See `Words`; the space is the bundle's own."""
        return self._recognizer.embed_text(list(texts))


def open_words(source: str, device: str = "cpu") -> TeacherWords | VectorWords:
    """What `--text` names.

    Args:
        source: "open_clip:MODEL[:WEIGHTS]", where MODEL may be a folder that `cg3d-train teacher`
            wrote and WEIGHTS is a file or a tag; "slip:FILE"; or a folder of frozen text vectors.
        device: for a teacher.

    Raises:
        TrainingError: it is none of these, or cannot be read.
    """
    kind, _, rest = source.partition(":")
    if kind == "slip" and rest:
        return TeacherWords(load_slip(Path(rest)).to(device), "SLIP ViT-B/16", device)
    if kind == "open_clip" and rest:
        model, _, weights = rest.partition(":")
        known = weights or (None if Path(model).exists() else "openai")
        return TeacherWords(load_open_clip(model, known).to(device), Path(model).name, device)
    if Path(source).is_dir():
        return VectorWords(load_vocabulary(Path(source)), Path(source).name)
    raise TrainingError(
        f"{source!r} is no source of text vectors: open_clip:MODEL[:WEIGHTS], slip:FILE, or a "
        "folder of vectors with names.json"
    )


def open_teacher(source: str, device: str = "cpu") -> TeacherWords:
    """`open_words` for what also has an image tower.

    Raises:
        TrainingError: as `open_words`, or it has none.
    """
    words = open_words(source, device)
    if not isinstance(words, TeacherWords):
        raise TrainingError(f"{source} holds vectors of words; pictures need a teacher")
    return words


def class_vectors(
    words: Words, space: TextSpace, names: Sequence[str], templates: Sequence[str],
    raw_names: bool = False, unit_texts: bool = True,
) -> Vectors:  # fmt: skip
    """One vector a class, to be multiplied with unit rows of clouds.

    Args:
        words: where vectors come from.
        space: in which clouds and texts are compared.
        names: (C) as the set writes them.
        templates: several make an ensemble: the mean of their unit rows, a unit row again.
        raw_names, unit_texts: see `Protocol`.

    Returns:
        (C, d) float32; unit rows if `unit_texts`.

    Raises:
        TrainingError: `unit_texts` is off with an ensemble, or in a space with a mean, where
            neither is defined; or a text is not known.
        VocabularyError: a bundle's encoder does not know a name.
    """
    known = names if raw_names else [_spoken(words, name) for name in names]
    if not unit_texts:
        if len(templates) > 1 or space.mean.any():
            raise TrainingError(
                "text vectors as they are (the official head) go with one phrasing and with an "
                "encoder that was trained against them so; this one "
                + ("is asked with several" if len(templates) > 1 else "was trained on centred ones")
            )
        return words.raw([class_text(templates[0], name, raw_names) for name in known])
    parts = [
        words.rows([class_text(template, name, raw_names) for name in known], space)
        for template in templates
    ]
    return unit_rows(np.mean(parts, axis=0), "class vectors")


def _spoken(words: Words, name: str) -> str:
    """A class name in the words that closed vocabularies have ("tv stand": "cabinet")."""
    plain = " ".join(name.replace("_", " ").split())
    if isinstance(words, TeacherWords):
        return plain
    return name_rules().benchmark_classes.get(plain, plain)
