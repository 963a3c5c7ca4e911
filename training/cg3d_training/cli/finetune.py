"""`cg3d-train finetune`."""

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


@click.command("finetune")
@training_options("Folder for the runs, one a seed, and their results.")
@click.option(
    "--from", "start", metavar="CHECKPOINT",
    help="Weights to begin with, of `pretrain` or `import`; without it the recipe's `start`, or "
    "scratch.",
)  # fmt: skip
@device_option
def finetune_command(
    config: str | None, output: Path | None, start: str | None, overrides: tuple[str, ...],
    resume: str | None,    log: tuple[str, ...], threads: int | None, device: str,
) -> None:  # fmt: skip
    """Train a point cloud classifier from CG3D weights or from scratch, and test it.

    \b
    Examples:
      cg3d-train finetune --config household-small -o runs/scratch
      cg3d-train finetune --config household-tiny -o runs/cg3d \\
        --from models/household-tiny/checkpoint.safetensors --set data.share=0.1
      cg3d-train finetune --config paper-point-mlp -o runs/mlp --from pointmlp_8k.safetensors
    """
    import dataclasses

    from cg3d_training.finetuning.config import FinetuneConfig
    from cg3d_training.finetuning.finetune import RESULTS, finetune
    from cg3d_training.finetuning.report import seed_table

    use_threads(threads)
    given = read_recipe(FinetuneConfig, config, overrides)
    if start:
        if given is None:
            raise click.UsageError("--from changes a recipe: give --config RECIPE too")
        given = dataclasses.replace(given, start=start)
    recipe, folder, resuming = chosen_run(FinetuneConfig, given, output, resume, RESULTS)
    result = finetune(recipe, folder, resuming, chosen_device(device), log)
    click.echo(seed_table(result))
    click.echo(f"{folder / 'report.md'}: by class, and the confusion matrix")
