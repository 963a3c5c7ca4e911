"""Classify and query at full speed from several threads for as long as you like.

    python benchmarks/soak.py --minutes 60 -o benchmarks/soak.json

Inputs are random: clouds of 8 to 20,000 points in several types, with missing rows, alone and in
lists; small scenes with questions; and inputs that are wrong. Each follows from a number. One
thread alone answers all of them first; then the threads draw numbers at random, and every answer or
error has to be that one, to the last bit. Resident memory is read once a second. After a warm-up of
a tenth of the time, its median over the last fifth is held against that over the first.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from cg3d_sdk import Cg3dError, Classification, Recognizer, SceneAnswer, __version__

QUESTIONS = (
    "where is the chair?", "table", "a photo of a mug", "where can I sit down?", "bottle",
    "flux capacitor", "", "the sofa",
)  # fmt: skip

#: Kind of input -> how often, of 100.
KINDS = {"classify": 66, "classify many": 8, "query": 6, "bad": 20}


def make(number: int) -> tuple[str, Callable[[Recognizer], object]]:
    """The input of a number, as its kind and a call."""
    rng = np.random.default_rng(number)
    kind = str(rng.choice(list(KINDS), p=np.array(list(KINDS.values())) / 100))
    if kind == "classify":
        cloud, up = _cloud(rng), "zy"[int(rng.integers(2))]
        return kind, lambda r: r.classify(cloud, up=up)  # type: ignore[arg-type]
    if kind == "classify many":
        clouds = [_cloud(rng) for _ in range(rng.integers(2, 12))]
        return kind, lambda r: r.classify_many(clouds)
    if kind == "query":
        scene, text = _scene(rng), QUESTIONS[rng.integers(len(QUESTIONS))]
        return kind, lambda r: r.query(scene, text)
    points: Any = (
        np.empty((0, 3)), np.full((int(rng.integers(1, 5000)), 3), np.nan), np.zeros((99, 2)),
        np.ones((int(rng.integers(1, 5000)), 3)), np.array(["x"]), None,
        _cloud(rng).astype("f8") * 1e12, [[1, 2, 3]], rng.random((50, 3)).astype(complex), {"x": 1},
    )[rng.integers(10)]  # fmt: skip
    return kind, lambda r: r.classify(points)


def _cloud(rng: np.random.Generator) -> NDArray[Any]:
    n = int(2 ** rng.uniform(3, 14.3))
    shape = rng.normal(size=(n, 3)) if rng.random() < 0.5 else rng.uniform(-1, 1, (n, 3))
    if rng.random() < 0.5:
        shape /= np.abs(shape).max(axis=1, keepdims=True)  # the surface of a box
    shape = shape * rng.uniform(0.05, 3, 3) + rng.uniform(-50, 50, 3)
    cloud: NDArray[Any] = shape.astype(rng.choice(["f4", "f8", "f2"], p=[0.7, 0.25, 0.05]))
    if rng.random() < 0.3:
        cloud[rng.random(n) < 0.2] = np.nan
    if rng.random() < 0.2:
        cloud = np.hstack([cloud, rng.random((n, 2)).astype(cloud.dtype)])
    return np.asfortranarray(cloud) if rng.random() < 0.2 else cloud


def _scene(rng: np.random.Generator) -> NDArray[np.float32]:
    parts = [rng.uniform((-2, -2, 0), (2, 2, 0.005), (2500, 3))]  # a floor
    for _ in range(rng.integers(1, 4)):
        box = rng.uniform(-1, 1, (700, 3))
        box /= np.abs(box).max(axis=1, keepdims=True)
        size = rng.uniform(0.1, 0.5, 3)
        foot = np.array([*rng.uniform(-1.5, 1.5, 2), 0.02 + size[2]])
        parts.append(box * size + foot)
    return np.concatenate(parts).astype(np.float32)


def answer_of(call: Callable[[Recognizer], object], recognizer: Recognizer) -> str:
    """What came of a call, in few bytes: equal if and only if every bit of the answers is."""
    try:
        answer = call(recognizer)
    except Cg3dError as error:
        return f"{type(error).__name__}: {error}"
    digest = hashlib.blake2b(digest_size=16)
    for one in answer if isinstance(answer, list) else [answer]:
        if isinstance(one, Classification):
            best = [(r.label, r.score) for r in one.ranking[:5]]
            digest.update(repr((one.label, one.score, one.dropped, best)).encode())
            digest.update(one.embedding.tobytes())
        elif isinstance(one, SceneAnswer):
            digest.update(repr((one.asked, one.found)).encode())
            for region in one.regions:
                digest.update(region.indices.tobytes())
                digest.update(repr((region.score, region.ranking, region.way)).encode())
    return digest.hexdigest()


def resident() -> int:
    """Bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Tally:
    """What the threads have seen; every thread has one of its own."""

    calls: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, number: int, kind: str, answer: str, expected: str) -> None:
        """Count one call."""
        self.calls[kind] += 1
        if ": " in answer:
            self.errors[answer.split(":", 1)[0]] += 1
        if answer != expected:
            self.wrong.append(f"{kind} {number}: {answer}, alone {expected}")


