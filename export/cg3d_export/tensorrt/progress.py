"""A build that shows how far it is, and that stops when it is told to.

TensorRT reports phases inside phases, each with its number of steps. They become one bar: the share
of the whole that is done, and the phase that is at work. The build runs in a thread of its own, so
that the clock of the bar goes on while one step takes minutes, and so that Ctrl-C is heard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_PERIOD = 0.2  # seconds between two looks at the build


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The phases at work and the share of the build that is done. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, _Phase] = {}
        self._furthest = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps begins, within its parent or by itself."""
        with self._lock:
            self._active[name] = _Phase(parent, max(1, steps))

    def step(self, name: str, step: int) -> None:
        """Step number `step`, from 0, of a phase is done."""
        with self._lock:
            if name in self._active:
                self._active[name].done = step + 1

    def finish(self, name: str) -> None:
        """A phase is over; with one of the outermost the build is."""
        with self._lock:
            phase = self._active.pop(name, None)
            if phase is not None and phase.parent not in self._active:
                self._furthest = 1.0

    def look(self) -> tuple[float, str]:
        """The share that is done, which never falls, and the innermost phase."""
        with self._lock:
            roots = [name for name, p in self._active.items() if p.parent not in self._active]
            share = max((self._share(name) for name in roots), default=0.0)
            self._furthest = max(self._furthest, min(share, 1.0))
            return self._furthest, next(reversed(self._active), "")

    def _share(self, name: str) -> float:
        phase = self._active[name]
        inside = [n for n, p in self._active.items() if p.parent == name and n != name]
        # A phase inside is at most the one step that is at work.
        begun = max((self._share(n) for n in inside), default=0.0)
        return min(1.0, (phase.done + begun) / phase.steps)


def progress_monitor(trt: Any, phases: Phases, stop: threading.Event) -> Any:
    """A progress monitor of TensorRT; keep it until the build is over."""

    class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phases.step(phase_name, step)
            return not stop.is_set()

    return _Monitor()


def run_watched(work: Callable[[], T], title: str, phases: Phases, stop: threading.Event) -> T:
    """Do the work in a thread of its own, with a bar.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after the work has stopped; a second one does not wait.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            failed.append(error)

    thread = threading.Thread(target=body, name=f"build {title}", daemon=True)
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
    with tqdm(total=1.0, desc=title, leave=False, bar_format=layout) as bar:
        try:
            thread.start()
            while thread.is_alive():
                thread.join(_PERIOD)
                share, phase = phases.look()
                bar.n = share
                bar.set_postfix_str(phase)
        except KeyboardInterrupt:
            stop.set()
            bar.set_description_str(f"{title}, stopping")
            if thread.ident is not None:
                thread.join()
            raise
    if failed:
        raise failed[0]
    return done[0]
