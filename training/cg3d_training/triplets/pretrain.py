"""Pre-training on triplets of points, pictures and captions: the whole method of CG3D.

A frozen vision-language model teaches. The 3D encoder learns to be where the teacher puts the
pictures and the captions of an object (eq. 7), and visual prompts learn to bring the teacher's
view of rendered pictures nearer to its words (eq. 9). The two take turns (section 4.2), and every
step computes only what it needs: no points when it is the prompts' turn, no gradients in the
teacher when it is the encoder's, and no texts at all, whose vectors are computed once.

A run's folder holds what that of `pretrain` does, and `prompts.safetensors` beside the checkpoint.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.bounds import check_recipe
from cg3d_training.checkpoint import Checkpoint, cpu_state, load_checkpoint, save_checkpoint
from cg3d_training.data.triplet_set import CaptionTable, PictureForm, TripletSet
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, encoder_spec
from cg3d_training.runs.card import write_card
from cg3d_training.runs.distributed import (
    join_batch_norms,
    join_world,
    leave_world,
    own_device,
)
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.environment import run_facts
from cg3d_training.runs.folder import BEST, RESULT
from cg3d_training.runs.loggers import check_loggers
from cg3d_training.runs.zero_shot import zero_shot
from cg3d_training.teachers import DeepPrompts, Teacher, load_teacher
from cg3d_training.temperature import Temperature, check_temperature
from cg3d_training.triplets.batches import Loading, TripletBatches
from cg3d_training.triplets.caption_vectors import CaptionVectors
from cg3d_training.triplets.config import TripletConfig
from cg3d_training.triplets.run import TripletRun, prompt_record
from cg3d_training.triplets.steps import (
    Lesson,
    encoder_step_loss,
    prompt_step_loss,
    wanted,
)
from cg3d_training.triplets.validation import held_out

PROMPTS = "prompts.safetensors"


def pretrain_triplets(
    config: TripletConfig,
    output: Path,
    resume: bool = False,
    device: str = "cpu",
    log: Sequence[str] = (),
    loading: Loading = Loading(),  # noqa: B008  # frozen
) -> Checkpoint:
    """Train an encoder, and prompts for its teacher, and write both to `output`.

    Deterministic by seed on one machine's CPU: every epoch draws its own randomness from the seed
    and its number, so that a resumed run takes the very steps that an unbroken one would. Started
    by torchrun, K processes share every batch and compute what one would compute of the whole
    (stochastic depth, where the encoder has it, draws for itself in each).

    Args:
        config: the recipe.
        output: folder of the run.
        resume: go on where the folder's state left off.
        device: "cpu" or "cuda"; of several processes on a machine each takes its own GPU.
        log: where the numbers go beside `log.jsonl`, see `cg3d_training.runs.loggers`.
        loading: how data are read; changes nothing of the result.

    Raises:
        TrainingError: the data, the teacher, the recipe or the state to resume from cannot be
            used.
        StoppedError: the run was asked to stop (SIGTERM, SIGINT), and its state is saved.
        DependencyError: a logger's package is not installed, or there is nothing to compile with.
    """
    started = time.monotonic()
    check_loggers(log)
    _check(config)
    device = own_device(device, os.environ, torch.cuda.device_count())
    world = join_world(device)
    size = config.optimiser.batch_size
    share, quiet = world.slice_of(size), not world.is_first
    torch.manual_seed(config.seed)
    teacher = load_teacher(config.teacher.kind, config.teacher.model, config.teacher.weights)
    spec, encoder = _encoder(config, teacher)
    prompts = None
    if config.prompts.tokens:
        prompts = DeepPrompts.for_tower(
            teacher.token_tower(), config.prompts.tokens, config.prompts.initialisation
        ).to(device)
    teacher, encoder = teacher.to(device), encoder.to(device)
    join_batch_norms(encoder, world)

    objects = TripletSet(config.data.shards, encoder.points, quiet, loading.cache)
    captions = CaptionTable(objects, config.data.captions)
    batches = TripletBatches(
        objects, captions, config, encoder.points, PictureForm.of(teacher), share, loading
    )
    temperature = Temperature(
        config.loss.temperature or 1.0 / teacher.logit_scale, config.loss.learn_temperature
    ).to(device)
    run = TripletRun(
        spec, encoder, prompts, config, output, batches.steps, world, log, temperature=temperature
    )
    if resume:
        run.load()
    else:
        run.start()

    vectors = CaptionVectors(
        teacher, captions.texts, config.data.caption_table, config.loss.centre,
        torch.device(device), quiet,
    )  # fmt: skip
    check = None
    if config.data.validation and world.is_first:
        check = held_out(
            config.data.validation, encoder.points, config.seed, teacher, vectors.mean, device,
            quiet, loading.cache,
        )  # fmt: skip
    lesson = Lesson(batches, vectors, teacher, torch.device(device))

    def made(epochs: int) -> Checkpoint:
        record = _record(config, objects, run.seconds(started)) | {
            "processes": world.size, "epochs": epochs, "captions": len(captions.texts)
        }  # fmt: skip
        return Checkpoint(
            spec, cpu_state(run.averaged()), vectors.mean, 1.0 / temperature.value(),
            dataclasses.asdict(config), record,
        )  # fmt: skip

    with run.stop, closing(batches):
        for epoch in range(run.epoch, config.optimiser.epochs):
            entry = {"epoch": epoch} | _train_epoch(run, lesson, started)
            entry |= {"lr": run.lr(), "seconds": run.seconds(started)}
            if prompts is not None:
                entry["lr_prompts"] = run.prompt_lr()
            if config.loss.learn_temperature:
                entry["temperature"] = temperature.value()
            if check is not None and run.validates():
                entry |= zero_shot(run.averaged(), check.points, check.anchors, check.own)
                if run.is_best(entry):
                    save_checkpoint(output / BEST, made(epoch + 1))
            run.finish_epoch(entry)
    run.close()

    checkpoint = made(config.optimiser.epochs)
    if world.is_first:
        if prompts is not None:
            data = to_bytes(cpu_state(prompts), prompt_record(config))
            replace_file(output / PROMPTS, data)
        save_checkpoint(output / RESULT, checkpoint)
        write_card(output / RESULT, "pretrain-triplets")
    leave_world()
    return checkpoint


def _check(config: TripletConfig) -> None:
    """Refuse what cannot be meant, before anything is read."""
    loss, prompts = config.loss, config.prompts
    if not loss.images and not loss.texts:
        raise TrainingError("loss.images and loss.texts are both off: nothing to learn from")
    if prompts.tokens < 0:
        raise TrainingError(f"prompts.tokens is {prompts.tokens}; 0 is for none")
    if prompts.tokens and not loss.images:
        raise TrainingError(
            "prompts change the pictures' vectors alone, and loss.images is off: set "
            "prompts.tokens to 0"
        )
    if loss.temperature is not None:
        check_temperature(loss.temperature, loss.learn_temperature)
    check_recipe(config)
    if config.keep_best and not (config.data.validation and config.validate):
        raise TrainingError("keep_best goes by validation: set data.validation and validate")


def _encoder(config: TripletConfig, teacher: Teacher) -> tuple[EncoderSpec, PointEncoder]:
    # Seeded anew: the encoder's first weights should not depend on the teacher.
    torch.manual_seed(config.seed)
    base = encoder_spec(config.encoder)
    spec = EncoderSpec(base.architecture, base.sizes | config.encoder_sizes)
    encoder = build_encoder(spec)
    if encoder.embedding_dim != teacher.embedding_dim:
        raise TrainingError(
            f"the encoder's embeddings have {encoder.embedding_dim} numbers and the teacher's "
            f"{teacher.embedding_dim}: set encoder_sizes.embedding_dim to {teacher.embedding_dim}"
        )
    if config.start:
        begun = load_checkpoint(Path(config.start))
        if build_encoder(begun.spec).config != encoder.config:
            raise TrainingError(
                f"start: {config.start} holds a {begun.spec.architecture} of other sizes than "
                f"{config.encoder} with encoder_sizes: {begun.spec.sizes}"
            )
        encoder.load_state_dict(begun.state_dict, strict=True)
    return spec, encoder


def _train_epoch(run: TripletRun, lesson: Lesson, started: float) -> dict[str, float]:
    """Take the steps of an epoch.

    Returns:
        The mean loss of the encoder's steps and that of the prompts', where there were any.
    """
    config = run.config
    draws = EpochDraws(config.seed, run.epoch, run.world, lesson.device)
    losses = run.continue_epoch(draws)
    first = run.epoch * run.steps_per_epoch
    turns: dict[str, list[float]] = {"loss": [], "loss_prompts": []}
    run.encoder.train()
    batches = lesson.batches.epoch(run.epoch, len(losses), partial(wanted, run))
    for step in range(len(losses), run.steps_per_epoch):
        run.iteration = first + step
        with run.meter.data():
            batch = next(batches)
        if run.is_prompts_turn():
            loss = prompt_step_loss(run, lesson, batch)
            run.prompt_step(loss)
            name = "loss_prompts"
        else:
            loss = encoder_step_loss(run, lesson, batch)
            run.step(loss)
            name = "loss"
        losses.append(loss.item())
        run.took_step(losses[-1], name)
        run.end_step(losses, draws, config.save_every, started)
    for step, value in enumerate(losses):
        run.iteration = first + step
        turns["loss_prompts" if run.is_prompts_turn() else "loss"].append(value)
    run.iteration = first + run.steps_per_epoch
    return {name: float(np.mean(values)) for name, values in turns.items() if values}


def _record(config: TripletConfig, objects: TripletSet, seconds: float) -> dict[str, Any]:
    return run_facts(seconds, config.optimiser.epochs, config.seed) | {
        "objects": len(objects),
        "labels": len(set(objects.names)),
        "licences": objects.licences,
        "teacher": dataclasses.asdict(config.teacher),
    }
