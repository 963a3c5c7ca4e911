"""`cg3d-train pretrain`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("pretrain")
@click.option("--config", required=True, metavar="RECIPE", help="A YAML file or a recipe's name.")
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run: config, log, state and checkpoint.",
)  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--resume", is_flag=True, help="Go on where the folder's state left off.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: all cores.")
def pretrain_command(
    config: str, output: Path, overrides: tuple[str, ...], resume: bool, threads: int | None
) -> None:
    """Train a 3D encoder against frozen CLIP text vectors (paper, eq. 5).

    \b
    Examples:
      cg3d-train pretrain --config household-small -o runs/small
      cg3d-train pretrain --config household-small -o runs/try --set optimiser.epochs=5 \\
        --set data.validation=0.15
      cg3d-train pretrain --config household-small -o runs/small --resume
    """
    import torch

    from cg3d_training.config import PretrainConfig, load_config
    from cg3d_training.pretrain import pretrain

    if threads:
        torch.set_num_threads(threads)
    checkpoint = pretrain(load_config(PretrainConfig, config, overrides), output, resume)
    click.echo(
        f"{output / 'checkpoint.safetensors'}: {checkpoint.spec.architecture}, "
        f"{checkpoint.record['objects']} objects, {checkpoint.record['epochs']} epochs, "
        f"{checkpoint.record['seconds']} s"
    )
