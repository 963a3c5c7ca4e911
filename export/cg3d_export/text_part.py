"""The half of a bundle that knows words: from our text encoder, or from a teacher's text tower."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from cg3d_export.against_torch import text_parity
from cg3d_export.graph import plain_attention, text_graph
from cg3d_export.parity import require_parity
from cg3d_export.precision import half_weights
from cg3d_export.teacher_source import load_source, names_a_teacher
from cg3d_runtime.bundle import TextEncoderInfo
from cg3d_runtime.bundle.parts import Precision
from cg3d_runtime.errors import BundleError, TrainingError
from cg3d_runtime.text.phrasing import Phrasing
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.templates import TEMPLATES
from cg3d_training.paper.phrasings import find_phrasings
from cg3d_training.teachers.teacher import Teacher
from cg3d_training.text.checkpoint import load_text_encoder
from cg3d_training.text.evaluate import bank_vectors
from cg3d_training.text.merges import clip_tokenizer, read_clip_merges
from cg3d_training.text.model import TextTower

#: An open text encoder is held to this on its own; of labels that mean nearly the same, the
#: nearest may change by rounding, so that agreement is reported and no bar.
_MEAN_COSINE = 0.9999

#: What an open text encoder is compared on besides the labels.
_SENTENCES = (
    "where can I sit down?",
    "something to drink from",
    "a small red toy car that lies on its side, with one wheel missing",
    "the tallest of the potted plants, next to the window in the corner of the living room",
    "Stuhl, silla, chaise; 椅子 🪑",
    "no. 7½ & 100% cotton (2x4)",
    "x",
)

_BATCH = 256


@dataclass(frozen=True)
class TextPart:
    """Words and their vectors.

    Attributes:
        labels: (L) names.
        aliases: (L) further names of each.
        vectors: (L, d) float32, as the text encoder gives them.
        phrasing: what they stand for.
        tower: the encoder, if the bundle is to carry it: (B, context) int64 to (B, d).
        info: what the manifest says about it.
        record: where it came from, for the manifest.
    """

    labels: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    vectors: NDArray[np.float32]
    phrasing: Phrasing
    tower: nn.Module | None
    info: TextEncoderInfo | None
    record: dict[str, Any]

    def tokens(self) -> NDArray[np.int64]:
        """(n, context_length) int64 to compare an export on: the labels, and any text if it may."""
        assert self.info is not None
        texts = list(self.labels)
        if self.info.open_vocabulary:
            first = Phrasing(self.phrasing.templates[:1])
            texts = [first.texts(label)[0] for label in self.labels[:_BATCH]]
            texts += [text for text in _SENTENCES if _fits(text, self.info.context_length)]
        return clip_tokenizer()(texts, self.info.context_length)


def load_text_part(
    source: str,
    labels: Path | None,
    phrasing: Sequence[str] = (),
    labels_only: bool = False,
) -> TextPart:
    """Read what `--text` names.

    Args:
        source: a checkpoint of `cg3d-train text`, or a teacher, see `load_source`.
        labels: with a teacher, a text file with one label a line.
        phrasing: with a teacher, what is said of a label, see `find_phrasings`; none for "a {}".
            The vectors of several are averaged as in CLIP's notebook.
        labels_only: with a teacher, leave its text tower out.

    Raises:
        TrainingError: the source cannot be read, or labels or phrasing are missing, wrong or not
            wanted.
    """
    if not names_a_teacher(source):
        if labels is not None or phrasing or labels_only:
            raise TrainingError(
                "--labels, --phrasing and --labels-only go with --text open_clip:... or slip:...; "
                "a text checkpoint brings its own"
            )
        return _from_checkpoint(Path(source))
    if labels is None:
        raise TrainingError(f"--text {source} needs --labels FILE, one label a line")
    wanted = read_phrasing(phrasing)
    names = read_labels(labels)
    teacher, record = load_source(source, "--text")
    part = _from_teacher(teacher, names, wanted, record)
    return part if labels_only else _with_tower(part, teacher)


def read_phrasing(given: Sequence[str]) -> Phrasing:
    """Templates, some by the name of a set, as one phrasing; "a {}" where none is given.

    Raises:
        TrainingError: something is neither a set nor a template.
    """
    # "a NAME" is what 3D encoders here are trained against.
    templates = find_phrasings(given or ["name"])
    return Phrasing(templates, "unit" if len(templates) > 1 else "raw")


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


def export_text_encoder(
    part: TextPart, precision: Precision, space: TextSpace
) -> tuple[bytes, dict[str, Any]]:
    """The text encoder's ONNX file, and how it compares with torch.

    Args:
        part: with a tower.
        precision: of the bundle. In "fp32" the weights stay in FP32; in all others they are
            stored in FP16 and computed with in FP32.
        space: that its vectors are compared in.

    Raises:
        TrainingError: torch cannot export it.
        BundleError: the export is not what the tower is.
    """
    assert part.tower is not None
    assert part.info is not None
    anchors = space.apply(part.vectors)
    with plain_attention() if part.info.open_vocabulary else nullcontext():
        graph = text_graph(part.tower, part.info.context_length)
        model = (graph if precision == "fp32" else half_weights(graph)).SerializeToString(
            deterministic=True
        )
        parity = text_parity(
            part.tower, model, part.tokens(), lambda rows: space.apply(rows) @ anchors.T
        )
    if not part.info.open_vocabulary:
        require_parity(parity, "fp16", "text encoder")
    elif not parity.mean_cosine >= _MEAN_COSINE:
        raise BundleError(
            f"the exported text encoder does not say what torch says: over {parity.count} texts "
            f"the mean cosine is {parity.mean_cosine:.6f} (at least {_MEAN_COSINE}). No bundle was "
            "written. Export with --precision fp32, or without the tower by --labels-only."
        )
    return model, parity.record("texts")


def _from_checkpoint(path: Path) -> TextPart:
    checkpoint = load_text_encoder(path)
    tower: TextTower = checkpoint.tower
    return TextPart(
        checkpoint.labels,
        checkpoint.aliases,
        bank_vectors(tower, clip_tokenizer(), checkpoint),
        Phrasing(TEMPLATES, "raw"),
        tower,
        # It knows by heart the names of its bank, and nothing else.
        TextEncoderInfo(tower.config.context_length, open_vocabulary=False),
        checkpoint.record,
    )


def _from_teacher(
    teacher: Teacher, labels: Sequence[str], phrasing: Phrasing, record: dict[str, str]
) -> TextPart:
    tokens = teacher.tokenise([text for label in labels for text in phrasing.texts(label)])
    with torch.no_grad():
        rows = [
            teacher.encode_text(part).float().numpy()
            for part in tqdm(torch.split(tokens, _BATCH), "text bank", unit="batch")
        ]
    vectors = np.concatenate(rows).reshape(len(labels), len(phrasing.templates), -1)
    mean = phrasing.mean(vectors)
    return TextPart(tuple(labels), ((),) * len(labels), mean, phrasing, None, None, dict(record))


def _with_tower(part: TextPart, teacher: Teacher) -> TextPart:
    """The teacher's tower with it, if the robot's tokenizer is the teacher's."""
    context = teacher.tokenise(["x"]).shape[1]
    texts = [text for text in (*part.labels, *_SENTENCES) if _fits(text, context)]
    if not np.array_equal(clip_tokenizer()(texts, context), teacher.tokenise(texts).numpy()):
        raise TrainingError(
            "this teacher's tokenizer is not CLIP's, the one that a robot has, so the bundle "
            "cannot carry its text tower: add --labels-only for a bundle that knows its labels "
            "alone"
        )
    return replace(part, tower=_Tower(teacher), info=TextEncoderInfo(context, open_vocabulary=True))


class _Tower(nn.Module):
    """A teacher's text tower as a network of its own."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, tokens: Tensor) -> Tensor:
        return self.teacher.encode_text(tokens).float()


def _fits(text: str, context_length: int) -> bool:
    return len(clip_tokenizer().encode(text)) <= context_length - 2


def merges() -> bytes:
    """The merges of the tokenizer of every text encoder here."""
    return read_clip_merges().encode()
