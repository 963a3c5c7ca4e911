"""`cg3d`: help that helps, quickly, and errors in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cg3d_runtime.errors import InputError
from cg3d_sdk import __version__
from cg3d_sdk.cli.main import main
from cg3d_sdk.cli.verbs import LazyVerbs


def test_help_names_every_verb_and_shows_examples() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    verbs = main.list_commands(click.Context(main))
    assert len(verbs) > 5
    for verb in verbs:
        assert f"\n  {verb}" in result.output
    for verb in [[v] for v in verbs] + [["index", "build"], ["index", "search"]]:
        verbs_help = CliRunner().invoke(main, [*verb, "-h"])
        assert verbs_help.exit_code == 0
        assert f"    cg3d {' '.join(verb)} " in verbs_help.output.split("Example")[1]
        assert " RANGE" not in verbs_help.output


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"cg3d, version {__version__}\n"


def test_it_runs_as_a_module() -> None:
    arguments = [sys.executable, "-m", "cg3d_sdk", "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: cg3d [OPTIONS]")


def test_an_unknown_verb() -> None:
    result = CliRunner().invoke(main, ["clasify"])
    assert result.exit_code == 2
    assert "clasify" in result.output
    assert "Did you mean 'classify'?" in result.output
    assert "Did you mean" not in CliRunner().invoke(main, ["zzz"]).output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cg3d_sdk.cli.main import main\n"
        "assert CliRunner().invoke(main, ['classify', '--help']).exit_code == 0\n"
        "print(sorted({'numpy', 'onnxruntime', 'trimesh', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _bar() -> Iterator[int]:
    try:
        yield 1
    finally:
        click.echo("the bar is closed", err=True)


@click.command()
def _fails_at_work() -> None:
    for _ in _bar():
        raise InputError("it cannot be read")


def test_an_error_is_shown_after_what_it_leaves_open() -> None:
    verbs = LazyVerbs(verbs={"fail": (__name__, "_fails_at_work")})
    result = CliRunner().invoke(verbs, ["fail"])
    assert result.exit_code == 1
    assert result.stderr == "the bar is closed\nError: it cannot be read\n"


@pytest.mark.parametrize(
    "verb", [["info"], ["classify", "a.npy", "--bundle"], ["demo", "--bundle"]]
)
def test_a_missing_bundle_is_one_line(verb: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*verb, str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "nowhere" in result.stderr
    assert len(result.stderr.splitlines()) == 1
