"""The steps of pre-training on triplets: what goes into each loss, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cg3d_training.data.augment import augment
from cg3d_training.data.clouds import OrderedClouds
from cg3d_training.data.triplet_set import CaptionTable, TripletSet
from cg3d_training.losses import (
    class_positives,
    diagonal_positives,
    encoder_loss,
    prompt_loss,
    unit_rows,
)
from cg3d_training.runs.distributed import gather_rows
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.teachers import Teacher
from cg3d_training.triplets.run import TripletRun

_POSITIVES = {"class": class_positives, "diagonal": diagonal_positives}
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the steps of a run draw from; everything in it stays as it is.

    Attributes:
        objects, clouds, captions: the data.
        anchors: (captions, d) unit rows on the device.
        fixed: (n,) the picture of each object where it is the same all along, or None.
        teacher: frozen.
        temperature: of all losses.
        share: this process's part of a batch.
        device: to train on.
    """

    objects: TripletSet
    clouds: OrderedClouds
    captions: CaptionTable
    anchors: Tensor
    fixed: NDArray[np.int64] | None
    teacher: Teacher
    temperature: float
    share: slice
    device: torch.device


def encoder_step_loss(
    run: TripletRun, lesson: Lesson, rows: NDArray[np.int64], draws: EpochDraws
) -> Tensor:
    """L3D of a batch, with gradients to the encoder alone."""
    loss = run.config.loss
    # Every process draws for the whole batch, so that its share does not depend on their number.
    with run.meter.data():
        cloud = lesson.clouds.batch(rows, draws.numpy)
        whole = augment(cloud, run.config.augmentation, draws.torch)
    points = whole[lesson.share].to(lesson.device)
    bf16 = run.config.precision == "bf16"
    with torch.autocast(lesson.device.type, torch.bfloat16, enabled=bf16):
        embedding = run.encoder.embed_ordered(points)
    images = texts = None
    if loss.images:
        with torch.no_grad():
            images = _images(run, lesson, rows, draws)
    if loss.texts:
        texts = _texts(lesson, rows, draws)
    return encoder_loss(
        gather_rows(unit_rows(embedding), run.world), images, texts,
        _positives(run, lesson, rows), lesson.temperature,
    )  # fmt: skip


def prompt_step_loss(
    run: TripletRun, lesson: Lesson, rows: NDArray[np.int64], draws: EpochDraws
) -> Tensor:
    """LP of a batch, with gradients to the prompts alone."""
    images = _images(run, lesson, rows, draws)
    texts = _texts(lesson, rows, draws)
    return prompt_loss(images, texts, _positives(run, lesson, rows), lesson.temperature)


def _images(run: TripletRun, lesson: Lesson, rows: NDArray[np.int64], draws: EpochDraws) -> Tensor:
    """(B, d) unit rows: what the teacher makes of a picture of each object of the whole batch."""
    counts = lesson.objects.views[rows]
    views = draws.numpy.integers(counts) if lesson.fixed is None else lesson.fixed[rows]
    own, seen = rows[lesson.share], views[lesson.share]
    with run.meter.data():
        pictures = lesson.objects.images(own, seen, lesson.teacher)
    vectors = lesson.teacher.encode_image(pictures.to(lesson.device), run.prompts)
    return gather_rows(unit_rows(vectors), run.world)


def _texts(lesson: Lesson, rows: NDArray[np.int64], draws: EpochDraws) -> Tensor:
    chosen = lesson.captions.draw(rows, draws.numpy)
    return lesson.anchors[torch.from_numpy(chosen).to(lesson.device)]


def _positives(run: TripletRun, lesson: Lesson, rows: NDArray[np.int64]) -> Tensor:
    classes = torch.from_numpy(lesson.objects.classes[rows]).to(lesson.device)
    return _POSITIVES[run.config.loss.positives](classes)


@torch.no_grad()
def text_vectors(
    teacher: Teacher, texts: tuple[str, ...], device: torch.device, quiet: bool = False
) -> Tensor:
    """(n, d) float32 on the CPU: what a teacher on `device` makes of texts, not unit rows."""
    parts = []
    starts = range(0, len(texts), _TEXTS_AT_ONCE)
    for start in tqdm(starts, "captions", unit="batch", leave=False, disable=quiet):
        tokens = teacher.tokenise(texts[start : start + _TEXTS_AT_ONCE])
        parts.append(teacher.encode_text(tokens.to(device)).float().cpu())
    return torch.cat(parts)
