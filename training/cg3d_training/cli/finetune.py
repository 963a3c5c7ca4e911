"""`cg3d-train finetune`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("finetune")
@click.option("--config", required=True, metavar="RECIPE", help="A YAML file or a recipe's name.")
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the runs, one a seed, and their results.",
)  # fmt: skip
@click.option(
    "--from", "start", metavar="CHECKPOINT",
    help="Weights to begin with, of `pretrain` or `import`; without it the recipe's `start`, or "
    "scratch.",
)  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--resume", is_flag=True, help="Go on where the folder's runs left off.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: all cores.")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]),
    help="auto: a GPU if there is one.",
)  # fmt: skip
def finetune_command(
    config: str, output: Path, start: str | None, overrides: tuple[str, ...], resume: bool,
    threads: int | None, device: str,
) -> None:  # fmt: skip
    """Train a point cloud classifier from CG3D weights or from scratch, and test it.

    \b
    Examples:
      cg3d-train finetune --config household-small -o runs/scratch
      cg3d-train finetune --config household-small -o runs/cg3d \\
        --from models/household-small/checkpoint.safetensors --set data.share=0.1
      cg3d-train finetune --config paper-point-mlp -o runs/mlp --from pointmlp_8k.safetensors
    """
    import dataclasses

    import torch

    from cg3d_runtime.errors import TrainingError
    from cg3d_training.config import FinetuneConfig, load_config
    from cg3d_training.finetune import finetune
    from cg3d_training.finetune_report import seed_table

    if threads:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("torch sees no GPU here; use --device cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = load_config(FinetuneConfig, config, overrides)
    if start:
        recipe = dataclasses.replace(recipe, start=start)
    result = finetune(recipe, output, resume, device)
    click.echo(seed_table(result))
    click.echo(f"{output / 'report.md'}: by class, and the confusion matrix")
