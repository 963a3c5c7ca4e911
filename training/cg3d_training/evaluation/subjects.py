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

#: As `cg3d-export` writes it: points to choose from, for each that the encoder takes.
_CANDIDATES = 4


class Subject(Protocol):
    """Embeds clouds and scores them.

    Attributes:
        name: for the table.
        bank: every label it knows.
        record: of its training run; {} where there is none.
    """

    name: str
    bank: TextBank
    record: Mapping[str, Any]

    def embed(self, clouds: Sequence[NDArray[np.float32]], up: Up) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of clouds (m, 3)."""


class BundleSubject:
    """A bundle, through the Recognizer."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self.name = recognizer.bundle.manifest.name
        self.bank = recognizer.bank
        self.record: Mapping[str, Any] = recognizer.bundle.manifest.training.get("record") or {}

    def embed(self, clouds: Sequence[NDArray[np.float32]], up: Up) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of clouds (m, 3)."""
        return self._recognizer.embed(list(clouds), up)


class CheckpointSubject:
    """A checkpoint, through torch and the steps that a bundle would have; CLIP's own vectors.

    Raises:
        TrainingError: no such checkpoint, or one of a classifier.
    """

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        checkpoint = load_checkpoint(path)
        if checkpoint.record.get("classes"):
            raise TrainingError(f"{path} is a classifier's, which compares nothing with texts")
        self.name = path.parent.name if path.stem == "checkpoint" else path.stem
        self.record: Mapping[str, Any] = checkpoint.record
        self._encoder = checkpoint.build()
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
        ready = np.stack([prepare(cloud, self._spec, up).cloud for cloud in clouds])
        with torch.inference_mode():
            rows = self._encoder.embed_ordered(torch.from_numpy(ready))
            return torch.nn.functional.normalize(rows, dim=1).numpy()


def open_subjects(
    paths: Sequence[Path], vocabulary: Vocabulary | None, threads: int | None = None
) -> list[Subject]:
    """Bundles and checkpoints; none means the shipped bundle. Equal names become paths.

    Raises:
        TrainingError: a checkpoint without a vocabulary, or one that cannot be read.
        BundleError: a bundle that cannot be read.
    """
    subjects: list[Subject] = []
    wanted: Sequence[Path | None] = paths or [None]
    for path in wanted:
        if path is not None and path.suffix == ".safetensors":
            if vocabulary is None:
                raise TrainingError(
                    f"{path} is a checkpoint, which has no words of its own: give the folder of "
                    "text vectors (--clip-text)"
                )
            subject: Subject = CheckpointSubject(path, vocabulary)
        else:
            subject = BundleSubject(Recognizer(path, threads=threads))
        if path is not None and any(other.name == subject.name for other in subjects):
            subject.name = str(path)
        subjects.append(subject)
    return subjects
