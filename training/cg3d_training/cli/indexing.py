"""`cg3d-train index`: makes shards that are there ready for training."""

from __future__ import annotations

from pathlib import Path

import click

from cg3d_training.cli.options import FOLDER


@click.command("index")
@click.argument("folder", type=FOLDER)
def index_command(folder: Path) -> None:
    """Index the .tar files in FOLDER, so that `pretrain-triplets` can read them.

    `prepare` does so itself. This is for shards that other programs wrote in the same layout, that
    were joined from several folders, or that an earlier version of cg3d-sdk made. It reads every
    sample, and writes index.jsonl, objects.jsonl and shards.json.

    \b
    Example:
      cg3d-train index shards
    """
    from cg3d_runtime.errors import TrainingError
    from cg3d_training.data.shards import write_index

    if not any(folder.glob("*.tar")):
        raise TrainingError(f"{folder} holds no .tar files")
    index = write_index(folder, quiet=False)
    if not len(index):
        raise TrainingError(f"{folder}: there is no sample in its .tar files")
    click.echo(f"{folder}: {len(index)} objects in {len(index.shards)} shards")
