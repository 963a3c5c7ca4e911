"""Where a run's numbers go: always to `log.jsonl`, and where asked to TensorBoard and W&B."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import TrainingError

LOG = "log.jsonl"
_WANDB_ID = "wandb-id"
#: What `--logger` takes, and the extra of cg3d-sdk that brings each; modules have the same names.
LOGGERS = ("tensorboard", "wandb")


class Logger(Protocol):
    """Takes the numbers of a run. Steps are counted from the start of the run."""

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Values after each step."""

    def epoch(self, step: int, entry: Mapping[str, Any]) -> None:
        """The entry of an epoch, after its last step."""

    def close(self) -> None:
        """Nothing more will come."""


def best_validation(folder: Path) -> tuple[int, float] | None:
    """Epoch and accuracy of the best validation in a run's log; the first of equals."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    entries = [e for e in map(json.loads, lines) if "validation" in e]
    best = max(entries, key=lambda e: float(e["validation"]), default=None)
    return best and (best["epoch"], best["validation"])


class JsonLines:
    """`log.jsonl`: a line an epoch."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Steps are not written."""

    def epoch(self, step: int, entry: Mapping[str, Any]) -> None:
        """Write a line."""
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        """Every line is written already."""


class TensorBoard:
    """Event files in the run's folder, for `tensorboard --logdir FOLDER`."""

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a killed run wrote after its last state is hidden.
        self._writer: Any = SummaryWriter(str(folder), purge_step=first_step + 1)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar for each value."""
        for name, value in values.items():
            self._writer.add_scalar(f"step/{name}", value, step)

    def epoch(self, step: int, entry: Mapping[str, Any]) -> None:
        """One scalar for each number."""
        for name, value in _numbers(entry).items():
            self._writer.add_scalar(f"epoch/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; WANDB_PROJECT, WANDB_MODE=offline and the like are heeded.

    A resumed run goes on under its old id, which lies in the run's folder.
    """

    def __init__(self, folder: Path, first_step: int, config: Mapping[str, Any]) -> None:
        wandb = _package("wandb")
        file = folder / _WANDB_ID
        known = file.read_text(encoding="utf-8").strip() if first_step and file.is_file() else None
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "cg3d"), name=folder.name, dir=str(folder),
            config=dict(config), id=known, resume="allow",
        )  # fmt: skip
        replace_file(file, str(self._run.id).encode())

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """One number for each value."""
        self._run.log({f"step/{k}": v for k, v in values.items()}, step=step)

    def epoch(self, step: int, entry: Mapping[str, Any]) -> None:
        """One number for each value that is one."""
        self._run.log({f"epoch/{k}": v for k, v in _numbers(entry).items()}, step=step)

    def close(self) -> None:
        """Send, or write, what is left."""
        self._run.finish()


def check_loggers(names: Sequence[str]) -> None:
    """Find out before a run starts whether its loggers can be had.

    Raises:
        TrainingError: there is no such logger.
        DependencyError: its package is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise TrainingError(f"there is no logger {name!r}; choose from {', '.join(LOGGERS)}")
        _package(name)


def open_loggers(
    names: Sequence[str], folder: Path, first_step: int, config: Any
) -> tuple[Logger, ...]:
    """The log of lines, and those that are named.

    Args:
        names: of `LOGGERS`.
        folder: of the run.
        first_step: steps that were taken before, 0 for a new run.
        config: the recipe, a dataclass.
    """
    loggers: list[Logger] = [JsonLines(folder)]
    if "tensorboard" in names:
        loggers.append(TensorBoard(folder, first_step))
    if "wandb" in names:
        loggers.append(WeightsAndBiases(folder, first_step, dataclasses.asdict(config)))
    return tuple(loggers)


def _package(name: str) -> Any:
    return require(name, name, f"--logger {name}")


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, v in entry.items() if isinstance(v, (int, float)) and k != "epoch"}
