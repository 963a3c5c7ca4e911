"""What a manifest says of each part of a bundle: files, encoders, words, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cg3d_runtime.text.phrasing import Phrasing

#: Of an encoder's weights and large products, best first.
Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True)
class FileInfo:
    """A file as it was written.

    Attributes:
        sha256: of the whole file, 64 lower-case hexadecimal digits.
        bytes: its size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class EncoderInfo:
    """The point cloud encoder: input "points" (B, n, 3) float32, output "embedding" (B, d).

    Attributes:
        architecture: its name in the registry of encoders.
        parameters: how many numbers were trained.
        precision: of the weights and the large products; inputs and outputs are always float32.
        embedding_dim: d, the length of an embedding.
        opset: of the ONNX file.
        file: its place in the bundle.
    """

    architecture: str
    parameters: int
    precision: Precision
    embedding_dim: int
    opset: int
    file: str = "encoder.onnx"


@dataclass(frozen=True)
class TextEncoderInfo:
    """The text encoder: input "tokens" (B, context_length) int64, output "embedding" (B, d).

    Attributes:
        context_length: tokens per text, start and end marks included.
        open_vocabulary: whether it may be trusted with any text, or only with the bank's names.
        file: its place in the bundle.
        merges: the BPE merges of its tokenizer, one a line.
    """

    context_length: int
    open_vocabulary: bool
    file: str = "text/encoder.onnx"
    merges: str = "text/merges.txt"


@dataclass(frozen=True)
class ImageEncoderInfo:
    """The image encoder: input "images" (B, 3, size, size), output "embedding" (B, d) unit rows.

    Attributes:
        size: pixels of its square input; a picture's shortest side is brought to it.
        mean: taken off the channels (red, green, blue) in [0, 1].
        std: what they are divided by then.
        prompts: visual prompts at every layer, trained with the 3D encoder; 0 for none.
        record: the teacher that it was exported from, and how it compared with that.
        file: its place in the bundle.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    prompts: int
    record: dict[str, Any]
    file: str = "image/encoder.onnx"


@dataclass(frozen=True)
class TextInfo:
    """The text bank, and what happens to every text vector before it is compared.

    A vector, of the bank or of any text encoder, is made unit, `mean` is taken off, and it is made
    unit again; scores are softmax(logit_scale * cosine).

    Attributes:
        logit_scale: the factor on cosines.
        encoder: the text encoder in the bundle, if there is one.
        phrasing: what the bank's vectors stand for, and what new words are asked with; None where
            it was not noted, and then manifest.json has no such field.
        labels: file of the names and aliases, row by row of `vectors`.
        vectors: file of the bank, (L, d) float32, as the text encoder gave them.
        mean: file of the mean that the 3D encoder was trained with, (d,) float32.
    """

    logit_scale: float
    encoder: TextEncoderInfo | None = None
    labels: str = "text/labels.json"
    vectors: str = "text/vectors.npy"
    mean: str = "text/mean.npy"
    phrasing: Phrasing | None = None


@dataclass(frozen=True)
class ScenesInfo:
    """When a text counts as found in a scene, as `cg3d-train calibrate-scenes` chose it.

    Attributes:
        found: the score from which on it does, among 100 candidates.
        growth: how it grows with their number: as (candidates / 100) ** growth.
        record: the data that it was chosen on, and what it does there.
    """

    found: float
    growth: float
    record: dict[str, Any]


@dataclass(frozen=True)
class CalibrationLevel:
    """What was measured for one number of labels; see `cg3d_runtime.text.calibration`.

    Attributes:
        labels: how many there were to choose from.
        logit_scale: the factor on cosines with which scores are true.
        cosine_weight: of the cosine to the nearest label, in the evidence.
    """

    labels: int
    logit_scale: float
    cosine_weight: float


@dataclass(frozen=True)
class CalibrationInfo:
    """True scores and `unknown`, as `cg3d-train calibrate` measured them.

    Attributes:
        levels: by the number of labels, ascending.
        record: the data that it was measured on, and how good it is.
        direction: file of the direction, (d,) float32.
        quantiles: file of the quantiles of the evidence of known objects, (levels, 101) float32.
    """

    levels: tuple[CalibrationLevel, ...]
    record: dict[str, Any]
    direction: str = "calibration/direction.npy"
    quantiles: str = "calibration/quantiles.npy"
