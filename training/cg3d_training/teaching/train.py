"""Training a CLIP on rendered pictures and captions, to teach CG3D with it.

Contrastive, as CLIP is: pictures and captions of a batch find each other, at a temperature that is
learnt with them. The run's folder holds what those of other runs do, and in the end the model in
the layout of open_clip (`open_clip_config.json`, `open_clip_model.safetensors`), so that the
folder is a teacher (`teacher.kind: open_clip`, `teacher.model: FOLDER`) and open_clip's own
`create_model("local-dir:FOLDER")` reads it too.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.bounds import check_recipe
from cg3d_training.checkpoint import cpu_state
from cg3d_training.data.shards import ShardFolder
from cg3d_training.data.triplet_set import CaptionTable, TripletSet
from cg3d_training.losses import class_positives, diagonal_positives, nce, unit_rows
from cg3d_training.runs.distributed import ALONE
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.environment import run_facts
from cg3d_training.runs.loggers import check_loggers
from cg3d_training.runs.precision import autocast
from cg3d_training.teachers.local import CONFIG, WEIGHTS
from cg3d_training.teachers.open_clip import OpenClipModel, build_open_clip
from cg3d_training.teaching.config import TeachingConfig
from cg3d_training.teaching.pictures import Pictures
from cg3d_training.teaching.run import TeachingRun

_POSITIVES = {"class": class_positives, "diagonal": diagonal_positives}


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What the steps draw from."""

    objects: TripletSet
    captions: CaptionTable
    tokens: Tensor
    pictures: Pictures
    mean: Tensor
    std: Tensor
    device: torch.device


def train_teacher(
    config: TeachingConfig,
    output: Path,
    resume: bool = False,
    device: str = "cpu",
    log: Sequence[str] = (),
) -> dict[str, Any]:
    """Train a CLIP and write it to `output`, a folder that `load_open_clip` takes.

    Deterministic by seed on one machine's CPU, also over a resume.

    Args:
        config: the recipe.
        output: folder of the run and of the model.
        resume: go on where the folder's state left off.
        device: for torch, such as "cpu" or "cuda".
        log: where the numbers go beside `log.jsonl`, see `cg3d_training.runs.loggers`.

    Returns:
        What it was trained on: objects, labels, licences, time and versions; it is also in the
        metadata of the weights.

    Raises:
        TrainingError: the data, the model or the state to resume from cannot be used.
        DependencyError: a logger's package is not installed.
    """
    check_loggers(log)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError("a teacher is trained in one process; start it without torchrun")
    check_recipe(config)
    if config.optimiser.chunk:
        raise TrainingError("a teacher's batch is taken at once: set optimiser.chunk=0")
    torch.manual_seed(config.seed)
    model = build_open_clip(config.model, config.weights)
    network = model.network.to(device)
    objects = TripletSet(config.data.shards, points=1)
    steps = len(objects) // config.optimiser.batch_size
    if not steps:
        raise TrainingError(
            f"{config.data.shards}: {len(objects)} objects, fewer than one batch of "
            f"{config.optimiser.batch_size}"
        )
    run = TeachingRun(network, config, output, steps, log)
    if resume:
        run.load()
    else:
        run.start()
    lesson = _lesson(model, objects, config)
    while run.epoch < config.optimiser.epochs:
        _train_epoch(run, lesson)
    run.close()
    record = run_facts(run.seconds(), config.optimiser.epochs, config.seed) | {
        "objects": len(objects),
        "labels": len(set(objects.names)),
        "licences": objects.licences,
    }
    _write_model(output, model, run.averaged(), config, record)
    return record


def _lesson(model: OpenClipModel, objects: TripletSet, config: TeachingConfig) -> _Lesson:
    captions = CaptionTable(objects, config.data.captions)
    size = model.network.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    pictures = Pictures(ShardFolder(config.data.shards), (int(height), int(width)))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.image_mean, model.image_std))
    return _Lesson(
        objects, captions, model.tokenizer(list(captions.texts)), pictures, mean, std,
        model.network.logit_scale.device,
    )  # fmt: skip


def _train_epoch(run: TeachingRun, lesson: _Lesson) -> None:
    """Take the steps of an epoch, and log the mean loss and 1 / temperature at its end."""
    size = run.config.optimiser.batch_size
    draws = EpochDraws(run.config.seed, run.epoch, ALONE, lesson.device)
    order = draws.numpy.permutation(len(lesson.objects))
    run.network.train()
    run.meter.begin(run.epoch)
    losses = []
    for step in range(run.steps):
        loss = _step_loss(run, lesson, order[step * size :][:size], draws)
        run.step(loss)
        losses.append(loss.item())
    scale = float(run.network.logit_scale.detach().exp())
    run.finish_epoch({"loss": float(np.mean(losses)), "logit_scale": scale})


def _step_loss(
    run: TeachingRun, lesson: _Lesson, rows: NDArray[np.int64], draws: EpochDraws
) -> Tensor:
    network, config, device = run.network, run.config, lesson.device
    views = draws.numpy.integers(lesson.objects.views[rows])
    with run.meter.data():
        pictures = lesson.pictures.draw(rows, views, config.pictures, draws.torch)
    tokens = lesson.tokens[torch.from_numpy(lesson.captions.draw(rows, draws.numpy))]
    with autocast(config.precision, device.type):
        images = network.encode_image(((pictures - lesson.mean) / lesson.std).to(device))
        texts = network.encode_text(tokens.to(device))
    classes = torch.from_numpy(lesson.objects.classes[rows]).to(device)
    positives = _POSITIVES[config.positives](classes)
    logits = network.logit_scale.exp() * unit_rows(images) @ unit_rows(texts).T
    return 0.5 * (nce(logits, positives) + nce(logits.T, positives.T))


def _write_model(
    output: Path, model: OpenClipModel, trained: nn.Module, config: TeachingConfig,
    record: dict[str, Any],
) -> None:  # fmt: skip
    """The model in open_clip's layout; the weights last, so that they stand for a whole folder."""
    about = {
        "model_cfg": model.config,
        "preprocess_cfg": {"mean": list(model.image_mean), "std": list(model.image_std)},
    }
    replace_file(output / CONFIG, json.dumps(about, indent=1).encode())
    metadata = {
        "recipe": json.dumps(dataclasses.asdict(config), sort_keys=True),
        "record": json.dumps(record, sort_keys=True),
    }
    replace_file(output / WEIGHTS, to_bytes(cpu_state(trained), metadata))
