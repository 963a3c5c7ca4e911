"""`cg3d-train pretrain`."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import training_options, use_threads


@click.command("pretrain")
@training_options("Folder of the run: config, log, state and checkpoint.")
def pretrain_command(
    config: str, output: Path, overrides: tuple[str, ...], resume: bool, log: tuple[str, ...],
    threads: int | None,
) -> None:  # fmt: skip
    """Train a 3D encoder against frozen CLIP text vectors (paper, eq. 5).

    \b
    Examples:
      cg3d-train pretrain --config household-small -o runs/small
      cg3d-train pretrain --config household-small -o runs/try --set optimiser.epochs=5 \\
        --set data.validation=0.15
      cg3d-train pretrain --config household-small -o runs/small --resume
    """
    from cg3d_training.config import PretrainConfig, load_config
    from cg3d_training.pretrain import pretrain

    use_threads(threads)
    checkpoint = pretrain(load_config(PretrainConfig, config, overrides), output, resume, log)
    click.echo(
        f"{output / 'checkpoint.safetensors'}: {checkpoint.spec.architecture}, "
        f"{checkpoint.record['objects']} objects, {checkpoint.record['epochs']} epochs, "
        f"{checkpoint.record['seconds']} s"
    )
