"""What a bundle costs on this machine: latency by stage, and memory."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.files import read_points
from cg3d_sdk.recognizer import Recognizer

#: What is told of every distribution of times.
PERCENTILES = (50, 90, 99)

#: The stages of a call, as they are told; "whole" is their sum, call by call.
STAGES = ("read", "prepare", "encode", "score", "whole")


@dataclass(frozen=True)
class Row:
    """What one size of cloud and batch costs.

    Attributes:
        points: of every cloud.
        batch: clouds in a call.
        runs: calls that were timed, after the warm-up.
        milliseconds: stage -> the `PERCENTILES` of a call.
        clouds_per_second: by the median of the whole.
    """

    points: int
    batch: int
    runs: int
    milliseconds: dict[str, tuple[float, ...]]
    clouds_per_second: float


def bench(
    recognizer: Recognizer, points: Sequence[int], batches: Sequence[int], runs: int
) -> Iterator[Row]:
    """Time a Recognizer with made-up clouds.

    Every call reads its clouds from a file (PCD, binary), so "read" is decoding from a warm disk.

    Args:
        recognizer: one whose `batch` is no smaller than any of `batches`.
        points: sizes of clouds.
        batches: clouds in a call.
        runs: calls to time for each pair, at least 1.
    """
    recognizer.warmup()
    with tempfile.TemporaryDirectory() as folder:
        for size in points:
            file = Path(folder) / f"{size}.pcd"
            _write(file, _cloud(size))
            for batch in batches:
                call = _call(recognizer, file, batch)
                call()
                times = np.array([call() for _ in range(runs)]) * 1000
                found = dict(zip(STAGES, _percentiles(times), strict=True))
                yield Row(size, batch, runs, found, 1000 * batch / found["whole"][0])


def _call(recognizer: Recognizer, file: Path, batch: int) -> Callable[[], list[float]]:
    def call() -> list[float]:
        start = time.perf_counter()
        clouds = [read_points(file).points for _ in range(batch)]
        read = time.perf_counter() - start
        spent = recognizer.classify_many(clouds)[0].timings
        return [read, spent.prepare, spent.encode, spent.score, read + spent.total]

    return call


def _percentiles(times: NDArray[np.float64]) -> Iterator[tuple[float, ...]]:
    """Of each column of (runs, stages)."""
    for column in np.percentile(times, PERCENTILES, axis=0).T:
        yield tuple(round(float(value), 3) for value in column)


def resident_megabytes() -> tuple[float, float] | None:
    """Memory of this process now and at its most; None where the system does not tell."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (ImportError, OSError):
        return None
    now = pages * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return now / 1e6, max(now, most) / 1e6  # the two are counted at different moments


def _cloud(points: int) -> NDArray[np.float32]:
    """(N, 3) float32 metres, z up: the surface of a box, with some noise."""
    rng = np.random.default_rng(0)
    cube = rng.uniform(-1, 1, (points, 3))
    cube /= np.abs(cube).max(axis=1, keepdims=True)
    cloud = cube * [0.2, 0.3, 0.4] + rng.normal(scale=0.002, size=cube.shape)
    return cloud.astype(np.float32)


def _write(file: Path, cloud: NDArray[np.float32]) -> None:
    header = (
        "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {len(cloud)}\nHEIGHT 1\nPOINTS {len(cloud)}\nDATA binary\n"
    )
    file.write_bytes(header.encode() + cloud.astype("<f4").tobytes())
