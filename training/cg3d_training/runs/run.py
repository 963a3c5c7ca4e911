"""A training run in progress: weights, their running mean, optimiser, epoch, and its files."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import cpu_state, read_tensors
from cg3d_training.config import PretrainConfig, from_dict
from cg3d_training.encoders import EncoderSpec, PointEncoder, build_encoder
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.runs.chunks import in_chunks
from cg3d_training.runs.compiling import Function, compiled
from cg3d_training.runs.distributed import ALONE, World, same_start, sum_gradients
from cg3d_training.runs.draws import EpochDraws
from cg3d_training.runs.environment import note_resume, note_start
from cg3d_training.runs.loggers import LOG, Logger, best_validation, open_loggers
from cg3d_training.runs.meter import Meter
from cg3d_training.runs.optimiser import learning_rate, make_optimiser
from cg3d_training.runs.precision import autocast, loss_scaler
from cg3d_training.runs.stop import StoppedError, StopRequest
from cg3d_training.temperature import Temperature
from cg3d_training.triplets.config import TripletConfig

STATE, RESULT, BEST = "state.safetensors", "checkpoint.safetensors", "best.safetensors"

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
        decay = [p for p in encoder.parameters() if p.ndim > 1]
        rest = [p for p in encoder.parameters() if p.ndim <= 1]
        rest += self.temperature.parameters()
        self._parameters = [*decay, *rest]
        self.device = self._parameters[0].device.type
        self.embed_ordered: Function = encoder.embed_ordered
        if not isinstance(config, FinetuneConfig) and config.compile:
            self.embed_ordered = compiled(self.embed_ordered, self.device, world.size == 1)
        same_start(encoder, world)
        self._optimiser = make_optimiser(config.optimiser, decay, rest)
        self._scaler = loss_scaler(config.precision, self.device)
        self.stop = StopRequest(world)
        self._steps = 0
        self._average = {k: v.detach().clone() for k, v in encoder.state_dict().items()}
        self._inside: tuple[list[float], dict[str, Any], dict[str, Tensor]] | None = None
        its = config.optimiser
        if config.validate < 0:
            raise TrainingError(f"validate is {config.validate}; 0 is for never")
        self.meter = Meter(
            output.name, its.epochs, steps_per_epoch, clouds or its.batch_size, not world.is_first
        )
        self._log_names, self._loggers = log, tuple[Logger, ...]()

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
        for group in self._optimiser.param_groups:
            group["lr"] = self.lr() * group.get("factor", 1.0)
        self._optimiser.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        sum_gradients(self.encoder.parameters(), self.world, self.temperature.parameters())
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.optimiser.clip_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self.temperature.clamp()
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
        with torch.random.fork_rng(devices=[]):  # its first weights are not to be seen by any draw
            copy = build_encoder(self.spec)
        copy.load_state_dict(self._average)
        return copy.to(self._parameters[0].device).eval()

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
        for logger in self._loggers:
            logger.epoch(self.meter.steps_taken, entry)
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
        for logger in self._loggers:
            logger.step(self.meter.steps_taken, {name: loss, "lr": self.lr()})

    def _save(self, about: dict[str, Any], more: dict[str, Tensor]) -> None:
        if not self.world.is_first:
            return
        tensors = {f"encoder.{k}": v for k, v in cpu_state(self.encoder).items()}
        tensors |= {f"average.{k}": v for k, v in cpu_state(self._average).items()}
        for i, parameter in enumerate(self._parameters):
            state = self._optimiser.state[parameter]
            held = {k: v for k, v in state.items() if v is not None}  # SGD without momentum
            tensors |= {f"optimiser.{i}.{k}": v for k, v in cpu_state(held).items()}
        tensors |= {f"temperature.{k}": v for k, v in cpu_state(self.temperature).items()}
        about = about | {"steps": self._steps, "scaler": self._scaler.state_dict()}
        metadata = {"state": json.dumps(about), "config": self._config_json()}
        tensors |= self.further_state()
        replace_file(self.output / STATE, to_bytes(tensors | more, metadata))

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
        if (self.output / STATE).exists():
            raise TrainingError(
                f"{self.output} holds a run already: go on with --resume, or choose another folder"
            )
        if not self.world.is_first:
            return
        replace_file(self.output / "config.json", self._config_json().encode())
        note_start(self.output, self.world.size)
        replace_file(self.output / LOG, b"")
        self._open_loggers()

    def load(self) -> None:
        """Go on where the state left off.

        Raises:
            TrainingError: there is no state, it belongs to another recipe, or it stands within an
                epoch of another number of processes or of another kind of device.
        """
        if not (self.output / STATE).is_file():
            raise TrainingError(
                f"{self.output / STATE}: no such file, so there is no run to go on with; start "
                "one without --resume"
            )
        tensors, metadata = read_tensors(self.output / STATE)
        if not self._is_recipe(metadata.get("config", "{}")):
            raise TrainingError(
                f"{self.output} was trained with another recipe; resume with the same one "
                "(config.json beside the state) or choose another --output"
            )
        about = json.loads(metadata["state"])
        self.epoch, self._steps = about["epoch"], about["steps"]
        self.trained_seconds = about["seconds"]
        self.encoder.load_state_dict(tensors_below(tensors, "encoder."))
        self.temperature.load_state_dict(tensors_below(tensors, "temperature."))
        if about["scaler"]:
            self._scaler.load_state_dict(about["scaler"])
        device = self._parameters[0].device
        self._average = {k: v.to(device) for k, v in tensors_below(tensors, "average.").items()}
        for i, parameter in enumerate(self._parameters):
            state = tensors_below(tensors, f"optimiser.{i}.")
            # The count of steps stays on the CPU, where torch keeps it.
            self._optimiser.state[parameter] = {
                k: v if k == "step" else v.to(device) for k, v in state.items()
            }
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
        if not self.world.is_first:
            return
        lines = (self.output / LOG).read_text(encoding="utf-8").splitlines()[: self.epoch]
        replace_file(self.output / LOG, "".join(line + "\n" for line in lines).encode())
        note_resume(self.output, self.world.size, self.epoch)
        self._open_loggers(len(self._inside[0]) if self._inside else 0)

    def close(self) -> None:
        """End the bar and the logs."""
        self.meter.close()
        for logger in self._loggers:
            logger.close()

    def _open_loggers(self, done: int = 0) -> None:
        steps = self.epoch * self.steps_per_epoch + done
        self._loggers = open_loggers(self._log_names, self.output, steps, self.config)

    def _is_recipe(self, saved: str) -> bool:
        # A key that is newer than the run has its default in it.
        try:
            return from_dict(type(self.config), json.loads(saved), "state") == self.config
        except TrainingError:
            return False

    def _config_json(self) -> str:
        return json.dumps(dataclasses.asdict(self.config), indent=1, sort_keys=True)


def tensors_below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
