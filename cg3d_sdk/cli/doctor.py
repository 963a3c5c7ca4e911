"""`cg3d doctor`: what this machine has, what a bundle needs, and the line that mends each gap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cg3d_sdk.cli.options import bundle_argument, engine_option, json_option

if TYPE_CHECKING:
    from cg3d_runtime.engines.choose import EngineChoice


@click.command("doctor", short_help="Say what this machine has, and what will run.")
@bundle_argument
@engine_option
@json_option
def doctor_command(bundle: Path | None, engine: EngineChoice, as_json: bool) -> None:
    """Say what this machine has, what BUNDLE needs (by default the one that ships), what will run
    it, and the command for every gap.

    Every provider of ONNX Runtime runs a tiny network in a process of its own. Needs no network.
    Exit status 1 if the bundle does not run.

    \b
    Examples:
      cg3d doctor
      cg3d doctor my_bundle --engine tensorrt
      cg3d doctor --json
    """
    from cg3d_sdk.cli.output import plain
    from cg3d_sdk.doctor.examine import examine
    from cg3d_sdk.doctor.finding import as_json as listed
    from cg3d_sdk.doctor.finding import as_lines, healthy
    from cg3d_sdk.shipped import bundle_folder

    findings = list(examine(bundle_folder(bundle), engine))
    click.echo(listed(findings) if as_json else "\n".join(map(plain, as_lines(findings))))
    if not healthy(findings):
        raise click.exceptions.Exit(1)
