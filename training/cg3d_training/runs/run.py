"""A training run in progress: the encoder's weights, how far it came, and its files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import cpu_state
from cg3d_training.config import PretrainConfig
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.runs.chunks import in_chunks
from cg3d_training.runs.compiling import Function, compiled
from cg3d_training.runs.distributed import ALONE, World, same_start
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.folder import RunFolder, tensors_below
from cg3d_training.runs.loggers import best_validation
from cg3d_training.runs.meter import Meter
from cg3d_training.runs.optimiser import learning_rate
from cg3d_training.runs.precision import autocast
from cg3d_training.runs.stop import StoppedError, StopRequest
from cg3d_training.runs.weights import Weights
from cg3d_training.temperature import Temperature
from cg3d_training.triplets.config import TripletConfig

#: The recipes of all kinds of run.
AnyConfig = PretrainConfig | FinetuneConfig | TripletConfig
C = TypeVar("C", bound=AnyConfig)


class Run(Generic[C]):
    """The moving parts of a run.

    Args:
        spec: the encoder's architecture and sizes.
        encoder: a new encoder of that kind, on the device to train on.
        config: the recipe.
        output: folder of the run.
        steps_per_epoch: batches in an epoch.
        world: the processes that train it; the first one writes the files.
        log: where its numbers go beside `log.jsonl`, see `loggers.LOGGERS`.
        clouds: in a step, where that is not the recipe's batch.
        temperature: of the loss, on the device too; None where there is none.

    Attributes:
        meter: the progress bar; steps say to it when they wait for data.
        device: kind of device that it trains on, "cpu" or "cuda".
        embed_ordered: the encoder's, compiled where the recipe says so; for `through`.
        weights: the encoder's, with their optimiser and running mean.
        stop: to be entered while `end_step` is called.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        encoder: PointEncoder,
        config: C,
        output: Path,
        steps_per_epoch: int,
        world: World = ALONE,
        log: Sequence[str] = (),
        clouds: int | None = None,
        temperature: Temperature | None = None,
    ) -> None:
        self.spec, self.encoder, self.config, self.output = spec, encoder, config, output
        self.steps_per_epoch, self.world = steps_per_epoch, world
        self.temperature = temperature or Temperature(1.0)
        self.epoch = 0
        self.trained_seconds = 0.0
        same_start(encoder, world)
        self.weights = Weights(
            encoder, config.optimiser, config.precision, world, self.temperature.parameters()
        )
        self.device = self.weights.device.type
        self.embed_ordered: Function = encoder.embed_ordered
        if not isinstance(config, FinetuneConfig) and config.compile:
            self.embed_ordered = compiled(self.embed_ordered, self.device, world.size == 1)
        self.stop = StopRequest(world)
        self._inside: tuple[list[float], dict[str, Any], dict[str, Tensor]] | None = None
        its = config.optimiser
        self.meter = Meter(
            output.name, its.epochs, steps_per_epoch, clouds or its.batch_size, not world.is_first
        )
        self._folder = RunFolder(output, config, world, log)

    def through(self, function: Function, points: Tensor) -> Tensor:
        """What the encoder makes of points, in the precision and the chunks of the recipe.

        Args:
            function: `embed_ordered`, or the encoder.
            points: (B, N, 3) on the device.
        """

        def whole(part: Tensor) -> Tensor:
            with autocast(self.config.precision, self.device):
                return function(part)

        return in_chunks(whole, points, self.config.optimiser.chunk, self.encoder)

    def step(self, loss: Tensor) -> None:
        """One update of the weights and of their running mean."""
        self.weights.step(loss, self.lr(), self.temperature.clamp)

    def lr(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config.optimiser, self.weights.steps / self.steps_per_epoch)

    def averaged(self) -> PointEncoder:
        """A copy of the encoder with the mean weights, in eval mode."""
        with torch.random.fork_rng(devices=[]):  # its first weights are not to be seen by any draw
            copy = build_encoder(self.spec)
        copy.load_state_dict(self.weights.average)
        return copy.to(self.weights.device).eval()

    def validates(self) -> bool:
        """Whether this process checks on held-out objects after this epoch."""
        every, after = self.config.validate, self.epoch + 1
        due = every > 0 and (after % every == 0 or after == self.config.optimiser.epochs)
        return due and self.world.is_first

    def is_best(self, entry: dict[str, Any]) -> bool:
        """Whether an epoch's weights are to be kept as the best so far, before it is logged."""
        if isinstance(self.config, FinetuneConfig) or not self.config.keep_best:
            return False
        before = best_validation(self.output)
        return before is None or entry["validation"] > before[1]

    def seconds(self, started: float) -> float:
        """Seconds of training, those before a resume included."""
        return self.trained_seconds + time.monotonic() - started

    def finish_epoch(self, entry: dict[str, Any]) -> None:
        """Log an epoch and save the state to resume from.

        The log comes first: `load` drops what it says of epochs that the state does not hold.
        """
        entry = entry | self.meter.epoch_facts()
        self.meter.note({k: v for k, v in entry.items() if k.startswith("validation")})
        self._folder.log_epoch(self.meter.steps_taken, entry)
        self.epoch = entry["epoch"] + 1
        self._save({"epoch": self.epoch, "seconds": entry["seconds"]}, {})

    def end_step(
        self, losses: list[float], draws: EpochDraws, save_every: int, started: float
    ) -> None:
        """Save the state where it is due or the run was asked to stop.

        Raises:
            StoppedError: it was.
        """
        stop = self.stop.asked()
        if stop or (save_every and len(losses) % save_every == 0):
            self.save_inside(losses, draws, self.seconds(started))
        if stop:
            self.close()
            raise StoppedError(
                f"asked to stop after step {len(losses)} of epoch {self.epoch}: the state is saved "
                f"in {self.output}, go on with --resume"
            )

    def save_inside(self, losses: list[float], draws: EpochDraws, seconds: float) -> None:
        """Save the state within an epoch: the losses of its steps so far, and its randomness."""
        plain, tensors = draws.state()
        inside = {
            "losses": losses, "draws": plain, "processes": self.world.size, "device": self.device
        }  # fmt: skip
        self._save(
            {"epoch": self.epoch, "seconds": seconds, "inside": inside},
            {f"draws.{k}": v for k, v in tensors.items()},
        )

    def continue_epoch(self, draws: EpochDraws) -> list[float]:
        """Take up an epoch that was under way when the state was saved.

        Returns:
            The losses of the steps that were taken; empty at the start of an epoch.
        """
        losses: list[float] = []
        if self._inside is not None:
            losses, plain, tensors = self._inside
            self._inside = None
            draws.restore(plain, tensors)
        self.meter.begin(self.epoch, len(losses))
        return losses

    def took_step(self, loss: float, name: str = "loss") -> None:
        """Show and log a step, after its update."""
        self.meter.tick(loss, name)
        self._folder.log_step(self.meter.steps_taken, {name: loss, "lr": self.lr()})

    def _save(self, about: dict[str, Any], more: dict[str, Tensor]) -> None:
        if not self.world.is_first:
            return
        values, tensors = self.weights.state("encoder")
        tensors |= {f"temperature.{k}": v for k, v in cpu_state(self.temperature).items()}
        self._folder.save(about | values, tensors | self.further_state() | more)

    def further_state(self) -> dict[str, Tensor]:
        """What a kind of run trains beside the encoder, for the state."""
        return {}

    def restore_further(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `further_state` gave; `tensors` are those of the whole state."""

    def start(self) -> None:
        """Begin in a folder that holds no other run.

        Raises:
            TrainingError: it does.
        """
        self._folder.start()

    def load(self) -> None:
        """Go on where the state left off.

        Raises:
            TrainingError: there is no state, it belongs to another recipe, or it stands within an
                epoch of another number of processes or of another kind of device.
        """
        about, tensors = self._folder.saved()
        self.epoch, self.trained_seconds = about["epoch"], about["seconds"]
        self.weights.restore("encoder", about, tensors)
        self.temperature.load_state_dict(tensors_below(tensors, "temperature."))
        self.restore_further(tensors)
        if inside := about.get("inside"):
            if inside["processes"] != self.world.size:
                raise TrainingError(
                    f"{self.output} stopped within an epoch of {inside['processes']} processes; "
                    f"resume it with as many, not {self.world.size}"
                )
            if inside["device"] != self.device:
                raise TrainingError(
                    f"{self.output} stopped within an epoch on {inside['device']}; resume it with "
                    f"--device {inside['device']}, not {self.device}"
                )
            self._inside = inside["losses"], inside["draws"], tensors_below(tensors, "draws.")
        done = len(self._inside[0]) if self._inside else 0
        self._folder.go_on(self.epoch, self.epoch * self.steps_per_epoch + done)

    def close(self) -> None:
        """End the bar and the logs."""
        self.meter.close()
        self._folder.close()
