"""`cg3d-train pretrain-triplets`."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import (
    chosen_device,
    device_option,
    say,
    training_options,
    use_threads,
)
from cg3d_training.cli.resume import chosen_run, read_recipe


@click.command("pretrain-triplets")
@training_options("Folder of the run: config, log, state, checkpoint and prompts.")
@device_option
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Processes that read and prepare batches ahead, beside each that trains.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where shards of an object store are kept.  [default: ~/.cache/cg3d-sdk/shards]",
)
@click.option(
    "--cache-gb",
    type=click.FloatRange(0, min_open=True),
    default=50.0,
    show_default=True,
    help="Gigabytes of them at most.",
)
def pretrain_triplets_command(
    config: str | None, output: Path | None, overrides: tuple[str, ...], resume: str | None,
    log: tuple[str, ...], threads: int | None, device: str,
    workers: int, cache: Path | None, cache_gb: float,
) -> None:  # fmt: skip
    """Train a 3D encoder on points, pictures and captions, with a teacher (paper, eq. 4 to 9).

    \b
    Examples:
      cg3d-train prepare meshes --names names.csv -o shards
      cg3d-train pretrain-triplets --config small-cpu -o runs/triplets --set data.shards=shards
      cg3d-train pretrain-triplets --config paper-point-transformer -o runs/paper \\
        --set data.shards=shards --set teacher.weights=slip_base_100ep.pt
      torchrun --nproc-per-node 8 -m cg3d_training pretrain-triplets \\
        --config paper-point-transformer -o runs/large --set data.shards=s3://bucket/run \\
        --set data.lanes=8 --workers 8
    """
    from cg3d_training.data.storage import Cache, default_cache
    from cg3d_training.triplets.batches import Loading
    from cg3d_training.triplets.config import TripletConfig
    from cg3d_training.triplets.pretrain import pretrain_triplets

    use_threads(threads)
    given = read_recipe(TripletConfig, config, overrides)
    recipe, folder, resuming = chosen_run(TripletConfig, given, output, resume)
    kept = Cache(cache or default_cache().folder, int(cache_gb * 1e9))
    loading = Loading(workers=workers, cache=kept)
    checkpoint = pretrain_triplets(recipe, folder, resuming, chosen_device(device), log, loading)
    say(
        f"{folder / 'checkpoint.safetensors'}: {checkpoint.spec.architecture}, "
        f"{checkpoint.record['objects']} objects of {checkpoint.record['labels']} names, "
        f"{checkpoint.record['epochs']} epochs, {checkpoint.record['seconds']} s"
    )
