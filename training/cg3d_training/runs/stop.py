"""A run that is asked to stop (Ctrl-C, a cluster that wants its node) saves its state first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cg3d_runtime.errors import TrainingError
from cg3d_training.runs.distributed import World, any_process

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppedError(TrainingError):
    """The run was asked to stop; its state is saved, and `--resume` goes on from there."""


class StopRequest:
    """Notes SIGTERM and SIGINT while it is entered, instead of ending the process.

    A second signal ends it at once. In a thread other than the main one it notes nothing.
    """

    def __init__(self, world: World) -> None:
        self._world, self._asked = world, False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in _SIGNALS}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def asked(self) -> bool:
        """Whether to stop now: all processes, as soon as one was asked. All of them call it."""
        return any_process(self._asked, self._world)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
