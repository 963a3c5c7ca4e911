"""The steps of pre-training on triplets: what goes into each loss, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cg3d_training.losses import (
    class_positives,
    diagonal_positives,
    encoder_loss,
    prompt_loss,
    unit_rows,
)
from cg3d_training.runs.chunks import in_chunks
from cg3d_training.runs.distributed import gather_rows
from cg3d_training.teachers import Teacher
from cg3d_training.triplets.batches import Batch, TripletBatches, Wanted
from cg3d_training.triplets.caption_vectors import CaptionVectors
from cg3d_training.triplets.run import TripletRun

_POSITIVES = {"class": class_positives, "diagonal": diagonal_positives}


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the steps of a run draw from; everything in it stays as it is.

    Attributes:
        batches: the data.
        captions: the teacher's vectors of them.
        teacher: frozen.
        device: to train on.
    """

    batches: TripletBatches
    captions: CaptionVectors
    teacher: Teacher
    device: torch.device


def wanted(run: TripletRun, step: int) -> Wanted:
    """What a step of the run's epoch needs: no points when it is the prompts' turn."""
    iteration = run.epoch * run.steps_per_epoch + step
    if run.is_prompts_turn_at(iteration):
        return Wanted(points=False, pictures=True)
    return Wanted(points=True, pictures=run.config.loss.images)


def encoder_step_loss(run: TripletRun, lesson: Lesson, batch: Batch) -> Tensor:
    """L3D of a batch, with gradients to the encoder alone."""
    assert batch.points is not None
    embedding = run.through(run.embed_ordered, batch.points.to(lesson.device))
    images = texts = None
    if run.config.loss.images:
        with torch.no_grad():
            images = _images(run, lesson, batch)
    if run.config.loss.texts:
        texts = lesson.captions.rows(batch.captions, run.world)
    return encoder_loss(
        gather_rows(unit_rows(embedding), run.world), images, texts,
        _positives(run, lesson, batch), run.temperature(),
    )  # fmt: skip


def prompt_step_loss(run: TripletRun, lesson: Lesson, batch: Batch) -> Tensor:
    """LP of a batch, with gradients to the prompts alone."""
    images = _images(run, lesson, batch)
    texts = lesson.captions.rows(batch.captions, run.world)
    with torch.no_grad():
        temperature = run.temperature()
    return prompt_loss(images, texts, _positives(run, lesson, batch), temperature)


def _images(run: TripletRun, lesson: Lesson, batch: Batch) -> Tensor:
    """(B, d) unit rows: what the teacher makes of a picture of each object of the whole batch."""
    assert batch.pictures is not None

    def seen(part: Tensor) -> Tensor:
        return lesson.teacher.encode_image(part, run.prompts)

    chunk = run.config.optimiser.chunk
    vectors = in_chunks(seen, batch.pictures.to(lesson.device), chunk, lesson.teacher)
    return gather_rows(unit_rows(vectors), run.world)


def _positives(run: TripletRun, lesson: Lesson, batch: Batch) -> Tensor:
    return _POSITIVES[run.config.loss.positives](torch.from_numpy(batch.classes).to(lesson.device))
