"""Fine-tuning as a classifier, from CG3D weights or from scratch (paper, sections 3.4.4 and 5).

`finetune` is the whole of it: one run a seed, each in a folder of its own (`seed-1`, ...) with
`config.json`, `environment.json`, `log.jsonl`, `state.safetensors` and `checkpoint.safetensors`,
and beside them, in the end, `results.json` and `report.md`. The test set is looked at after the
last epoch; nothing is chosen by it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.bounds import check_recipe
from cg3d_training.checkpoint import Checkpoint, cpu_state, load_checkpoint, save_checkpoint
from cg3d_training.data.augment import augment
from cg3d_training.data.candidates import Candidates
from cg3d_training.data.labelled import load_labelled
from cg3d_training.data.shares import every_nth, stratified
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, encoder_spec
from cg3d_training.encoders.classifier import classifier_spec, load_body
from cg3d_training.finetuning.classification import ClassReport, class_report
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.finetuning.report import FinetuneResult, SeedResult, ValidationBest, as_markdown
from cg3d_training.finetuning.voting import plain_logits, voted_logits
from cg3d_training.runs.card import write_card
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.environment import environment
from cg3d_training.runs.folder import BEST, CONFIG, RESULT, STATE
from cg3d_training.runs.loggers import best_validation, check_loggers
from cg3d_training.runs.run import Run

#: The file that a finished run has.
RESULTS = "results.json"

#: Streams of chance of a seed, beside those of its epochs.
_SHARE, _VALIDATION, _VOTES = 1, 2, 3


@dataclass(frozen=True)
class _Start:
    """The checkpoint to begin with; what to record of it."""

    encoder: PointEncoder
    spec: EncoderSpec
    about: dict[str, Any]


@dataclass(frozen=True)
class _Data:
    """Both splits, sampled once for all seeds."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    clouds: Candidates
    test_labels: NDArray[np.int64]
    test: Candidates


def finetune(
    config: FinetuneConfig, output: Path, resume: bool = False, device: str = "cpu",
    log: Sequence[str] = (),
) -> FinetuneResult:  # fmt: skip
    """Train a classifier for every seed, test each, and write all of it to `output`.

    Deterministic by seed on a CPU, and a resumed run takes the very steps that an unbroken one
    would. On a GPU sums come in any order, so that runs are alike but not equal.

    Args:
        config: the recipe.
        output: folder for the runs and results.
        resume: go on with a folder's unfinished runs; finished ones are only tested again.
        device: for torch, such as "cpu" or "cuda".
        log: where the numbers go beside `log.jsonl`, see `cg3d_training.runs.loggers`.

    Raises:
        TrainingError: the data, the recipe, the checkpoint or the state to resume from cannot be
            used.
        DependencyError: a logger's package is not installed.
    """
    _check(config)
    check_loggers(log)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError("fine-tuning runs in one process; start it without torchrun")
    held = any(output.glob(f"seed-*/{STATE}"))
    if held and not resume:
        raise TrainingError(
            f"{output} holds runs already: go on with --resume, or choose another folder"
        )
    if resume and not held:
        raise TrainingError(f"{output}: there is no run to resume")
    base = encoder_spec(config.encoder)
    spec = EncoderSpec(base.architecture, base.sizes | config.encoder_sizes)
    start = _start(Path(config.start), spec) if config.start else None
    data = _load(config, build_encoder(spec).points)
    recipe = json.dumps(dataclasses.asdict(config), indent=1, sort_keys=True)
    if not resume:
        replace_file(output / CONFIG, recipe.encode())
    results = []
    for seed in config.seeds:
        own = dataclasses.replace(config, seeds=(seed,))
        folder = output / f"seed-{seed}"
        results.append(_one_seed(own, spec, start, data, folder, resume, device, log))
    result = FinetuneResult(data.classes, tuple(results))
    replace_file(output / RESULTS, json.dumps(result.as_dict(config)).encode())
    replace_file(output / "report.md", as_markdown(result, config).encode())
    return result


