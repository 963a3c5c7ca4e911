"""The half of a bundle that knows words: from our text encoder, or from a teacher's text tower."""

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
from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import fill
from cg3d_training.teachers.open_clip import load_open_clip
from cg3d_training.teachers.slip import load_slip
from cg3d_training.teachers.teacher import Teacher
from cg3d_training.text.checkpoint import load_text_encoder
from cg3d_training.text.evaluate import bank_vectors
from cg3d_training.text.merges import clip_tokenizer, read_clip_merges
from cg3d_training.text.model import TextTower

#: `--text open_clip:MODEL[:WEIGHTS]` and `--text slip:FILE` take the tower of a real teacher.
OPEN_CLIP, SLIP = "open_clip", "slip"

#: How the vectors were asked for that 3D encoders here are trained against.
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


def load_text_part(source: str, labels: Path | None, phrasing: str | None = None) -> TextPart:
    """Read what `--text` names.

    Args:
        source: a checkpoint of `cg3d-train text`; "open_clip:MODEL[:WEIGHTS]", where WEIGHTS is a
            file or a tag of open_clip ("openai" by default); or "slip:FILE", the official
            checkpoint of SLIP ViT-B/16, which the released CG3D weights were trained against.
        labels: with a teacher, a text file with one label a line.
        phrasing: with a teacher, what is said of a label, e.g. "This is a {}", as the paper
            does; None for "a {}".

    Raises:
        TrainingError: the source cannot be read, or labels or phrasing are missing, wrong or not
            wanted.
    """
    kind, _, rest = source.partition(":")
    if kind not in (OPEN_CLIP, SLIP) or not rest:
        if labels is not None or phrasing is not None:
            raise TrainingError(
                "--labels and --phrasing go with --text open_clip:... or slip:...; a text "
                "checkpoint brings its own"
            )
        return _from_checkpoint(Path(source))
    if labels is None:
        raise TrainingError(f"--text {source} needs --labels FILE, one label a line")
    phrasing = phrasing or _PHRASING
    if phrasing.count("{}") != 1:
        raise TrainingError(f"--phrasing {phrasing!r} should hold {{}} once, for the label")
    names = read_labels(labels)
    if kind == SLIP:
        slip = {"slip": "ViT-B/16"} | weights_record(rest)
        return _from_teacher(load_slip(Path(rest)), names, phrasing, slip)
    model, _, weights = rest.partition(":")
    weights = weights or "openai"
    clip = {"open_clip": model} | weights_record(weights)
    return _from_teacher(load_open_clip(model, weights), names, phrasing, clip)


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


def _from_teacher(
    teacher: Teacher, labels: Sequence[str], phrasing: str, record: dict[str, Any]
) -> TextPart:
    tokens = teacher.tokenise([fill(phrasing, label) for label in labels])
    with torch.no_grad():
        rows = [
            teacher.encode_text(part).float().numpy()
            for part in tqdm(torch.split(tokens, _BATCH), "text bank", unit="batch")
        ]
    record = {**record, "phrasing": phrasing}
    return TextPart(tuple(labels), ((),) * len(labels), np.concatenate(rows), None, record)


def weights_record(weights: str) -> dict[str, str]:
    """What the weights are called, not where they lie on this machine."""
    path = Path(weights)
    return {"weights": path.name} | ({"weights_sha256": _sha256(path)} if path.is_file() else {})


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
