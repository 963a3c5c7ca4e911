"""`cg3d-train doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import json_option


@click.command("doctor")
@click.option(
    "--data", multiple=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="A folder to train on: is it there, and what is in it? May be given again.",
)  # fmt: skip
@json_option("All findings as JSON.")
def doctor_command(data: tuple[Path, ...], as_json: bool) -> None:
    """Say what this machine has for training, and how to get what it lacks.

    Needs no network. Exit status 1 if something is missing that every run needs, or a --data
    folder is.

    \b
    Examples:
      cg3d-train doctor
      cg3d-train doctor --data ../shared/data/household --data shards
    """
    from cg3d_sdk.doctor.finding import as_json as listed
    from cg3d_sdk.doctor.finding import as_lines, healthy
    from cg3d_training.doctor import examine

    findings = examine(data)
    click.echo(listed(findings) if as_json else "\n".join(as_lines(findings)))
    if not healthy(findings):
        raise click.exceptions.Exit(1)
