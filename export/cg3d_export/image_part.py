"""The half of a bundle that sees pictures: a teacher's image tower with its visual prompts."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cg3d_export.against_torch import TORCH, without_gradients
from cg3d_export.graph import image_graph, plain_attention
from cg3d_export.parity import compare, graph_runner, in_batches
from cg3d_export.precision import half_weights
from cg3d_export.teacher_source import load_source
from cg3d_runtime.bundle import ImageEncoderInfo
from cg3d_runtime.errors import BundleError, TrainingError
from cg3d_training.teachers import DeepPrompts, Teacher, load_prompts

#: The least mean cosine to torch; the weights are stored in FP16 and computed with in FP32.
MEAN_COSINE = 0.9999

_PICTURES = 32


@dataclass(frozen=True)
class ImageSource:
    """What an image encoder is made of.

    Attributes:
        teacher: with a square input.
        prompts: as trained for its vision transformer; None for none.
        record: where the teacher comes from, for the manifest.
    """

    teacher: Teacher
    prompts: DeepPrompts | None
    record: dict[str, str]


@dataclass(frozen=True)
class ImagePart:
    """An image encoder for a bundle.

    Attributes:
        model: its ONNX file.
        info: what the manifest says of it.
    """

    model: bytes
    info: ImageEncoderInfo


def load_image_source(source: str, prompts: Path | None, dim: int) -> ImageSource:
    """Read what `--image-encoder` and `--prompts` name.

    Args:
        source: "open_clip:MODEL[:WEIGHTS]" or "slip:FILE", see `load_source`.
        prompts: prompts.safetensors of `cg3d-train pretrain-triplets`; None for no prompts.
        dim: d, what the 3D encoder gives.

    Raises:
        TrainingError: the source or the prompts cannot be read, or do not fit each other or the
            encoder.
    """
    read = None if prompts is None else _read_prompts(prompts)
    teacher, record = load_source(source, "--image-encoder")
    size = teacher.image_size[0]
    if teacher.image_size != (size, size):
        raise TrainingError(f"the teacher takes pictures of {teacher.image_size}, not squares")
    if teacher.embedding_dim != dim:
        raise TrainingError(
            f"the encoder gives {dim} numbers and the teacher {teacher.embedding_dim}: they were "
            "not trained for each other"
        )
    if read is not None:
        with read.inserted(teacher.token_tower()):
            pass  # refuses a tower of another kind or size
    return ImageSource(teacher, read, record)


def image_part(source: ImageSource) -> ImagePart:
    """Export a teacher's image tower with its prompts, and compare it with torch.

    Raises:
        TrainingError: the tower cannot be exported.
        BundleError: the export is not what the teacher is.
    """
    teacher, prompts, size = source.teacher, source.prompts, source.teacher.image_size[0]
    tower = _UnitRows(teacher)
    inserted = nullcontext() if prompts is None else prompts.inserted(teacher.token_tower())
    with inserted, plain_attention():
        data: bytes = half_weights(image_graph(tower, size)).SerializeToString(deterministic=True)
        pictures = _pictures(size)
        expected = in_batches(without_gradients(tower), pictures, "teacher")
    run, engine = graph_runner(data, "images")
    found = in_batches(run, pictures, "exported")
    parity = compare(found, expected, lambda rows: rows @ expected.T, TORCH, engine)
    if not parity.mean_cosine >= MEAN_COSINE:
        raise BundleError(
            f"the exported image encoder does not say what {TORCH} says: over {parity.count} "
            f"pictures the mean cosine is {parity.mean_cosine:.6f} (at least {MEAN_COSINE}). No "
            "bundle was written."
        )
    info = ImageEncoderInfo(
        size,
        teacher.image_mean,
        teacher.image_std,
        0 if prompts is None else prompts.prompt_embeddings.shape[1],
        {**source.record, "parity": parity.record("made-up pictures")},
    )
    return ImagePart(data, info)


class _UnitRows(nn.Module):
    """The image tower, with the division by the length that follows it."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.teacher.encode_image(images).float(), dim=-1)


def _pictures(size: int) -> NDArray[np.float32]:
    """(n, 3, size, size) float32: coloured patches from coarse to fine, about normalised."""
    draw = np.random.default_rng(0)
    pictures = np.empty((_PICTURES, 3, size, size), np.float32)
    for i, picture in enumerate(pictures):
        side = min(size, 2 ** (1 + i % 6))
        patches = draw.standard_normal((3, side, side), np.float32)
        places = np.arange(size) * side // size
        picture[:] = patches[:, places][:, :, places]
    return pictures


def _read_prompts(path: Path) -> DeepPrompts:
    try:
        return load_prompts(load_file(path))
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read as prompts: {error}") from error
