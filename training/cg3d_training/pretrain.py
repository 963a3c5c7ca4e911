"""Pre-training against frozen CLIP text vectors (paper, equation 5).

`pretrain` is the whole of it, from data to checkpoint, in one sitting. A run's folder holds
`config.json`, `log.jsonl` (a line an epoch), `state.safetensors` (to resume from) and
`checkpoint.safetensors` (the result).
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.bounds import check_recipe
from cg3d_training.checkpoint import Checkpoint, cpu_state, save_checkpoint
from cg3d_training.config import PretrainConfig
from cg3d_training.data.augment import augment
from cg3d_training.data.clouds import OrderedClouds, WithClouds
from cg3d_training.data.household import positives
from cg3d_training.data.training_data import TrainingData, training_data
from cg3d_training.encoders import EncoderSpec, build_encoder, encoder_spec
from cg3d_training.losses import centred_rows, contrastive_loss, nameless_loss, text_mean, unit_rows
from cg3d_training.runs.card import write_card
from cg3d_training.runs.distributed import (
    gather_rows,
    join_batch_norms,
    join_world,
    leave_world,
    own_device,
)
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.environment import run_facts
from cg3d_training.runs.folder import BEST, RESULT
from cg3d_training.runs.loggers import check_loggers
from cg3d_training.runs.run import Run
from cg3d_training.runs.zero_shot import zero_shot
from cg3d_training.temperature import Temperature, check_temperature


def pretrain(
    config: PretrainConfig,
    output: Path,
    resume: bool = False,
    log: Sequence[str] = (),
    device: str = "cpu",
    cache: Path | None = None,
) -> Checkpoint:
    """Train an encoder and write its checkpoint to `output`.

    Deterministic by seed on one machine's CPU: every epoch draws its own randomness from the seed
    and its number, so that a resumed run takes the very steps that an unbroken one would. Started
    by torchrun, K processes share every batch and compute what one would compute of the whole
    (stochastic depth, where the encoder has it, draws for itself in each).

    Args:
        config: the recipe.
        output: folder of the run.
        resume: go on where the folder's state left off.
        log: where the numbers go beside `log.jsonl`, see `cg3d_training.runs.loggers`.
        device: "cpu" or "cuda"; of several processes on a machine each takes its own GPU.
        cache: a folder that keeps the samples of the objects for the next run.

    Raises:
        TrainingError: the data, the recipe or the state to resume from cannot be used.
        StoppedError: the run was asked to stop (SIGTERM, SIGINT), and its state is saved.
        DependencyError: a logger's package is not installed, or there is nothing to compile with.
    """
    started = time.monotonic()
    check_loggers(log)
    check_recipe(config)
    check_temperature(config.loss.temperature, config.loss.learn_temperature)
    device = own_device(device, os.environ, torch.cuda.device_count())
    world = join_world(device)
    share, quiet = world.slice_of(config.optimiser.batch_size), not world.is_first
    data = training_data(config, quiet)
    if config.keep_best and not (len(data.validation) and config.validate):
        raise TrainingError("keep_best goes by validation: set data.validation and validate")
    torch.manual_seed(config.seed)
    base = encoder_spec(config.encoder)
    spec = EncoderSpec(base.architecture, base.sizes | config.encoder_sizes)
    encoder = build_encoder(spec).to(device)
    width = data.vocabulary.vectors.shape[1]
    if encoder.embedding_dim != width:
        raise TrainingError(
            f"the encoder's embeddings have {encoder.embedding_dim} numbers and the text vectors "
            f"{width}: set encoder_sizes.embedding_dim to {width}"
        )
    if config.patches.share and encoder.patch_drop is None:
        raise TrainingError(f"{config.encoder} has no patches to leave out: set patches.share=0")
    join_batch_norms(encoder, world)
    shown = WithClouds(data.train, data.clutter)
    steps = len(shown) // config.optimiser.batch_size
    temperature = Temperature(config.loss.temperature, config.loss.learn_temperature).to(device)
    run = Run(spec, encoder, config, output, steps, world, log, temperature=temperature)
    if resume:
        run.load()
    else:
        run.start()

    vectors = torch.from_numpy(data.vocabulary.vectors)
    mean = text_mean(vectors)
    anchors = centred_rows(vectors, mean).to(device)
    labels = torch.zeros(len(shown), len(vectors))
    labels[: len(data.train)] = torch.from_numpy(positives(data.train.objects, len(vectors)))
    labels = labels.to(device)
    taught = [row for row in range(len(vectors)) if row not in data.hidden.rows]
    labels, texts = labels[:, taught], anchors[taught]
    clouds = OrderedClouds(
        shown, encoder.points, config.data.orders, config.seed, quiet, config.data.partial,
        config.data.cameras, cache,
    )  # fmt: skip
    check = _check(data, anchors, config, encoder.points) if len(data.validation) else None

    def made(epochs: int) -> Checkpoint:
        record = _record(config, data, run.seconds(started)) | {
            "processes": world.size, "epochs": epochs
        }  # fmt: skip
        return Checkpoint(
            spec, cpu_state(run.averaged()), mean, 1.0 / temperature.value(),
            dataclasses.asdict(config), record,
        )  # fmt: skip

    with run.stop:
        for epoch in range(run.epoch, config.optimiser.epochs):
            loss = _train_epoch(run, clouds, labels, texts, len(data.train), share, started)
            entry = {"epoch": epoch, "loss": loss, "lr": run.lr(), "seconds": run.seconds(started)}
            if config.loss.learn_temperature:
                entry["temperature"] = temperature.value()
            if check is not None and run.validates():
                entry |= zero_shot(run.averaged(), *check)
                if run.is_best(entry):
                    save_checkpoint(output / BEST, made(epoch + 1))
            run.finish_epoch(entry)
    run.close()

    checkpoint = made(config.optimiser.epochs)
    if world.is_first:
        save_checkpoint(output / RESULT, checkpoint)
        write_card(output / RESULT, "pretrain")
    leave_world()
    return checkpoint


def _train_epoch(
    run: Run[PretrainConfig],
    clouds: OrderedClouds,
    labels: Tensor,
    anchors: Tensor,
    named_clouds: int,
    share: slice,
    started: float,
) -> float:
    config, size = run.config, run.config.optimiser.batch_size
    draws = EpochDraws(config.seed, run.epoch, run.world, anchors.device)
    order = draws.numpy.permutation(len(labels))
    losses = run.continue_epoch(draws)
    run.encoder.train()
    late = run.epoch >= config.patches.until * config.optimiser.epochs
    if config.patches.share:
        run.encoder.patch_drop = 0.0 if late else config.patches.share
    for step in range(len(losses), run.steps_per_epoch):
        rows = order[step * size :][:size]
        # Every process draws for the whole batch, so that its share does not depend on their
        # number.
        with run.meter.data():
            whole = augment(clouds.batch(rows, draws.numpy), config.augmentation, draws.torch)
        embedding = run.through(run.embed_ordered, whole[share].to(anchors.device))
        embedding = gather_rows(unit_rows(embedding), run.world)
        targets, texts = labels[rows], anchors
        if config.loss.negatives == "batch":
            named = targets.any(dim=0)
            targets, texts = targets[:, named], anchors[named]
        loss = contrastive_loss(embedding, texts, targets, run.temperature())
        if named_clouds < len(labels):
            nameless = embedding[torch.from_numpy(rows >= named_clouds)]
            weight = 0.5 * len(nameless) / size  # as every row of the first half of the loss
            loss = loss + weight * nameless_loss(nameless, anchors, run.temperature())
        run.step(loss)
        losses.append(loss.item())
        run.took_step(losses[-1])
        run.end_step(losses, draws, config.save_every, started)
    return float(np.mean(losses))


def _check(
    data: TrainingData, anchors: Tensor, config: PretrainConfig, points: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What `zero_shot` takes: the held-out objects, over the whole vocabulary."""
    held = data.validation
    clouds = OrderedClouds(held, points, 1, config.seed, quiet=True)
    own = torch.from_numpy(positives(held.objects, len(anchors)))
    return clouds.batch(np.arange(len(held)), np.random.default_rng(0)), anchors, own


def _record(config: PretrainConfig, data: TrainingData, seconds: float) -> dict[str, Any]:
    objects = data.train.objects
    hidden = (
        {"hidden": {"by": config.data.names} | data.hidden.record()} if data.hidden.names else {}
    )
    return (
        run_facts(seconds, config.optimiser.epochs, config.seed)
        | {
            "objects": len(objects),
            "clutter": len(data.clutter),
            "labels": len({o.name_row for o in objects}),
            "sources": dict(Counter(o.source for o in objects).most_common()),
            "licences": dict(Counter(o.licence for o in objects).most_common()),
        }
        | hidden
    )
