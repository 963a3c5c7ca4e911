"""A teacher's training in progress: weights, their running mean, optimiser, epoch, and its files.

The files are those of every run (`cg3d_training.runs`); the state is saved after every epoch.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import cpu_state, read_tensors
from cg3d_training.runs.environment import note_resume, note_start
from cg3d_training.runs.loggers import LOG, Logger, open_loggers
from cg3d_training.runs.meter import Meter
from cg3d_training.runs.optimiser import learning_rate, make_optimiser
from cg3d_training.runs.run import STATE, tensors_below
from cg3d_training.teaching.config import TeachingConfig

_LARGEST_SCALE = math.log(100)  # CLIP's own limit


class TeachingRun:
    """The moving parts of a run.

    Args:
        network: a CLIP of open_clip, on the device to train on.
        config: the recipe.
        output: folder of the run.
        steps: batches in an epoch.
        log: where its numbers go beside `log.jsonl`.

    Attributes:
        epoch: the next one, from 0.
        meter: the progress bar; steps say to it when they wait for data.
    """

    def __init__(
        self, network: Any, config: TeachingConfig, output: Path, steps: int, log: Sequence[str]
    ) -> None:
        self.network, self.config, self.output, self.steps = network, config, output, steps
        self.epoch, self._seconds, self._began = 0, 0.0, time.monotonic()
        decay = [p for p in network.parameters() if p.ndim > 1]
        rest = [p for p in network.parameters() if p.ndim <= 1]
        self._parameters: list[Tensor] = [*decay, *rest]
        self._optimiser = make_optimiser(config.optimiser, decay, rest)
        self._steps = 0
        self._average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        its = config.optimiser
        self.meter = Meter(output.name, its.epochs, steps, its.batch_size, quiet=False)
        self._log, self._loggers = log, tuple[Logger, ...]()

    def step(self, loss: Tensor) -> None:
        """One update of the weights, the temperature and the running mean."""
        for group in self._optimiser.param_groups:
            group["lr"] = self.lr()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.optimiser.clip_norm)
        self._optimiser.step()
        with torch.no_grad():
            self.network.logit_scale.clamp_(0, _LARGEST_SCALE)
        self._steps += 1
        # A young mean follows faster, so that it never remembers the random start.
        decay = min(self.config.optimiser.ema, (1 + self._steps) / (10 + self._steps))
        for key, value in self.network.state_dict().items():
            self._average[key].lerp_(value, 1 - decay)
        value = loss.item()
        self.meter.tick(value)
        for logger in self._loggers:
            logger.step(self.meter.steps_taken, {"loss": value, "lr": self.lr()})

    def lr(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config.optimiser, self._steps / self.steps)

    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._seconds + time.monotonic() - self._began

    def averaged(self) -> Any:
        """A copy of the network with the mean weights, in eval mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._average)
        return network.eval()

    def finish_epoch(self, entry: dict[str, Any]) -> None:
        """Log an epoch and save the state; `load` drops what the log says beyond the state."""
        entry = {"epoch": self.epoch, **entry, "lr": self.lr(), "seconds": self.seconds()}
        entry |= self.meter.epoch_facts()
        for logger in self._loggers:
            logger.epoch(self.meter.steps_taken, entry)
        self.epoch += 1
        tensors = {f"network.{k}": v for k, v in cpu_state(self.network).items()}
        tensors |= {f"average.{k}": v for k, v in cpu_state(self._average).items()}
        for i, parameter in enumerate(self._parameters):
            state = {k: v for k, v in self._optimiser.state[parameter].items() if v is not None}
            tensors |= {f"optimiser.{i}.{k}": v for k, v in cpu_state(state).items()}
        about = {"epoch": self.epoch, "steps": self._steps, "seconds": self.seconds()}
        metadata = {"state": json.dumps(about), "config": self._config_json()}
        replace_file(self.output / STATE, to_bytes(tensors, metadata))

    def start(self) -> None:
        """Begin in a folder that holds no other run.

        Raises:
            TrainingError: it does.
        """
        if (self.output / STATE).exists():
            raise TrainingError(
                f"{self.output} holds a run already: go on with --resume, or choose another folder"
            )
        replace_file(self.output / "config.json", self._config_json().encode())
        note_start(self.output, 1)
        replace_file(self.output / LOG, b"")
        self._loggers = open_loggers(self._log, self.output, 0, self.config)

    def load(self) -> None:
        """Go on where the state left off.

        Raises:
            TrainingError: there is no state, or it belongs to another recipe.
        """
        tensors, metadata = read_tensors(self.output / STATE)
        if metadata.get("config") != self._config_json():
            raise TrainingError(
                f"{self.output} was trained with another recipe; resume with the same one "
                "(config.json beside the state) or choose another --output"
            )
        about = json.loads(metadata["state"])
        self.epoch, self._steps = about["epoch"], about["steps"]
        self._seconds = about["seconds"]
        self.network.load_state_dict(tensors_below(tensors, "network."))
        device = self._parameters[0].device
        self._average = {k: v.to(device) for k, v in tensors_below(tensors, "average.").items()}
        for i, parameter in enumerate(self._parameters):
            state = tensors_below(tensors, f"optimiser.{i}.")
            # The count of steps stays on the CPU, where torch keeps it.
            self._optimiser.state[parameter] = {
                k: v if k == "step" else v.to(device) for k, v in state.items()
            }
        lines = (self.output / LOG).read_text(encoding="utf-8").splitlines()[: self.epoch]
        replace_file(self.output / LOG, "".join(line + "\n" for line in lines).encode())
        note_resume(self.output, 1, self.epoch)
        self._loggers = open_loggers(self._log, self.output, self._steps, self.config)

    def close(self) -> None:
        """End the bar and the loggers."""
        self.meter.close()
        for logger in self._loggers:
            logger.close()

    def _config_json(self) -> str:
        return json.dumps(dataclasses.asdict(self.config), indent=1, sort_keys=True)
