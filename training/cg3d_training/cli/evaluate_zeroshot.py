"""`cg3d-train evaluate zeroshot`: the paper's Table 1."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from cg3d_training.cli.options import (
    chosen_device,
    data_option,
    device_option,
    json_option,
    threads_option,
    use_threads,
)

#: As `cg3d_training.paper.protocol.PROTOCOLS` and `.depth_maps.DEPTH_MAPS`, which are not imported
#: for a help text.
PROTOCOL_NAMES = ("sdk", "official", "official-march")
MAP_NAMES = ("pointclip", "official", "official-single", "prepared")


@click.command("zeroshot")
@click.argument("subjects", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--dataset", "datasets", multiple=True, required=True, metavar="SET",
    help="modelnet10, modelnet40, scanobjectnn (also _obj_bg and _obj_only), household, "
    "NAME=FOLDER, or a folder; may be given several times.",
)  # fmt: skip
@data_option()
@click.option(
    "--text", "text", metavar="SOURCE",
    help="Text vectors: open_clip:MODEL[:WEIGHTS], slip:FILE, or a folder of vectors. Bundles have "
    "their own.",
)  # fmt: skip
@click.option(
    "--phrasing", "phrasings", multiple=True, metavar="TEXT",
    help='paper ("This is a {}", the default), photo, pointclip, name, ensemble, or a text with '
    "{}; several make an ensemble.",
)  # fmt: skip
@click.option(
    "--protocol", type=click.Choice(PROTOCOL_NAMES), default="sdk", show_default=True,
    help="Which points of a cloud, and what is done to text vectors (docs/paper.md).",
)  # fmt: skip
@click.option(
    "--official-text",
    is_flag=True,
    help="Text vectors as they are, not made unit rows: the official head at its last commit.",
)
@click.option(
    "--points", type=click.IntRange(2), metavar="N",
    help="Points of a cloud. Default: what the encoder is made for; officially 8192.",
)  # fmt: skip
@click.option(
    "--pointclip",
    is_flag=True,
    help="Also a row of PointCLIP: the image tower of --text on depth maps.",
)
@click.option(
    "--views", type=click.Choice(MAP_NAMES), default="pointclip", show_default=True,
    help="Its depth maps: PointCLIP's six, the official code's three or first, or one as prepared.",
)  # fmt: skip
@click.option("--per-class", is_flag=True, help="Also every class.")
@json_option("All results as JSON.")
@threads_option
@device_option
def zeroshot_command(
    subjects: tuple[Path, ...], datasets: tuple[str, ...], data: Path, text: str | None,
    phrasings: tuple[str, ...], protocol: str, official_text: bool, points: int | None,
    pointclip: bool, views: str, per_class: bool, as_json: bool, threads: int | None, device: str,
) -> None:  # fmt: skip
    """Name the test clouds of SETs by class texts, without training on them: Table 1.

    SUBJECTS are checkpoints, runs and bundles; without any it is the shipped bundle, or with
    --pointclip that alone.

    \b
    Examples:
      cg3d-train evaluate zeroshot --dataset household --data ../shared/data
      cg3d-train evaluate zeroshot runs/pt.safetensors runs/mlp.safetensors --pointclip \\
        --dataset modelnet10 --dataset modelnet40 --dataset scanobjectnn=/sets/h5_files \\
        --text slip:slip_base_100ep.pt --protocol official
    """
    from cg3d_training.paper.contenders import Contender, PictureContender, open_contender
    from cg3d_training.paper.depth_maps import DEPTH_MAPS
    from cg3d_training.paper.phrasings import PHRASINGS, find_phrasings
    from cg3d_training.paper.pictures import ImageTower
    from cg3d_training.paper.protocol import PROTOCOLS
    from cg3d_training.paper.reported import reported_table_1
    from cg3d_training.paper.sets import find_set
    from cg3d_training.paper.table import class_tables, plain, zero_shot_table
    from cg3d_training.paper.words import TeacherWords, open_words
    from cg3d_training.paper.zeroshot import zero_shot

    if pointclip and text is None:
        raise click.UsageError("--pointclip needs a teacher's image tower: give --text")
    use_threads(threads)
    device = chosen_device(device)
    how = PROTOCOLS[protocol]
    how = dataclasses.replace(
        how, points=points or how.points, unit_texts=how.unit_texts and not official_text
    )
    templates = find_phrasings(phrasings or ["paper"])
    places = [find_set(spelling, data) for spelling in datasets]
    words = open_words(text, device) if text else None
    contenders: list[Contender] = []
    if pointclip:
        if not isinstance(words, TeacherWords):
            raise click.UsageError(f"--pointclip: {text} has no image tower")
        tower = ImageTower("PointCLIP", words.teacher)
        own = None if phrasings else PHRASINGS["pointclip"]
        contenders.append(PictureContender(tower, DEPTH_MAPS[views], words, own))
    wanted: list[Path | None] = list(subjects) or ([] if pointclip else [None])
    for path in wanted:
        contender = open_contender(path, words, threads, device)
        if path is not None and any(other.name == contender.name for other in contenders):
            contender.name = str(path)
        contenders.append(contender)
    results = []
    for place in places:
        clouds = place.read("test")
        results += [zero_shot(c, place.title, clouds, templates, how) for c in contenders]
    if as_json:
        click.echo(json.dumps(plain(results), indent=1))
        return
    tables = [zero_shot_table(results), class_tables(results) if per_class else ""]
    tables.append(reported_table_1([place.title for place in places]))
    click.echo("\n\n".join(table for table in tables if table))
