"""From a new process to the first name: import, load, classify.

    python benchmarks/first_answer.py [--bundle household-tiny] [--runs 7] [--json]

Each run is a fresh Python process; times are medians, memory is the largest peak.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import click

_RUN = """
import json, resource, sys, time
start = time.perf_counter()
import numpy
numpy_done = time.perf_counter()
from cg3d_sdk import Recognizer
imported = time.perf_counter()
recognizer = Recognizer(*sys.argv[1:])
loaded = time.perf_counter()
recognizer.classify(numpy.random.default_rng(0).random((20000, 3)))
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"import numpy": numpy_done - start, "import cg3d_sdk": imported - numpy_done,
                  "load": loaded - imported, "classify": end - loaded, "all": end - start,
                  "peak MB": peak}))
"""


@click.command()
@click.option("--bundle", help="Default: the shipped one.")
@click.option("--runs", default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(bundle: str | None, runs: int, as_json: bool) -> None:
    """Time the first answer."""
    results = []
    with click.progressbar(range(runs), label="fresh processes", file=sys.stderr) as bar:
        for _ in bar:
            command = [sys.executable, "-c", _RUN, *filter(None, [bundle])]
            out = subprocess.run(command, capture_output=True, check=True)
            results.append(json.loads(out.stdout))
    peak = max(r["peak MB"] for r in results)
    seconds = {k: statistics.median(r[k] for r in results) for k in results[0] if k != "peak MB"}
    if as_json:
        click.echo(json.dumps({"seconds": seconds, "peak_mb": peak}))
        return
    click.echo("| stage | s |\n|---|---|")
    for stage, value in seconds.items():
        click.echo(f"| {stage} | {value:.3f} |")
    click.echo(f"\npeak resident memory: {peak:.0f} MB")


if __name__ == "__main__":
    main()
