"""`cg3d-train pretrain`."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import (
    chosen_device,
    cpu_device_option,
    say,
    training_options,
    use_threads,
)
from cg3d_training.cli.resume import chosen_run, read_recipe


@click.command("pretrain")
@training_options("Folder of the run: config, log, state and checkpoint.")
@cpu_device_option
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps the samples drawn of each object for the next run.",
)
def pretrain_command(
    config: str | None, output: Path | None, overrides: tuple[str, ...], resume: str | None,
    log: tuple[str, ...], threads: int | None, device: str, cache: Path | None,
) -> None:  # fmt: skip
    """Train a 3D encoder against frozen CLIP text vectors (paper, eq. 5).

    \b
    Examples:
      cg3d-train pretrain --config household-small -o runs/small
      cg3d-train pretrain --config household-small -o runs/try --set optimiser.epochs=5 \\
        --set data.validation=0.15
      cg3d-train pretrain --resume runs/small
      cg3d-train pretrain -o runs --resume latest
    """
    from cg3d_training.config import PretrainConfig
    from cg3d_training.pretrain import pretrain

    use_threads(threads)
    given = read_recipe(PretrainConfig, config, overrides)
    recipe, folder, resuming = chosen_run(PretrainConfig, given, output, resume)
    checkpoint = pretrain(recipe, folder, resuming, log, chosen_device(device), cache)
    say(
        f"{folder / 'checkpoint.safetensors'}: {checkpoint.spec.architecture}, "
        f"{checkpoint.record['objects']} objects, {checkpoint.record['epochs']} epochs, "
        f"{checkpoint.record['seconds']} s"
    )
