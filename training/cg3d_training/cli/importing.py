"""`cg3d-train import`: official checkpoints to ours."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Checkpoint to write (.safetensors).",
)  # fmt: skip
@click.option(
    "--logit-scale", type=click.FloatRange(min=0, min_open=True), default=100.0, show_default=True,
    help="Factor of the cosines in scores. 100 is CLIP's usual value: the official files do not "
    "hold SLIP's.",
)  # fmt: skip
def import_command(file: Path, output: Path, logit_scale: float) -> None:
    """Convert FILE, a .pth checkpoint of the official CG3D, pre-trained or fine-tuned.

    Nothing in FILE is run: a file that holds more than tensors and options is refused.

    \b
    Example:
      cg3d-train import pointmlp_8k.pth -o runs/pointmlp_8k.safetensors
    """
    from cg3d_training.checkpoint import save_checkpoint
    from cg3d_training.importing import import_official

    checkpoint = import_official(file, logit_scale)
    save_checkpoint(output, checkpoint)
    weights = sum(tensor.numel() for tensor in checkpoint.state_dict.values())
    layout = checkpoint.record["imported"]["layout"]
    click.echo(f"{output}: {checkpoint.spec.architecture}, {layout}, {weights:,} numbers")
