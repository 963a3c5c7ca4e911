"""`cg3d-train prepare`: meshes to shards of triplets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import click

from cg3d_training.cli.options import FOLDER, json_option

_COUNT = click.IntRange(min=1)


@click.command("prepare")
@click.argument("source", type=FOLDER)
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write, or to go on with.",
)  # fmt: skip
@click.option(
    "--names", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or JSON list of the meshes: file, name, and if known caption, license, creator, up. "
    "Of ShapeNet one of its own lists (train_img.txt). Without it, names come from the file names, "
    "of ShapeNet from its synsets.",
)  # fmt: skip
@click.option("--views", type=_COUNT, default=5, show_default=True, help="Pictures of an object.")
@click.option("--points", type=_COUNT, default=2048, show_default=True, help="Points of an object.")
@click.option(
    "--size", type=click.IntRange(16, 2048), default=224, show_default=True,
    help="Pixels on a side of a picture.",
)  # fmt: skip
@click.option(
    "--background", type=click.Choice(["white", "pale"]), default="white", show_default=True,
    help="Behind the meshes: white, or another pale colour for each picture.",
)  # fmt: skip
@click.option(
    "--up", type=click.Choice(["y", "z"]), default="y", show_default=True,
    help="Axis that points up in the files, where the list does not say.",
)  # fmt: skip
@click.option(
    "--renderer",
    type=click.Choice(["cpu", "gl", "blender", "depth"]),
    default="cpu",
    show_default=True,
    help="Who draws the pictures; depth: depth maps of points, also of clouds without faces.",
)
@click.option(
    "--blender",
    default="blender",
    metavar="FILE",
    show_default=True,
    help="Blender's executable, for --renderer blender.",
)
@click.option("--workers", type=_COUNT, help="Processes.  [default: one for each core]")
@click.option(
    "--ray",
    "on_ray",
    is_flag=True,
    help="Spread the work over the Ray cluster at RAY_ADDRESS, or over a local one.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option(
    "--shard-objects", type=_COUNT, default=500, show_default=True, help="Objects in a shard."
)
@click.option(
    "--contact-sheet", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write one view of each object on a sheet (.png or .jpg).",
)  # fmt: skip
@json_option("The report as JSON.")
def prepare_command(
    source: Path,
    output: Path,
    names: Path | None,
    views: int,
    points: int,
    size: int,
    background: Literal["white", "pale"],
    up: Literal["y", "z"],
    renderer: Literal["cpu", "gl", "blender", "depth"],
    blender: str,
    workers: int | None,
    on_ray: bool,
    seed: int,
    shard_objects: int,
    contact_sheet: Path | None,
    as_json: bool,
) -> None:
    """Make training shards of the objects in SOURCE: points with colours, views and captions.

    A run that was interrupted goes on when it is started again. Meshes that cannot be used are
    left out and listed in OUTPUT/broken.jsonl.

    \b
    Example:
      cg3d-train prepare meshes -o shards --names meshes.csv --contact-sheet sheet.jpg
      cg3d-train prepare scans -o shards --renderer depth
      cg3d-train prepare ShapeNetCore.v2 --names shapenet_render/train_img.txt -o shapenet-train
    """
    from dataclasses import asdict

    from cg3d_training.data.cloud_files import SEARCHED
    from cg3d_training.data.cluster import run_on_ray
    from cg3d_training.data.contact_sheet import write_contact_sheet
    from cg3d_training.data.mesh_list import list_meshes
    from cg3d_training.data.meshes import SUFFIXES
    from cg3d_training.data.shapenet_items import shapenet_items
    from cg3d_training.data.shards import ShardFolder
    from cg3d_training.data.triplets import TripletSettings
    from cg3d_training.prepare import BROKEN, prepare
    from cg3d_training.render.backends import open_renderer

    suffixes = (*SUFFIXES, *SEARCHED) if renderer == "depth" else SUFFIXES
    own = names is None or names.suffix == ".txt"
    items = (shapenet_items(source, names) if own else None) or list_meshes(
        source, names, up, suffixes
    )
    settings = TripletSettings(points, views, size, seed, renderer, background)
    if renderer != "depth":
        open_renderer(renderer, blender)  # before any work: is it there?
    processes = workers or os.cpu_count() or 1
    report = prepare(
        source, items, output, settings, shard_objects=shard_objects, workers=processes,
        spread=run_on_ray if on_ray else None, blender=blender,
    )  # fmt: skip
    if contact_sheet is not None:
        write_contact_sheet(ShardFolder(output), contact_sheet)
    if as_json:
        by = {"ray": True} if on_ray else {"workers": processes}
        click.echo(json.dumps({**asdict(report), **by}, indent=1))
        return
    click.echo(f"{output}: {report.written} of {report.objects} objects in {report.shards} shards")
    if report.made:
        click.echo(
            f"{report.made} made in {report.seconds:.1f} s by "
            f"{'a Ray cluster' if on_ray else f'{processes} processes'}, "
            f"{report.objects_per_second:.2f} objects/s"
        )
    if report.broken:
        click.echo(f"{report.broken} left out, see {output / BROKEN}:")
        for reason, count in report.reasons.items():
            click.echo(f"  {count:5d}  {reason}")
