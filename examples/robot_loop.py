"""A 10 Hz loop that names what a sensor sees.

    python examples/robot_loop.py --cycles 20

Put your driver in place of `sensor`. The shipped sample clouds stand in for it here, with the
faults that real sensors have: missing returns as NaN, and now and then an empty frame.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from cg3d_sdk import Cg3dError, Recognizer

PERIOD = 0.1  # seconds


def sensor(cycles: int) -> Iterator[NDArray[np.float32]]:
    """(N, 3) float32 clouds, metres, z up."""
    rng = np.random.default_rng(0)
    samples = sorted(Path(str(resources.files("cg3d_sdk") / "samples")).glob("*.npz"))
    for cycle in range(cycles):
        if cycle % 7 == 6:
            yield np.empty((0, 3), np.float32)
            continue
        with np.load(samples[cycle % len(samples)], allow_pickle=False) as sample:
            points = sample["points"].astype(np.float32)
        points[rng.random(len(points)) < 0.2] = np.nan
        yield points


@click.command()
@click.option("--cycles", default=20, show_default=True)
def main(cycles: int) -> None:
    """Run the loop."""
    recognizer = Recognizer(threads=1)  # once, before the loop
    recognizer.warmup()
    for points in sensor(cycles):
        start = time.perf_counter()
        try:
            answer = recognizer.classify(points)
            said = f"{answer.label} {answer.score:.2f} ({answer.dropped} points missing)"
        except Cg3dError as error:
            said = f"no answer: {error}"
        spent = time.perf_counter() - start
        click.echo(f"{spent * 1000:5.1f} ms  {said}")
        time.sleep(max(0.0, PERIOD - spent))


if __name__ == "__main__":
    main()
