"""Pre-training against frozen CLIP text vectors (paper, equation 5).

`pretrain` is the whole of it, from data to checkpoint, in one sitting. A run's folder holds
`config.json`, `log.jsonl` (a line an epoch), `state.safetensors` (to resume from) and
`checkpoint.safetensors` (the result).
"""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_sdk.version import __version__
from cg3d_training.checkpoint import (
    Checkpoint,
    cpu_state,
    read_tensors,
    save_checkpoint,
    write_atomically,
)
from cg3d_training.config import OptimiserConfig, PretrainConfig
from cg3d_training.data.augment import augment
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary
from cg3d_training.data.clouds import OrderedClouds
from cg3d_training.data.household import (
    HouseholdSet,
    held_out,
    is_open,
    load_household,
    positives,
)
from cg3d_training.data.names import NameMatcher
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder, encoder_spec
from cg3d_training.losses import centred_rows, contrastive_loss, text_mean, unit_rows


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on and what it is checked on.

    Attributes:
        vocabulary: names and CLIP's vectors for them.
        train: the objects to learn from, each with at least one name.
        validation: objects held out; may be empty.
    """

    vocabulary: Vocabulary
    train: HouseholdSet
    validation: HouseholdSet


def training_data(config: PretrainConfig) -> TrainingData:
    """Read the vocabulary and the training split, as the recipe says.

    Raises:
        TrainingError: files are missing or damaged, or nothing is left to train on.
    """
    vocabulary = load_vocabulary(Path(config.data.clip_text))
    objects = load_household(Path(config.data.household), NameMatcher(vocabulary))
    usable = objects.where(
        lambda o: (
            o.split == "train"
            and bool(o.rows)
            and (is_open(o.licence) or not config.data.open_licences_only)
        )
    )
    share = config.data.validation
    data = TrainingData(
        vocabulary,
        usable.where(lambda o: not held_out(o.name, share)),
        usable.where(lambda o: held_out(o.name, share)),
    )
    if len(data.train) < config.optimiser.batch_size:
        raise TrainingError(
            f"{config.data.household}: {len(data.train)} objects to train on, fewer than one "
            f"batch of {config.optimiser.batch_size}"
        )
    return data


def pretrain(config: PretrainConfig, output: Path, resume: bool = False) -> Checkpoint:
    """Train an encoder and write its checkpoint to `output`.

    Deterministic by seed on one machine: every epoch draws its own randomness from the seed and
    its number, so that a resumed run takes the very steps that an unbroken one would.

    Raises:
        TrainingError: the data, the recipe or the state to resume from cannot be used.
    """
    started = time.monotonic()
    data = training_data(config)
    torch.manual_seed(config.seed)
    base = encoder_spec(config.encoder)
    spec = EncoderSpec(base.architecture, base.sizes | config.encoder_sizes)
    encoder = build_encoder(spec)
    run = _Run(
        encoder, config, output, steps_per_epoch=len(data.train) // config.optimiser.batch_size
    )
    if resume:
        run.load()
    run.write_config()

    vectors = torch.from_numpy(data.vocabulary.vectors)
    mean = text_mean(vectors)
    anchors = centred_rows(vectors, mean)
    labels = torch.from_numpy(positives(data.train.objects, len(vectors)))
    clouds = OrderedClouds(data.train, encoder.points, config.data.orders, config.seed)
    check = OrderedClouds(data.validation, encoder.points, 1, config.seed)
    epochs = tqdm(
        range(run.epoch, config.optimiser.epochs),
        desc="pretrain", unit="epoch", initial=run.epoch, total=config.optimiser.epochs,
    )  # fmt: skip
    for epoch in epochs:
        loss = _train_epoch(run, clouds, labels, anchors, epoch)
        entry = {"epoch": epoch, "loss": loss, "lr": run.lr(), "seconds": run.seconds(started)}
        if len(data.validation):
            entry["validation"] = _top1(run.averaged(), check, data.validation, anchors)
        epochs.set_postfix({k: round(v, 4) for k, v in entry.items() if k != "epoch"})
        run.finish_epoch(entry)

    record = _record(config, data, run.seconds(started))
    checkpoint = Checkpoint(
        spec, cpu_state(run.averaged()), mean, 1.0 / config.loss.temperature,
        dataclasses.asdict(config), record,
    )  # fmt: skip
    save_checkpoint(output / "checkpoint.safetensors", checkpoint)
    return checkpoint


def _train_epoch(
    run: _Run, clouds: OrderedClouds, labels: Tensor, anchors: Tensor, epoch: int
) -> float:
    config = run.config
    rng = np.random.default_rng([config.seed, epoch])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    torch.manual_seed(int(rng.integers(2**62)))  # stochastic depth
    run.encoder.train()
    order = rng.permutation(len(labels))
    losses = []
    for step in range(run.steps_per_epoch):
        rows = order[step * config.optimiser.batch_size :][: config.optimiser.batch_size]
        points = augment(clouds.batch(rows, rng), config.augmentation, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            embedding = run.encoder.embed_ordered(points)
        targets, texts = labels[rows], anchors
        if config.loss.negatives == "batch":
            named = targets.any(dim=0)
            targets, texts = targets[:, named], anchors[named]
        loss = contrastive_loss(unit_rows(embedding), texts, targets, config.loss.temperature)
        run.step(loss)
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.no_grad()
def _top1(
    encoder: PointEncoder, clouds: OrderedClouds, objects: HouseholdSet, anchors: Tensor
) -> float:
    """Share of objects whose best label over the whole vocabulary is one of their own."""
    points = clouds.batch(np.arange(len(objects)), np.random.default_rng(0))
    embedding = torch.cat([encoder.embed_ordered(part) for part in torch.split(points, 64)])
    best = (unit_rows(embedding) @ anchors.T).argmax(dim=1)
    return float(np.mean([int(b) in o.rows for b, o in zip(best, objects.objects, strict=True)]))


class _Run:
    """The moving parts of a run: weights, their running mean, optimiser, epoch, files."""

    def __init__(
        self, encoder: PointEncoder, config: PretrainConfig, output: Path, steps_per_epoch: int
    ) -> None:
        self.encoder, self.config, self.output = encoder, config, output
        self.steps_per_epoch = steps_per_epoch
        self.epoch = 0
        self.trained_seconds = 0.0
        decay = [p for p in encoder.parameters() if p.ndim > 1]
        rest = [p for p in encoder.parameters() if p.ndim <= 1]
        optimiser = config.optimiser
        self._parameters = [*decay, *rest]
        self._adamw = torch.optim.AdamW(
            [{"params": decay, "weight_decay": optimiser.weight_decay},
             {"params": rest, "weight_decay": 0.0}],
            lr=optimiser.lr,
        )  # fmt: skip
        self._steps = 0
        self._average = cpu_state(encoder)

    def step(self, loss: Tensor) -> None:
        """One update of the weights and of their running mean."""
        for group in self._adamw.param_groups:
            group["lr"] = self.lr()
        self._adamw.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.optimiser.clip_norm)
        self._adamw.step()
        self._steps += 1
        # A young mean follows faster, so that it never remembers the random start.
        decay = min(self.config.optimiser.ema, (1 + self._steps) / (10 + self._steps))
        for key, value in self.encoder.state_dict().items():
            if value.is_floating_point():
                self._average[key].lerp_(value, 1 - decay)
            else:
                self._average[key].copy_(value)

    def lr(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config.optimiser, self._steps / self.steps_per_epoch)

    def averaged(self) -> PointEncoder:
        """A copy of the encoder with the mean weights, in eval mode."""
        spec = encoder_spec(self.config.encoder)
        copy = build_encoder(EncoderSpec(spec.architecture, spec.sizes | self.config.encoder_sizes))
        copy.load_state_dict(self._average)
        return copy.eval()

    def seconds(self, started: float) -> float:
        """Seconds of training, those before a resume included."""
        return self.trained_seconds + time.monotonic() - started

    def finish_epoch(self, entry: dict[str, Any]) -> None:
        """Log an epoch and save the state to resume from."""
        self.epoch = entry["epoch"] + 1
        tensors = {f"encoder.{k}": v for k, v in cpu_state(self.encoder).items()}
        tensors |= {f"average.{k}": v.clone() for k, v in self._average.items()}
        for i, parameter in enumerate(self._parameters):
            state = self._adamw.state[parameter]
            tensors |= {f"adamw.{i}.{k}": v.clone() for k, v in state.items()}
        about = {"epoch": self.epoch, "steps": self._steps, "seconds": entry["seconds"]}
        metadata = {"state": json.dumps(about), "config": self._config_json()}
        write_atomically(self.output / "state.safetensors", to_bytes(tensors, metadata))
        with (self.output / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def load(self) -> None:
        """Go on where `state.safetensors` left off.

        Raises:
            TrainingError: there is no state, or it belongs to another recipe.
        """
        tensors, metadata = read_tensors(self.output / "state.safetensors")
        if metadata.get("config") != self._config_json():
            raise TrainingError(
                f"{self.output} was trained with another recipe; resume with the same one "
                "(config.json beside the state) or choose another --output"
            )
        about = json.loads(metadata["state"])
        self.epoch, self._steps = about["epoch"], about["steps"]
        self.trained_seconds = about["seconds"]
        self.encoder.load_state_dict(_part(tensors, "encoder."))
        self._average = _part(tensors, "average.")
        for i, parameter in enumerate(self._parameters):
            self._adamw.state[parameter] = _part(tensors, f"adamw.{i}.")

    def write_config(self) -> None:
        """Write `config.json`; a fresh run also empties the log."""
        write_atomically(self.output / "config.json", self._config_json().encode())
        if self.epoch == 0:
            write_atomically(self.output / "log.jsonl", b"")

    def _config_json(self) -> str:
        return json.dumps(dataclasses.asdict(self.config), indent=1, sort_keys=True)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def learning_rate(config: OptimiserConfig, epoch: float) -> float:
    """Linear warm-up, then a cosine down to `min_lr`; `epoch` counts in fractions."""
    if epoch < config.warmup_epochs:
        return config.lr * (epoch + 0.1) / (config.warmup_epochs + 0.1)
    span = max(config.epochs - config.warmup_epochs, 1e-9)
    progress = min(1.0, (epoch - config.warmup_epochs) / span)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


def _record(config: PretrainConfig, data: TrainingData, seconds: float) -> dict[str, Any]:
    objects = data.train.objects
    return {
        "cg3d_sdk": __version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "seconds": round(seconds),
        "epochs": config.optimiser.epochs,
        "seed": config.seed,
        "objects": len(objects),
        "labels": len({o.name_row for o in objects}),
        "sources": dict(Counter(o.source for o in objects).most_common()),
        "licences": dict(Counter(o.licence for o in objects).most_common()),
    }
