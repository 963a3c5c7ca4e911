"""What is evaluated: a bundle as a robot runs it, or a checkpoint of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import PreprocessSpec, Up, prepare
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.evaluation.any_order import embed_any_order
from cg3d_training.runs.folder import RESULT

#: As `cg3d-export` writes it: points to choose from, for each that the encoder takes.
_CANDIDATES = 4


class Subject(Protocol):
    """Embeds clouds and scores them.

    Attributes:
        name: for the table.
        bank: every label it knows.
        parameters: of its encoder.
        record: of its training run; {} where there is none.
    """

    name: str
    bank: TextBank
    parameters: int
    record: Mapping[str, Any]

    def embed(self, clouds: Sequence[NDArray[np.float32]], up: Up) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of clouds (m, 3)."""


class BundleSubject:
    """A bundle, through the Recognizer."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self.name = recognizer.bundle.manifest.name
        self.bank = recognizer.bank
        self.parameters = recognizer.bundle.manifest.encoder.parameters
        self.record: Mapping[str, Any] = recognizer.bundle.manifest.training.get("record") or {}

    def embed(self, clouds: Sequence[NDArray[np.float32]], up: Up) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of clouds (m, 3)."""
        return self._recognizer.embed(list(clouds), up)


class CheckpointSubject:
    """A checkpoint, through torch and the steps that a bundle would have; CLIP's own vectors.

    Raises:
        TrainingError: no such checkpoint, one of a classifier, or one for other text vectors.
    """

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        checkpoint = load_checkpoint(path)
        if checkpoint.record.get("classes"):
            raise TrainingError(f"{path} is a classifier's, which compares nothing with texts")
        if checkpoint.text_mean.shape != vocabulary.vectors.shape[1:]:
            raise TrainingError(
                f"{path} was trained for texts of {len(checkpoint.text_mean)} numbers, the "
                f"vocabulary's have {vocabulary.vectors.shape[1]}: give the vectors of its teacher"
            )
        self.name = path.parent.name if path.name == RESULT else path.stem
        self.record: Mapping[str, Any] = checkpoint.record
        self._encoder = checkpoint.build()
        self.parameters = sum(p.numel() for p in self._encoder.parameters())
        self._spec = PreprocessSpec(self._encoder.points, _CANDIDATES * self._encoder.points)
        space = TextSpace(checkpoint.text_mean.numpy())
        self.bank = TextBank(
            vocabulary.labels,
            vocabulary.aliases,
            space.apply(vocabulary.vectors),
            checkpoint.logit_scale,
        )

    def embed(self, clouds: Sequence[NDArray[np.float32]], up: Up) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of clouds (m, 3)."""
        if self._encoder.any_order:
            return embed_any_order(self._encoder, clouds, up)
        ready = np.stack([prepare(cloud, self._spec, up).cloud for cloud in clouds])
        with torch.inference_mode():
            rows = self._encoder.embed_ordered(torch.from_numpy(ready))
            return torch.nn.functional.normalize(rows, dim=1).numpy()


def open_subjects(
    paths: Sequence[Path], vocabulary: Vocabulary | None, threads: int | None = None
) -> list[Subject]:
    """Bundles, checkpoints and folders of runs; none means the shipped bundle.

    Of those with equal names all but the first are called by their path.

    Raises:
        TrainingError: a checkpoint without a vocabulary, or one that cannot be read.
        BundleError: a bundle that cannot be read.
    """
    subjects: list[Subject] = []
    wanted: Sequence[Path | None] = paths or [None]
    for path in wanted:
        checkpoint = find_checkpoint(path)
        if checkpoint is None:
            subject: Subject = BundleSubject(Recognizer(path, threads=threads))
        elif vocabulary is not None:
            subject = CheckpointSubject(checkpoint, vocabulary)
        else:
            raise TrainingError(
                f"{path} is a checkpoint, which has no words of its own: give the folder of "
                "text vectors (--clip-text)"
            )
        if path is not None and any(other.name == subject.name for other in subjects):
            subject.name = str(path)
        subjects.append(subject)
    return subjects


def find_checkpoint(path: Path | None) -> Path | None:
    """The checkpoint that a path means, or None for a bundle."""
    if path is None or path.suffix == ".safetensors":
        return path
    return path / RESULT if (path / RESULT).is_file() else None
