"""How fast a run goes: a progress bar over all of its steps, and the numbers of each epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

#: Seconds between two pictures of the bar, on a terminal and in a file.
_ON_TERMINAL, _IN_FILE = 0.1, 30.0


class Meter:
    """Counts steps and seconds, and shows them.

    The bar counts clouds over the whole run, with clouds per second and the time left; beside it
    stand the epoch, the time left in it and the loss.

    Args:
        what: name of the run, for the bar.
        epochs, steps: of the run, and of each epoch.
        clouds: in each step, of all processes.
        quiet: show nothing.
    """

    def __init__(self, what: str, epochs: int, steps: int, clouds: int, quiet: bool) -> None:
        self._what, self._quiet = what, quiet
        self._epochs, self._steps, self._clouds = epochs, steps, clouds
        self._bar: tqdm[NoReturn] | None = None
        self._notes = ""
        self._epoch = self._first = self._done = 0
        self._began = self._last = time.monotonic()
        self._waited = 0.0

    def begin(self, epoch: int, done: int = 0) -> None:
        """An epoch begins, or goes on after `done` of its steps."""
        self._epoch, self._first, self._done = epoch, done, done
        self._began = self._last = time.monotonic()
        self._waited = 0.0
        if self._bar is None:
            self._bar = tqdm(
                total=self._epochs * self._steps, initial=epoch * self._steps + done,
                desc=self._what, unit="cloud", unit_scale=self._clouds, disable=self._quiet,
                mininterval=_ON_TERMINAL if sys.stderr.isatty() else _IN_FILE,
            )  # fmt: skip

    @contextmanager
    def data(self) -> Iterator[None]:
        """What happens inside is waiting for data."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited += time.monotonic() - began

    def tick(self, loss: float, name: str = "loss") -> None:
        """A step was taken."""
        self._done += 1
        self._last = time.monotonic()
        if self._bar is None or self._quiet:
            return
        pace = (self._last - self._began) / (self._done - self._first)
        left = tqdm.format_interval(pace * (self._steps - self._done))
        self._bar.set_postfix_str(
            f"epoch {self._epoch + 1}/{self._epochs} ends in {left}, {name} {loss:.4f}"
            f"{self._notes}",
            refresh=False,
        )
        self._bar.update()

    @property
    def steps_taken(self) -> int:
        """Since the start of the run, those before a resume included."""
        return self._epoch * self._steps + self._done

    def epoch_facts(self) -> dict[str, float]:
        """Clouds per second, and seconds that were spent on waiting for data, since `begin`.

        Validation and writing files between two epochs do not count.
        """
        seconds = max(self._last - self._began, 1e-9)
        seen = (self._done - self._first) * self._clouds
        return {"clouds_per_second": seen / seconds, "data_seconds": self._waited}

    def note(self, values: dict[str, float]) -> None:
        """Show values beside the bar until there are newer ones."""
        self._notes = "".join(f", {name} {value:.4f}" for name, value in values.items())

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
