"""`cg3d-train doctor`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click


@click.command("doctor")
@click.option(
    "--data", multiple=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="A folder to train on: is it there, and what is in it? May be given again.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="All findings as JSON.")
def doctor_command(data: tuple[Path, ...], as_json: bool) -> None:
    """Say what this machine has for training, and how to get what it lacks.

    Needs no network. Exit status 1 if something is missing that every run needs, or a --data
    folder is.

    \b
    Examples:
      cg3d-train doctor
      cg3d-train doctor --data ../shared/data/household --data shards
    """
    from cg3d_training.doctor import examine

    findings = examine(data)
    bad = any(finding.required and not finding.ok for finding in findings)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            state = "ok     " if finding.ok else "MISSING" if finding.required else "-      "
            fix = f" -> {finding.fix}" if finding.fix else ""
            click.echo(f"{state} {finding.name:{width}}  {finding.found}{fix}")
    if bad:
        raise click.exceptions.Exit(1)
