"""`cg3d-train teacher`."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import (
    chosen_device,
    device_option,
    training_options,
    use_threads,
)
from cg3d_training.cli.resume import chosen_run, read_recipe


@click.command("teacher")
@training_options("Folder of the run and of the model: config, log, state and weights.")
@device_option
def teacher_command(
    config: str | None, output: Path | None, overrides: tuple[str, ...], resume: str | None,
    log: tuple[str, ...], threads: int | None, device: str,
) -> None:  # fmt: skip
    """Train a CLIP on rendered pictures and captions, to teach with it.

    The output folder is then a teacher: `--set teacher.model=FOLDER --set teacher.weights=null`.

    \b
    Example:
      cg3d-train prepare meshes --names names.csv --size 64 -o shards
      cg3d-train teacher --config mini-cpu -o runs/teacher --set data.shards=shards
    """
    from cg3d_training.teachers.local import WEIGHTS
    from cg3d_training.teaching.config import TeachingConfig
    from cg3d_training.teaching.train import train_teacher

    use_threads(threads)
    given = read_recipe(TeachingConfig, config, overrides)
    recipe, folder, resuming = chosen_run(TeachingConfig, given, output, resume, WEIGHTS)
    record = train_teacher(recipe, folder, resuming, chosen_device(device), log)
    click.echo(
        f"{folder}: {recipe.model}, {record['objects']} objects of {record['labels']} names, "
        f"{record['epochs']} epochs, {record['seconds']} s"
    )
