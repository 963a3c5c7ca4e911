"""`cg3d bench`: latency by stage and memory, of this machine and bundle."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cg3d_runtime.errors import InputError
from cg3d_sdk.cli.options import bundle_argument, engine_option, json_option

if TYPE_CHECKING:
    from cg3d_runtime.engines.choose import EngineChoice
    from cg3d_sdk.bench import Row
    from cg3d_sdk.recognizer import Recognizer


@click.command("bench", short_help="Time a bundle on this machine, stage by stage.")
@bundle_argument
@engine_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU threads of the engine; by default every core.",
)
@click.option(
    "--points", "sizes", default="2048,20000", show_default=True, metavar="N,...",
    help="Points of a cloud.",
)  # fmt: skip
@click.option(
    "--batch", "batches", default="1,8", show_default=True, metavar="N,...",
    help="Clouds in a call.",
)  # fmt: skip
@click.option(
    "--runs", default=100, show_default=True, type=click.IntRange(min=1), metavar="N",
    help="Calls to time.",
)  # fmt: skip
@json_option
def bench_command(
    bundle: Path | None,
    engine: EngineChoice,
    threads: int | None,
    sizes: str,
    batches: str,
    runs: int,
    as_json: bool,
) -> None:
    """Time BUNDLE (by default the one that ships) on this machine, and print a table to paste.

    Each cell is milliseconds at the 50th, 90th and 99th percentile of a call: reading the clouds
    from files, preparing them, the encoder, the words.

    \b
    Examples:
      cg3d bench
      cg3d bench my_bundle --engine tensorrt --batch 1,8,64
      cg3d bench --threads 1 --points 20000 --batch 1 --json
    """
    from cg3d_sdk.bench import bench, resident_megabytes
    from cg3d_sdk.recognizer import Recognizer

    points, clouds = _numbers(sizes, "--points", 8), _numbers(batches, "--batch", 1)
    recognizer = Recognizer(bundle, engine=engine, threads=threads, batch=max(clouds))
    rows = []
    with click.progressbar(
        length=len(points) * len(clouds), label="Timing", file=sys.stderr
    ) as progress:
        for row in bench(recognizer, points, clouds, runs):
            rows.append(row)
            progress.update(1)
    facts = {**_facts(recognizer, threads), "resident_mb": resident_megabytes()}
    if as_json:
        document = {**facts, "rows": [dataclasses.asdict(row) for row in rows]}
        click.echo(json.dumps(document, indent=1))
        return
    click.echo("\n".join(_table(facts, rows)))


def _facts(recognizer: Recognizer, threads: int | None) -> dict[str, Any]:
    """What a number is worth nothing without."""
    import platform

    import numpy as np

    from cg3d_runtime.cores import usable_cores
    from cg3d_sdk.doctor.machine import (
        board,
        jetson_linux,
        load,
        power_mode,
        processor,
    )
    from cg3d_sdk.version import __version__

    return {
        "board": board(),
        "processor": processor(),
        "cores": usable_cores(),
        "jetson_linux": jetson_linux(),
        "power_mode": power_mode(),
        "load_average": load(),
        "bundle": recognizer.bundle.manifest.name,
        "precision": recognizer.bundle.manifest.encoder.precision,
        "engine": recognizer.engine,
        "threads": threads,
        "cg3d_sdk": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _table(facts: Mapping[str, Any], rows: list[Row]) -> Iterator[str]:
    """Markdown: what was measured, then a line for each size."""
    from cg3d_sdk.bench import STAGES

    where = [facts["board"], facts["processor"], f"{facts['cores']} cores"]
    where += [facts["jetson_linux"] and f"Jetson Linux {facts['jetson_linux']}"]
    where += [facts["power_mode"] or "power mode not readable"]
    where += [facts["load_average"] is not None and f"load {facts['load_average']:.1f}"]
    threads = facts["threads"] or "all"
    what = [
        f"{facts['bundle']} ({facts['precision']})",
        facts["engine"],
        f"threads {threads}",
        f"cg3d-sdk {facts['cg3d_sdk']}",
        f"numpy {facts['numpy']}",
        f"Python {facts['python']}",
    ]
    yield ", ".join(str(part) for part in where if part) + "; " + ", ".join(what) + "."
    if facts["resident_mb"] is not None:
        now, most = facts["resident_mb"]
        yield f"Resident memory {now:.0f} MB, at most {most:.0f} MB."
    yield ""
    yield f"| points | clouds in a call | {' | '.join(STAGES)} | clouds/s |"
    yield "|---" * (len(STAGES) + 3) + "|"
    for row in rows:
        cells = [" / ".join(_ms(v) for v in row.milliseconds[stage]) for stage in STAGES]
        yield (
            f"| {row.points:,} | {row.batch} | {' | '.join(cells)} | {row.clouds_per_second:.0f} |"
        )


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _numbers(text: str, option: str, least: int) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"{option} {text!r} should be numbers with commas between") from error
    if min(numbers) < least:
        raise InputError(f"{option} {text!r}: every number should be at least {least}")
    return numbers
