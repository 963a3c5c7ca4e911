"""A teacher's training in progress.

The files are those of every run (`cg3d_training.runs`); the state is saved after every epoch.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cg3d_training.runs.folder import RunFolder
from cg3d_training.runs.meter import Meter
from cg3d_training.runs.optimiser import learning_rate
from cg3d_training.runs.weights import Weights
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
        self.network, self.config, self.steps = network, config, steps
        self.epoch, self._seconds, self._began = 0, 0.0, time.monotonic()
        its = config.optimiser
        self._weights = Weights(network, its, config.precision)
        self.meter = Meter(output.name, its.epochs, steps, its.batch_size, quiet=False)
        self._folder = RunFolder(output, config, log=log)

    def step(self, loss: Tensor) -> None:
        """One update of the weights, the temperature and the running mean."""
        self._weights.step(loss, self.lr(), self._bound)
        value = loss.item()
        self.meter.tick(value)
        self._folder.log_step(self.meter.steps_taken, {"loss": value, "lr": self.lr()})

    def lr(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config.optimiser, self._weights.steps / self.steps)

    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._seconds + time.monotonic() - self._began

    def averaged(self) -> Any:
        """A copy of the network with the mean weights, in eval mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._weights.average)
        return network.eval()

    def finish_epoch(self, entry: dict[str, Any]) -> None:
        """Log an epoch and save the state; `load` drops what the log says beyond the state."""
        entry = {"epoch": self.epoch, **entry, "lr": self.lr(), "seconds": self.seconds()}
        entry |= self.meter.epoch_facts()
        self._folder.log_epoch(self.meter.steps_taken, entry)
        self.epoch += 1
        about, tensors = self._weights.state("network")
        self._folder.save(about | {"epoch": self.epoch, "seconds": self.seconds()}, tensors)

    def start(self) -> None:
        """Begin in a folder that holds no other run.

        Raises:
            TrainingError: it does.
        """
        self._folder.start()

    def load(self) -> None:
        """Go on where the state left off.

        Raises:
            TrainingError: there is no state, or it belongs to another recipe.
        """
        about, tensors = self._folder.saved()
        self.epoch, self._seconds = about["epoch"], about["seconds"]
        self._weights.restore("network", about, tensors)
        self._folder.go_on(self.epoch, self._weights.steps)

    def close(self) -> None:
        """End the bar and the loggers."""
        self.meter.close()
        self._folder.close()

    @torch.no_grad()
    def _bound(self) -> None:
        self.network.logit_scale.clamp_(0, _LARGEST_SCALE)
