"""`cg3d bench`: what it says is what was timed, and it says where."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_sdk import Recognizer
from cg3d_sdk.bench import STAGES, bench
from cg3d_sdk.cli.main import main

SMALL = ["bench", "--threads", "1", "--engine", "cpu", "--runs", "2", "--points", "300,9000"]


def test_every_size_has_its_row() -> None:
    result = CliRunner().invoke(main, [*SMALL, "--batch", "1,3", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(r["points"], r["batch"]) for r in found["rows"]] == [
        (300, 1), (300, 3), (9000, 1), (9000, 3),
    ]  # fmt: skip
    assert (found["threads"], found["python"]) == (1, platform.python_version())
    assert "(CPU)" in found["engine"]
    assert 50 < found["resident_mb"][0] <= found["resident_mb"][1] < 9000


def test_the_percentiles_are_of_the_calls() -> None:
    recognizer = Recognizer(engine="cpu", threads=1)
    (row,) = bench(recognizer, [400], [2], runs=3)
    assert set(row.milliseconds) == set(STAGES)
    for half, ninety, most in row.milliseconds.values():
        assert 0 < half <= ninety <= most
    assert row.milliseconds["whole"][0] >= row.milliseconds["encode"][0]
    assert row.clouds_per_second == pytest.approx(2000 / row.milliseconds["whole"][0])


def test_the_table_is_markdown() -> None:
    result = CliRunner().invoke(main, [*SMALL[:-1], "300", "--batch", "1"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.strip().splitlines()
    assert f"numpy {np.__version__}" in lines[0]
    assert "household-small (fp16)" in lines[0]
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {len(STAGES) + 4}
    assert table[2].startswith("| 300 | 1 | ")


@pytest.mark.parametrize(
    ("option", "value"), [("--points", "7"), ("--batch", "0"), ("--batch", "a")]
)
def test_sizes_that_cannot_be(option: str, value: str) -> None:
    result = CliRunner().invoke(main, ["bench", option, value])
    assert result.exit_code == 1
    assert f"Error: {option} '{value}'" in result.output


def test_memory_is_that_of_the_process() -> None:
    """In a process of its own: in this one, memory that tests gave back is used again."""
    script = """
import numpy as np
from cg3d_sdk.bench import resident_megabytes
before = resident_megabytes()
ballast = np.ones(50_000_000, np.uint8)
after = resident_megabytes()
print(0 if before is None or after is None else after[0] - before[0])
"""
    grown = float(subprocess.check_output([sys.executable, "-c", script], text=True))
    if not grown:
        pytest.skip("the system does not tell")
    assert 40 < grown < 60