def _one_seed(
    config: FinetuneConfig, base: EncoderSpec, start: _Start | None, data: _Data, folder: Path,
    resume: bool, device: str, log: Sequence[str],
) -> SeedResult:  # fmt: skip
    started = time.monotonic()
    (seed,) = config.seeds
    rows, held_out = _rows(config, data.labels)
    torch.manual_seed(seed)
    spec = classifier_spec(base, len(data.classes))
    network = build_encoder(spec)
    if start:
        load_body(network, spec, start.encoder, start.spec)
    size = config.optimiser.batch_size
    run = Run(
        spec, network.to(device), config, folder, max(1, len(rows) // size), log=log,
        clouds=min(size, len(rows)),
    )  # fmt: skip
    if resume and (folder / STATE).exists():
        run.load()
    else:
        run.start()

    record = {
        **environment(), "device": device, "set": config.data.set, "seed": seed,
        "epochs": config.optimiser.epochs, "objects": len(rows), "validation": len(held_out),
        "classes": list(data.classes),
        "start": start and start.about,
    }  # fmt: skip
    best = best_validation(folder)
    for epoch in range(run.epoch, config.optimiser.epochs):
        entry = _train_epoch(run, data, rows, epoch) | {"seconds": run.seconds(started)}
        if len(held_out) and run.validates():
            entry["validation"] = _validate(run.averaged(), data, held_out)
            if best is None or entry["validation"] > best[1]:
                best = (epoch, entry["validation"])
                _save(folder / BEST, run, record | {"epoch": epoch})
        run.finish_epoch(entry)
    run.close()

    _save(folder / RESULT, run, record | {"seconds": run.seconds(started)})
    network = run.averaged()
    plain = class_report(plain_logits(network, data.test), data.test_labels, data.classes)
    voted = _vote(network, data, config) if config.voting.views else None
    tests = {"all clouds": plain.overall, "mean of the classes": plain.mean_class}
    if voted:
        tests[f"all clouds, {config.voting.views} votes"] = voted.overall
    write_card(folder / RESULT, "finetune", tests)
    return SeedResult(seed, len(rows), plain, voted, _test_best(folder, data, device, best))


def _train_epoch(
    run: Run[FinetuneConfig], data: _Data, rows: NDArray[np.int64], epoch: int
) -> dict[str, Any]:
    config, size = run.config, run.config.optimiser.batch_size
    device = next(run.encoder.parameters()).device
    draws = EpochDraws(config.seeds[0], epoch, run.world, device)
    run.encoder.train()
    order = draws.numpy.permutation(rows)
    losses, right = run.continue_epoch(draws), []
    for step in range(run.steps_per_epoch):
        batch = order[step * size :][:size]
        with run.meter.data():
            clouds = data.clouds.draw(batch, draws.numpy)
            points = augment(clouds, config.augmentation, draws.torch)
        labels = torch.from_numpy(data.labels[batch]).to(device)
        logits = run.through(run.encoder, points.to(device))
        loss = functional.cross_entropy(
            logits.float(), labels, label_smoothing=config.label_smoothing
        )
        run.step(loss)
        losses.append(loss.item())
        run.took_step(losses[-1])
        right.append(_share_right(logits, labels))
    return {
        "epoch": epoch, "loss": float(np.mean(losses)), "accuracy": float(np.mean(right)),
        "lr": run.lr(),
    }  # fmt: skip


def _share_right(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(dim=1) == labels).float().mean())


@torch.no_grad()
def _validate(network: PointEncoder, data: _Data, rows: NDArray[np.int64]) -> float:
    device = next(network.parameters()).device
    labels = torch.from_numpy(data.labels[rows]).to(device)
    parts = [
        network.embed_ordered(data.clouds.first(part).to(device))
        for part in np.array_split(rows, -(-len(rows) // 64))
    ]
    return _share_right(torch.cat(parts), labels)


def _vote(network: PointEncoder, data: _Data, config: FinetuneConfig) -> ClassReport:
    rng = np.random.default_rng(np.random.SeedSequence(config.seeds[0], spawn_key=(_VOTES,)))
    logits = voted_logits(network, data.test, config.voting, rng)
    return class_report(logits, data.test_labels, data.classes)


def _test_best(
    folder: Path, data: _Data, device: str, best: tuple[int, float] | None
) -> ValidationBest | None:
    if best is None:
        return None
    network = load_checkpoint(folder / BEST).build().to(device)
    report = class_report(plain_logits(network, data.test), data.test_labels, data.classes)
    return ValidationBest(*best, report)


def _save(path: Path, run: Run[FinetuneConfig], record: dict[str, Any]) -> None:
    """A checkpoint like those of imported fine-tuned files: logits, and no text mean."""
    network = run.averaged()
    recipe = dataclasses.asdict(run.config)
    mean = torch.zeros(network.embedding_dim)
    save_checkpoint(path, Checkpoint(run.spec, cpu_state(network), mean, 1.0, recipe, record))


def _rows(
    config: FinetuneConfig, labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the training split to learn from, and rows to validate on."""

    def stream(key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(config.seeds[0], spawn_key=(key,)))

    if config.data.choice == "every_nth":
        rows = every_nth(labels, config.data.share)
    else:
        rows = stratified(labels, config.data.share, stream(_SHARE))
    kept = rows
    if config.data.validation:
        kept = rows[stratified(labels[rows], 1 - config.data.validation, stream(_VALIDATION))]
    if len(kept) < 2:
        raise TrainingError(f"data.share leaves {len(kept)} cloud to learn from; raise it")
    return kept, np.setdiff1d(rows, kept)


def _check(config: FinetuneConfig) -> None:
    check_recipe(config)
    if not config.seeds or len(set(config.seeds)) < len(config.seeds) or min(config.seeds) < 0:
        raise TrainingError(f"seeds should be different numbers from 0 up, not {config.seeds}")
    if not 0 < config.data.share <= 1:
        raise TrainingError(f"data.share should be above 0 and at most 1, not {config.data.share}")
    if not 0 <= config.data.validation < 1:
        raise TrainingError(f"data.validation should be from 0 to 1, not {config.data.validation}")
    if config.voting.views < 0:
        raise TrainingError(f"voting.views should be 0 or more, not {config.voting.views}")


def _load(config: FinetuneConfig, points: int) -> _Data:
    folder = Path(config.data.folder)
    train = load_labelled(config.data.set, folder, "train")
    test = load_labelled(config.data.set, folder, "test")
    if train.classes != test.classes:
        raise TrainingError(f"{folder}: the classes of train and test differ")
    count = config.data.candidates
    return _Data(
        train.classes, train.labels, Candidates(train.clouds, points, count, "training clouds"),
        test.labels, Candidates(test.clouds, points, count, "test clouds"),
    )  # fmt: skip


def _start(path: Path, spec: EncoderSpec) -> _Start:
    """The checkpoint, tried on a classifier at once: the data may take minutes to load."""
    checkpoint = load_checkpoint(path)
    encoder, trial = checkpoint.build(), classifier_spec(spec, 1)
    about = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "changed_sizes": load_body(build_encoder(trial), trial, encoder, checkpoint.spec),
    }
    return _Start(encoder, checkpoint.spec, about)
