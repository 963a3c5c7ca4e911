"""`cg3d-train join`."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import say


@click.command("join")
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE", help="The joined checkpoint.",
)  # fmt: skip
def join_command(checkpoints: tuple[Path, ...], output: Path) -> None:
    """Join CHECKPOINTS to one that embeds as the mean of them.

    They may be of any architectures and sizes, trained against the same texts. It takes the time
    of all of them, and errs less than the best of them.

    \b
    Example:
      cg3d-train join runs/a/checkpoint.safetensors runs/b/checkpoint.safetensors \\
        -o runs/both/checkpoint.safetensors
    """
    from cg3d_training.checkpoint import load_checkpoint, save_checkpoint
    from cg3d_training.joining import join_checkpoints

    joined = join_checkpoints([load_checkpoint(path) for path in checkpoints])
    save_checkpoint(output, joined)
    count = sum(tensor.numel() for tensor in joined.state_dict.values())
    say(f"{output}: a committee of {len(checkpoints)}, {count / 1e6:.1f} million numbers")
