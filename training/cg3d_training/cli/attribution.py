"""`cg3d-train attribution`: credits for what a recipe trains on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("attribution")
@click.option("--config", required=True, metavar="RECIPE", help="A YAML file or a recipe's name.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Markdown file to write.",
)  # fmt: skip
def attribution_command(config: str, overrides: tuple[str, ...], output: Path) -> None:
    """Write the credits of every object that a recipe trains on, to ship with the weights.

    \b
    Example:
      cg3d-train attribution --config household-small -o ATTRIBUTION.md
    """
    from cg3d_runtime.bundle.folders import replace_file
    from cg3d_training.attribution import attribution
    from cg3d_training.config import PretrainConfig, load_config
    from cg3d_training.data.training_data import training_data

    objects = training_data(load_config(PretrainConfig, config, overrides)).train.objects
    replace_file(output, attribution(objects).encode())
    click.echo(f"{output}: {len(objects)} objects")
