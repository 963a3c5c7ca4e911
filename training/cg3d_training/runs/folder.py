"""A run's folder: its recipe, its log, and the state to go on from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import read_tensors
from cg3d_training.config import from_dict
from cg3d_training.data.reading import read_text
from cg3d_training.runs.distributed import ALONE, World
from cg3d_training.runs.environment import note_resume, note_start
from cg3d_training.runs.loggers import LOG, Logger, open_loggers

CONFIG, STATE = "config.json", "state.safetensors"
RESULT, BEST = "checkpoint.safetensors", "best.safetensors"


class RunFolder:
    """The files of one run; of several processes the first one writes them.

    Args:
        path: of the folder.
        config: the recipe, a dataclass.
        world: the processes that train together.
        log: where numbers go beside `log.jsonl`, see `loggers.LOGGERS`.
    """

    def __init__(
        self, path: Path, config: Any, world: World = ALONE, log: Sequence[str] = ()
    ) -> None:
        self.path, self._config, self._world, self._log = path, config, world, log
        self._loggers = tuple[Logger, ...]()

    def start(self) -> None:
        """Begin in a folder that holds no other run.

        Raises:
            TrainingError: it does.
        """
        if (self.path / STATE).exists():
            raise TrainingError(
                f"{self.path} holds a run already: go on with --resume, or choose another folder"
            )
        if not self._world.is_first:
            return
        replace_file(self.path / CONFIG, self._recipe().encode())
        note_start(self.path, self._world.size)
        replace_file(self.path / LOG, b"")
        self._open(0)

    def save(self, about: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Write the state.

        Args:
            about: plain values.
            tensors: on the CPU.
        """
        if self._world.is_first:
            metadata = {"state": json.dumps(about), "config": self._recipe()}
            replace_file(self.path / STATE, to_bytes(tensors, metadata))

    def saved(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What `save` was given.

        Raises:
            TrainingError: there is no state, it is damaged, or it belongs to another recipe.
        """
        file = self.path / STATE
        if not file.is_file():
            raise TrainingError(
                f"{file}: no such file, so there is no run to go on with; start one without "
                "--resume"
            )
        tensors, metadata = read_tensors(file)
        if not self._is_recipe(metadata.get("config", "{}")):
            raise TrainingError(
                f"{self.path} was trained with another recipe; resume with the same one "
                f"({CONFIG} beside the state) or choose another --output"
            )
        try:
            about: dict[str, Any] = json.loads(metadata["state"])
            missing = {"epoch", "steps", "seconds"} - set(about)
        except (KeyError, ValueError, TypeError) as error:
            raise TrainingError(f"{file}: damaged state: {error!r}") from error
        if missing:
            raise TrainingError(f"{file}: damaged state: {', '.join(sorted(missing))} missing")
        return about, tensors

    def go_on(self, epoch: int, steps: int) -> None:
        """Go on with the log after so many epochs and steps; what it says beyond is dropped."""
        if not self._world.is_first:
            return
        lines = read_text(self.path / LOG).splitlines()[:epoch]
        replace_file(self.path / LOG, "".join(line + "\n" for line in lines).encode())
        note_resume(self.path, self._world.size, epoch)
        self._open(steps)

    def log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Values after a step, counted from the start of the run."""
        for logger in self._loggers:
            logger.step(step, values)

    def log_epoch(self, step: int, entry: Mapping[str, Any]) -> None:
        """The entry of an epoch, after its last step."""
        for logger in self._loggers:
            logger.epoch(step, entry)

    def close(self) -> None:
        """End the logs."""
        for logger in self._loggers:
            logger.close()

    def _open(self, steps: int) -> None:
        self._loggers = open_loggers(self._log, self.path, steps, self._config)

    def _is_recipe(self, saved: str) -> bool:
        # A key that is newer than the run has its default in it.
        try:
            recipe = from_dict(type(self._config), json.loads(saved), "state")
        except (TrainingError, ValueError):
            return False
        return bool(recipe == self._config)

    def _recipe(self) -> str:
        return json.dumps(dataclasses.asdict(self._config), indent=1, sort_keys=True)


def tensors_below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
