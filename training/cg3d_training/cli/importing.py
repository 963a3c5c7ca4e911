"""`cg3d-train import`: checkpoints of the official CG3D and of other projects to ours."""

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
    "--logit-scale", type=click.FloatRange(min=0, min_open=True),
    help="Factor of the cosines in scores; by default what the file says, else 100, CLIP's usual "
    "value: the files of the official CG3D do not hold SLIP's.",
)  # fmt: skip
def import_command(file: Path, output: Path, logit_scale: float | None) -> None:
    """Convert FILE, a checkpoint of the official CG3D (pre-trained or fine-tuned), of ULIP, ULIP-2,
    OpenShape (Point-BERT) or Uni3D.

    Nothing in FILE is run: a file that holds more than tensors and options is refused.

    \b
    Examples:
      cg3d-train import pointmlp_8k.pth -o runs/pointmlp_8k.safetensors
      cg3d-train import uni3d-b/model.pt -o runs/uni3d-b.safetensors
    """
    from cg3d_training.checkpoint import save_checkpoint
    from cg3d_training.importing import import_checkpoint

    checkpoint = import_checkpoint(file, logit_scale)
    save_checkpoint(output, checkpoint)
    weights = sum(tensor.numel() for tensor in checkpoint.state_dict.values())
    layout = checkpoint.record["imported"]["layout"]
    click.echo(f"{output}: {checkpoint.spec.architecture}, {layout}, {weights:,} numbers")
