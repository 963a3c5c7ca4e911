"""What --config, --output and --resume say together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from cg3d_training.runs.run import AnyConfig
    from cg3d_training.teaching.config import TeachingConfig

C = TypeVar("C", bound="AnyConfig | TeachingConfig")

#: `--resume` without a value: the run in --output.
HERE = ""
LATEST = "latest"


def read_recipe(kind: type[C], config: str | None, overrides: Sequence[str]) -> C | None:
    """The recipe of --config and --set; None where neither is given.

    Raises:
        click.UsageError: --set without --config.
        TrainingError: the recipe cannot be read.
    """
    from cg3d_training.config import load_config

    if config is not None:
        return load_config(kind, config, overrides)
    if overrides:
        raise click.UsageError("--set changes a recipe: give --config RECIPE too")
    return None


def chosen_run(
    kind: type[C], recipe: C | None, output: Path | None, resume: str | None,
    result: str = "checkpoint.safetensors",
) -> tuple[C, Path, bool]:  # fmt: skip
    """The recipe, the folder, and whether to go on with what is in it.

    Args:
        kind: of recipe.
        recipe: that --config and --set made; None where it is to be the resumed run's own.
        output: --output, or None.
        resume: None, `HERE`, `LATEST` or a folder.
        result: the file that a finished run has.

    Raises:
        click.UsageError: an option is missing, or --output and --resume name two folders.
        TrainingError: there is no such run.
    """
    from cg3d_training.runs.unfinished import newest_unfinished, read_run

    if resume not in (None, HERE, LATEST):
        folder = Path(str(resume))
        if output is not None and output != folder:
            raise click.UsageError(f"--resume {folder} and -o {output} are two folders; give one")
        output, resume = folder, HERE
    if output is None:
        raise click.UsageError("give the folder of the run: -o FOLDER, or --resume FOLDER")
    if resume is None:
        if recipe is None:
            raise click.UsageError("give the recipe: --config RECIPE")
        return recipe, output, False
    run = (
        newest_unfinished(output, kind, result, recipe)
        if resume == LATEST
        else read_run(output, kind)
    )
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        epochs = run.config.optimiser.epochs
        click.echo(f"going on with {run.folder}, {run.epochs} of {epochs} epochs done", err=True)
    return recipe or run.config, run.folder, True