def soak(
    recognizer: Recognizer, expected: Mapping[int, str], threads: int, seconds: float
) -> tuple[list[Tally], list[int]]:
    """Ask from several threads; also gives the resident memory of every second, bytes."""
    end = time.monotonic() + seconds
    numbers = sorted(expected)

    def work(tally: Tally, draw: random.Random) -> None:
        while time.monotonic() < end:
            number = draw.choice(numbers)
            kind, call = make(number)
            try:
                answer = answer_of(call, recognizer)
            except Exception as error:  # noqa: BLE001 - the finding that this script is for
                answer = f"not a Cg3dError: {error!r}"
            tally.note(number, kind, answer, expected[number])

    tallies = [Tally() for _ in range(threads)]
    workers = [
        threading.Thread(target=work, args=(tally, random.Random(i)))
        for i, tally in enumerate(tallies)
    ]
    memory = []
    for worker in workers:
        worker.start()
    while time.monotonic() < end:
        memory.append(resident())
        time.sleep(min(1.0, max(0.01, end - time.monotonic())))
    for worker in workers:
        worker.join()
    return tallies, memory


def growth(memory: Sequence[int]) -> tuple[float, float]:
    """Medians of the first and of the last fifth after the warm-up, bytes."""
    warm = memory[len(memory) // 10 :]
    fifth = max(1, len(warm) // 5)
    return statistics.median(warm[:fifth]), statistics.median(warm[-fifth:])


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--threads", default=4, show_default=True, help="Threads that ask.")
@click.option("--inputs", default=2000, show_default=True, help="Different inputs.")
@click.option("--bundle", help="Default: the shipped one.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the result as JSON.")
def main(
    minutes: float, threads: int, inputs: int, bundle: str | None, output: Path | None
) -> None:
    """Soak a Recognizer, and say what came of it."""
    recognizer = Recognizer(bundle, engine="cpu", threads=1)
    with click.progressbar(range(inputs), label="One thread alone") as bar:
        expected = {number: answer_of(make(number)[1], recognizer) for number in bar}
    recognizer.warmup(at_once=threads)
    began, load = time.strftime("%Y-%m-%dT%H:%M:%S%z"), os.getloadavg()
    worked = time.process_time()
    tallies, memory = soak(recognizer, expected, threads, 60 * minutes)
    worked = time.process_time() - worked
    first, last = growth(memory)
    calls = sum((tally.calls for tally in tallies), Counter())
    wrong = [line for tally in tallies for line in tally.wrong]
    result = {
        "began": began,
        "minutes": minutes,
        "threads": threads,
        "engine": recognizer.engine,
        "versions": {"cg3d_sdk": __version__, "numpy": np.__version__},
        "cores": len(os.sched_getaffinity(0)),
        "cpu_minutes": round(worked / 60, 1),
        "load_average": {"before": load, "after": os.getloadavg()},
        "different_inputs": inputs,
        "calls": dict(calls),
        "errors": dict(sum((tally.errors for tally in tallies), Counter())),
        "wrong": len(wrong),
        "wrong_examples": wrong[:10],
        "resident_mb": {
            "first_fifth": round(first / 1e6, 1),
            "last_fifth": round(last / 1e6, 1),
            "growth_percent": round(100 * (last / first - 1), 2),
            "largest": round(max(memory) / 1e6, 1),
            "every_sixtieth_reading": [round(m / 1e6, 1) for m in memory[::60]],
        },
        "threads_of_the_process": len(list(Path("/proc/self/task").iterdir())),
    }
    text = json.dumps(result, indent=1)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    click.echo(text)
    if wrong or last > 1.02 * first:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
