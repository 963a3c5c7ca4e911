"""`cg3d-train pretrain-triplets`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("pretrain-triplets")
@click.option("--config", required=True, metavar="RECIPE", help="A YAML file or a recipe's name.")
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run: config, log, state, checkpoint and prompts.",
)  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--resume", is_flag=True, help="Go on where the folder's state left off.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: all cores.")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]),
    help="auto: a GPU if there is one.",
)  # fmt: skip
def pretrain_triplets_command(
    config: str, output: Path, overrides: tuple[str, ...], resume: bool,
    threads: int | None, device: str,
) -> None:  # fmt: skip
    """Train a 3D encoder on points, pictures and captions, with a teacher (paper, eq. 4 to 9).

    \b
    Examples:
      cg3d-train prepare meshes --names names.csv -o shards
      cg3d-train pretrain-triplets --config small-cpu -o runs/triplets --set data.shards=shards
      cg3d-train pretrain-triplets --config paper-point-transformer -o runs/paper \\
        --set data.shards=shards --set teacher.weights=slip_base_100ep.pt
    """
    import torch

    from cg3d_runtime.errors import TrainingError
    from cg3d_training.config import load_config
    from cg3d_training.triplet_config import TripletConfig
    from cg3d_training.triplets import pretrain_triplets

    if threads:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("torch sees no GPU here; use --device cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = load_config(TripletConfig, config, overrides)
    checkpoint = pretrain_triplets(recipe, output, resume, device)
    click.echo(
        f"{output / 'checkpoint.safetensors'}: {checkpoint.spec.architecture}, "
        f"{checkpoint.record['objects']} objects of {checkpoint.record['labels']} names, "
        f"{checkpoint.record['epochs']} epochs, {checkpoint.record['seconds']} s"
    )
