"""`cg3d-train calibrate-scenes`: from which score on a thing counts as found in a scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cg3d_training.cli.options import json_option

if TYPE_CHECKING:
    from cg3d_training.unknown.scenes import Rates


@click.command("calibrate-scenes")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Where the bundle with its threshold goes; may be BUNDLE itself.",
)  # fmt: skip
@click.option(
    "--flats", default=40, show_default=True, type=click.IntRange(4), help="How many to ask."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the flats.")
@json_option("What was measured as JSON.")
def calibrate_scenes_command(
    bundle: Path, output: Path, flats: int, seed: int, as_json: bool
) -> None:
    """Choose when `SceneAnswer.found` is true, and write the BUNDLE with it.

    Flats of generated furniture are asked for what is in them and for what is not; half of them are
    seen through a simulated depth camera. Needs no data; some seconds for a flat.

    \b
    Example:
      cg3d-train calibrate-scenes runs/bundle -o runs/bundle
    """
    from cg3d_runtime.bundle import Bundle
    from cg3d_runtime.bundle.writer import check_replaceable
    from cg3d_training.unknown.scenes import calibrate_scenes, write_scenes

    check_replaceable(output)  # before minutes of work
    found = calibrate_scenes(bundle, flats, seed)
    write_scenes(Bundle.open(bundle), found, output)
    if as_json:
        click.echo(
            json.dumps({"found": found.found, "growth": found.growth, **found.record()}, indent=1)
        )
        return
    click.echo(
        f"{output}: a thing counts as found from {found.found:g} * (candidates / 100) ** "
        f"{found.growth:g} on ({found.said})"
    )
    click.echo(_line("where it was chosen", found.chosen_on))
    click.echo(_line("elsewhere", found.reported_on))


def _line(where: str, rates: Rates) -> str:
    return (
        f"  {where}: keeps {rates.hits_kept:.0%} of {rates.hits} hits ({rates.present} names "
        f"were there), turns down {rates.absent_told:.0%} of {rates.absent} absent names"
    )
