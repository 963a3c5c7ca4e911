"""`cg3d-train evaluate pictures`: the paper's Tables 4 and 5."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from cg3d_training.cli.evaluate_zeroshot import MAP_NAMES
from cg3d_training.cli.options import (
    FOLDER,
    chosen_device,
    data_option,
    device_option,
    json_option,
    threads_option,
    use_threads,
)


@click.command("pictures")
@click.option(
    "--teacher", required=True, metavar="SOURCE",
    help="open_clip:MODEL[:WEIGHTS] or slip:FILE; without prompts it is the row of PointCLIP.",
)  # fmt: skip
@click.option(
    "--prompts", "prompts", multiple=True, metavar="NAME=RUN",
    help="A row of the teacher with the prompts of a run of pretrain-triplets, or of their file; "
    "may be given several times.",
)  # fmt: skip
@click.option("--shards", type=FOLDER, help="Test pictures, of `cg3d-train prepare`.")
@click.option("--train-shards", type=FOLDER, help="Pictures that a probe learns from.")
@click.option(
    "--dataset", "datasets", multiple=True, metavar="SET",
    help="A labelled set whose clouds are drawn as depth maps; as for `evaluate zeroshot`.",
)  # fmt: skip
@data_option()
@click.option(
    "--views", type=click.Choice(MAP_NAMES), default="prepared", show_default=True,
    help="How depth maps are drawn; `prepared` as those that `prepare --renderer depth` makes.",
)  # fmt: skip
@click.option(
    "--phrasing", "phrasings", multiple=True, metavar="TEXT",
    help='As for `evaluate zeroshot`; default paper ("This is a {}").',
)  # fmt: skip
@click.option("--probe", is_flag=True, help="Also Table 5; needs the extra [probe].")
@json_option("All results as JSON.")
@threads_option
@device_option
def pictures_command(
    teacher: str, prompts: tuple[str, ...], shards: Path | None, train_shards: Path | None,
    datasets: tuple[str, ...], data: Path, views: str, phrasings: tuple[str, ...], probe: bool,
    as_json: bool, threads: int | None, device: str,
) -> None:  # fmt: skip
    """How well an image tower names pictures and depth maps, with and without prompts.

    \b
    Example (the paper's rows; prompts learnt on renders and on depth maps):
      cg3d-train evaluate pictures --teacher slip:slip_base_100ep.pt \\
        --prompts CG3D-render=runs/pt --prompts CG3D-depth=runs/pt-depth \\
        --shards shapenet-test --train-shards shapenet-train --dataset modelnet40 --probe
    """
    from cg3d_training.paper.depth_maps import DEPTH_MAPS
    from cg3d_training.paper.image_tables import image_table, measure_pictures
    from cg3d_training.paper.phrasings import find_phrasings
    from cg3d_training.paper.pictures import (
        ImageTower,
        PictureSet,
        of_clouds,
        of_shards,
        open_prompts,
    )
    from cg3d_training.paper.probe import check_probe
    from cg3d_training.paper.reported import reported_pictures
    from cg3d_training.paper.sets import find_set
    from cg3d_training.paper.words import open_teacher

    if shards is None and not datasets:
        raise click.UsageError("nothing to look at: give --shards or --dataset")
    if probe and shards is not None and train_shards is None:
        raise click.UsageError("--probe learns from other pictures: give --train-shards")
    if probe:
        check_probe()
    use_threads(threads)
    device = chosen_device(device)
    words = open_teacher(teacher, device)
    templates = find_phrasings(phrasings or ["paper"])
    towers = [ImageTower("PointCLIP", words.teacher)]
    for given in prompts:
        name, equals, file = given.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--prompts {given!r}: write NAME=RUN")
        towers.append(ImageTower(name, words.teacher, open_prompts(Path(file), device)))
    pairs: list[tuple[PictureSet, PictureSet | None]] = []
    if shards is not None:
        test, *known = of_shards([shards, *([train_shards] if probe and train_shards else [])])
        pairs.append((test, known[0] if known else None))
    for spelling in datasets:
        place, maps = find_set(spelling, data), DEPTH_MAPS[views]
        test = of_clouds(place.title, place.read("test"), maps)
        pairs.append((test, of_clouds(place.title, place.read("train"), maps) if probe else None))
    results = []
    for test, train in pairs:
        results += measure_pictures(towers, words, templates, test, train)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(r) for r in results], indent=1))
        return
    tables = [image_table(results, probed=False), reported_pictures(4)]
    if probe:
        tables += [image_table(results, probed=True), reported_pictures(5)]
    click.echo("\n\n".join(tables))
