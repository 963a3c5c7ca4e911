"""The half of a bundle that knows words: from our text encoder, or from a CLIP of open_clip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.bundle import TextEncoderInfo
from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import fill
from cg3d_training.text.checkpoint import load_text_encoder
from cg3d_training.text.evaluate import bank_vectors
from cg3d_training.text.merges import clip_tokenizer, read_clip_merges
from cg3d_training.text.model import TextTower

#: `--text open_clip:MODEL[:WEIGHTS]` takes the tower of a real CLIP.
OPEN_CLIP = "open_clip:"

#: The phrasing that the vectors of 3D encoders here are trained against.
_PHRASING = "a {}"

_BATCH = 256


@dataclass(frozen=True)
class TextPart:
    """Words and their vectors.

    Attributes:
        labels: (L) names.
        aliases: (L) further names of each.
        vectors: (L, d) float32, as the text encoder gives them.
        tower: the encoder, if the bundle is to carry it.
        record: where it came from, for the manifest.
    """

    labels: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    vectors: NDArray[np.float32]
    tower: TextTower | None
    record: dict[str, Any]

    @property
    def info(self) -> TextEncoderInfo | None:
        """What the manifest says about the encoder."""
        if self.tower is None:
            return None
        # Our own towers know by heart the names of their bank, and nothing else.
        return TextEncoderInfo(self.tower.config.context_length, open_vocabulary=False)

    @property
    def merges(self) -> bytes:
        """The merges of its tokenizer."""
        return read_clip_merges().encode()

    def tokens(self) -> NDArray[np.int64]:
        """(L, context_length) int64: the labels."""
        assert self.tower is not None
        return clip_tokenizer()(list(self.labels), self.tower.config.context_length)


def load_text_part(source: str, labels: Path | None) -> TextPart:
    """Read what `--text` names.

    Args:
        source: a checkpoint of `cg3d-train text`, or "open_clip:MODEL[:WEIGHTS]", where WEIGHTS is
            a file or a tag of open_clip ("openai" by default).
        labels: with open_clip, a text file with one label a line.

    Raises:
        TrainingError: the source cannot be read, or labels are missing or not wanted.
        DependencyError: open_clip is not installed.
    """
    if not source.startswith(OPEN_CLIP):
        if labels is not None:
            raise TrainingError(
                "--labels goes with --text open_clip:...; a text checkpoint brings its own"
            )
        return _from_checkpoint(Path(source))
    if labels is None:
        raise TrainingError(f"--text {source} needs --labels FILE, one label a line")
    model, _, weights = source.removeprefix(OPEN_CLIP).partition(":")
    return _from_open_clip(model, weights or "openai", read_labels(labels))


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a text file, one a line; blank lines do not count.

    Raises:
        TrainingError: the file cannot be read, holds no label, or one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as a file of labels: {error}") from error
    labels = tuple(" ".join(line.split()) for line in lines if line.strip())
    seen: set[str] = set()
    for label in labels:
        if label.lower() in seen:
            raise TrainingError(f"{path}: the label {label!r} is there twice")
        seen.add(label.lower())
    if not labels:
        raise TrainingError(f"{path} holds no labels; write one a line")
    return labels


def _from_checkpoint(path: Path) -> TextPart:
    checkpoint = load_text_encoder(path)
    vectors = bank_vectors(checkpoint.tower, clip_tokenizer(), checkpoint)
    return TextPart(
        checkpoint.labels, checkpoint.aliases, vectors, checkpoint.tower, checkpoint.record
    )


def _from_open_clip(model: str, weights: str, labels: Sequence[str]) -> TextPart:
    open_clip = require("open_clip", "export", "A text bank of a real CLIP")
    if model not in open_clip.list_models():
        raise TrainingError(
            f"open_clip has no model {model!r}; list them with "
            'python -c "import open_clip; print(open_clip.list_models())"'
        )
    try:
        clip = open_clip.create_model(model, pretrained=weights)
    except Exception as error:  # open_clip and torch raise what they like for a bad file
        raise TrainingError(
            f"open_clip cannot load {model} with the weights {weights!r}: {_first_line(error)}"
        ) from error
    tokenizer = open_clip.get_tokenizer(model)
    texts = [fill(_PHRASING, label) for label in labels]
    with torch.no_grad():
        rows = [
            clip.eval().encode_text(tokenizer(texts[start : start + _BATCH])).float().numpy()
            for start in tqdm(range(0, len(texts), _BATCH), "text bank", unit="batch")
        ]
    record = {"open_clip": model, "weights": Path(weights).name, "phrasing": _PHRASING}
    if Path(weights).is_file():
        record["weights_sha256"] = _sha256(Path(weights))
    return TextPart(tuple(labels), ((),) * len(labels), np.concatenate(rows), None, record)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
