"""Where the time of one classification goes, stage by stage.

    python benchmarks/stages.py [--points 20000] [--threads 1] [--json]

The baseline of furthest point sampling is the loop one finds everywhere: an (N, 3) array, a fresh
difference and a norm at every step. Medians over repeated calls, in milliseconds. `cg3d
bench` times the stages of a call as a user sees them; this looks into them.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import click
import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.engines.choose import open_part
from cg3d_runtime.points import (
    as_points,
    furthest_point_order,
    prepare,
    thin,
    unit_sphere,
    upright,
)
from cg3d_sdk import Recognizer


def plain_sampling(xyz: NDArray[np.float32], m: int) -> NDArray[np.int64]:
    """Furthest point sampling as it is usually written."""
    chosen = np.zeros(m, np.int64)
    nearest = np.full(len(xyz), np.inf)
    for i in range(1, m):
        nearest = np.minimum(nearest, ((xyz - xyz[chosen[i - 1]]) ** 2).sum(axis=1))
        chosen[i] = nearest.argmax()
    return chosen


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


@click.command()
@click.option("--bundle", help="Default: the shipped one.")
@click.option("--points", default=20_000, show_default=True, help="Points of the cloud.")
@click.option("--threads", default=1, show_default=True)
@click.option("--repeats", default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(bundle: str | None, points: int, threads: int, repeats: int, as_json: bool) -> None:
    """Time each stage of Recognizer.classify."""
    recognizer = Recognizer(bundle, engine="cpu", threads=threads)
    spec = recognizer.bundle.manifest.preprocess
    cloud = np.random.default_rng(0).normal(size=(points, 3)).astype(np.float32)
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)

    thinned = thin(cloud, spec.candidates)
    sphere = unit_sphere(upright(thinned, "z")).xyz
    prepared = prepare(cloud, spec).cloud[None]
    embedding = recognizer.embed(cloud)
    encoder = open_part(recognizer.bundle, "encoder", "cpu", threads).engine
    stages: dict[str, Callable[[], object]] = {
        "as_points": lambda: as_points(cloud),
        f"thin to {spec.candidates}": lambda: thin(cloud, spec.candidates),
        "upright, unit_sphere": lambda: unit_sphere(upright(thinned, "z")),
        f"furthest_point_order {spec.points}": lambda: furthest_point_order(sphere, spec.points),
        "encoder": lambda: encoder.run({"points": prepared}),
        f"score {len(recognizer.labels)} labels": lambda: recognizer.bank.score(embedding),
        "classify, the whole": lambda: recognizer.classify(cloud),
        f"baseline: plain sampling {spec.points}": lambda: plain_sampling(sphere, spec.points),
    }
    found = {name: median_ms(call, repeats) for name, call in stages.items()}
    if as_json:
        click.echo(json.dumps({"points": points, "threads": threads, "ms": found}))
        return
    whole = found["classify, the whole"]
    click.echo(f"| stage ({points} points, {threads} thread) | ms | share of the whole |")
    click.echo("|---|---|---|")
    for name, ms in found.items():
        click.echo(f"| {name} | {ms:.2f} | {ms / whole:.0%} |")


if __name__ == "__main__":
    main()
