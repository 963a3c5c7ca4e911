"""`cg3d index`: build an index of a folder of shapes, and search it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cg3d_runtime.errors import Cg3dError, InputError
from cg3d_sdk.cli.options import (
    bundle_option,
    engine_option,
    json_option,
    labels_option,
    names_in,
    note_default_up,
    up_option,
)
from cg3d_sdk.cli.output import plain

if TYPE_CHECKING:
    from cg3d_runtime.engines.choose import EngineChoice
    from cg3d_runtime.retrieval import Hit
    from cg3d_sdk.shape_index import ShapeIndex


@click.group("index", short_help="Search many shapes by words or by shape: build, search.")
def index_group() -> None:
    """Build an index of clouds and meshes, and search it by words or by shape.

    \b
    Examples:
      cg3d index build meshes -o my_index --up y
      cg3d index search my_index --text "a chair"
    """


@index_group.command("build", short_help="Put every cloud and mesh below a folder into an index.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, metavar="INDEX", type=click.Path(path_type=Path),
    help="The index's folder; an index that is there is replaced at the end.",
)  # fmt: skip
@labels_option
@bundle_option
@up_option
@engine_option
@json_option
@click.pass_context
def build_command(
    ctx: click.Context,
    folder: Path,
    output: Path,
    labels: str | None,
    bundle: Path | None,
    up: Literal["z", "y"],
    engine: EngineChoice,
    as_json: bool,
) -> None:
    """Put every cloud and mesh below DIR into an index.

    A shape's id is its path below DIR; its metadata are `label` (what the bundle names it),
    `label_score`, `points` and `faces`. Files that fail are reported and left out while the others
    go on; the exit status is then 1, and the index holds the others. Where none is left, no index
    is written.

    \b
    Examples:
      cg3d index build meshes -o my_index --up y
      cg3d index build scans -o my_index --labels chair,table,sofa --json
    """
    from cg3d_runtime.files import read_points
    from cg3d_runtime.retrieval.files import FOLDER
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_sdk.shape_index import ShapeIndex

    files = _files(folder, output)
    FOLDER.check_replaceable(output)
    names = None if labels is None else names_in(labels.split(","), "--labels")
    recognizer = Recognizer(bundle, labels=names, engine=engine, up=up)
    shapes = ShapeIndex(recognizer)
    errors: list[dict[str, str]] = []
    meshes = False
    with click.progressbar(files, label="Indexing", file=sys.stderr) as bar:
        for path in bar:
            try:
                cloud = read_points(path)
                answer = recognizer.classify(cloud.points)
                entry = {
                    "label": answer.label,
                    "label_score": round(answer.score, 4),
                    "points": len(cloud.points),
                    "faces": cloud.faces,
                }
                id = path.relative_to(folder).as_posix()
                shapes.add_embeddings([id], answer.embedding[None], [entry])
                meshes |= cloud.faces > 0
            except Cg3dError as error:
                reason = str(error).removeprefix(f"{path}: ")
                errors.append({"file": str(path), "error": reason})
    for fault in errors:
        click.echo(f"Error: {plain(fault['file'])}: {plain(fault['error'])}", err=True)
    if not len(shapes):
        raise InputError(f"none of the {len(files)} files below {folder} could be used")
    shapes.save(output)
    if as_json:
        found = {"index": str(output), "bundle": recognizer.bundle.manifest.name}
        click.echo(json.dumps({**found, "shapes": len(shapes), "errors": errors}, indent=1))
    else:
        left_out = f", {len(errors)} left out" if errors else ""
        click.echo(f"{plain(output)}: {len(shapes)} shapes{left_out}")
    if meshes:
        note_default_up()
    if errors:
        ctx.exit(1)


@index_group.command("search", short_help="The shapes of an index that fit a text or a shape best.")
@click.argument("index", metavar="INDEX", type=click.Path(path_type=Path))
@click.option("--text", multiple=True, help="A text; may be given several times.")
@click.option(
    "--cloud", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A cloud or a mesh; may be given several times.",
)  # fmt: skip
@click.option(
    "--image", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A picture, for bundles with an image encoder; may be given several times.",
)  # fmt: skip
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(min=1), metavar="N",
    help="Shapes to show.",
)  # fmt: skip
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE",
    help="Only shapes with this metadata, e.g. label=chair; may be given several times.",
)  # fmt: skip
@bundle_option
@up_option
@engine_option
@json_option
def search_command(
    index: Path,
    text: tuple[str, ...],
    cloud: tuple[Path, ...],
    image: tuple[Path, ...],
    top: int,
    where: tuple[str, ...],
    bundle: Path | None,
    up: Literal["z", "y"],
    engine: EngineChoice,
    as_json: bool,
) -> None:
    """Show the shapes of INDEX that fit each query best: texts, clouds, meshes or pictures.

    A query that fails ends the search with exit status 1. The score is the cosine between the
    embeddings of shape and query: it orders the shapes of one query, and is no probability.

    \b
    Examples:
      cg3d index search my_index --text "a chair" --text mug --top 3
      cg3d index search my_index --cloud scan.pcd --where label=chair --json
    """
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_sdk.shape_index import ShapeIndex

    if not (text or cloud or image):
        raise click.UsageError("Give --text, --cloud or --image.")
    chosen = _where(where)
    recognizer = Recognizer(bundle, engine=engine, up=up)
    shapes = ShapeIndex.open(index, recognizer)
    answers = list(_answers(shapes, text, cloud, image, top, chosen))
    if as_json:
        results = [
            {
                **query,
                "hits": [{"id": h.id, "score": h.score, "metadata": h.metadata} for h in hits],
            }
            for query, hits in answers
        ]
        found = {"index": str(index), "shapes": len(shapes), "results": results}
        click.echo(json.dumps(found, indent=1))
        return
    for query, hits in answers:
        click.echo(click.style(plain(next(iter(query.values()))), bold=True))
        width = min(60, max((len(hit.id) for hit in hits), default=0))
        for hit in hits:
            label = plain(hit.metadata.get("label", ""))
            click.echo(f"  {hit.score:6.3f}  {plain(hit.id):<{width}}  {label}".rstrip())
        if not hits:
            click.echo("  nothing with this metadata" if where else "  the index is empty")


def _answers(
    shapes: ShapeIndex,
    texts: tuple[str, ...],
    clouds: tuple[Path, ...],
    images: tuple[Path, ...],
    top: int,
    where: dict[str, Any] | None,
) -> Iterator[tuple[dict[str, str], tuple[Hit, ...]]]:
    """Each query as it is shown, and its hits."""
    from cg3d_runtime.files import read_points
    from cg3d_runtime.images import read_image

    for text in texts:
        yield {"text": text}, shapes.search_text(text, top, where)
    meshes = False
    for path in clouds:
        cloud = read_points(path)
        meshes |= cloud.faces > 0
        yield {"cloud": str(path)}, shapes.search_cloud(cloud.points, top, where)
    if meshes:
        note_default_up()
    for path in images:
        yield {"image": str(path)}, shapes.search_image(read_image(path), top, where)


def _files(folder: Path, output: Path) -> list[Path]:
    """Every file below a folder that a reader takes, in a fixed order; an older index is none."""
    from cg3d_runtime.files.read import READERS, is_point_file

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder that holds the shapes")
    if folder.resolve() == output.resolve():
        raise InputError(f"{output} is the folder of the shapes; the index needs one of its own")
    found = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        if Path(place).resolve() != output.resolve()
        for name in names
        if is_point_file(Path(place) / name)
    ]
    if not found:
        raise InputError(f"{folder} holds no clouds or meshes; these are read: {' '.join(READERS)}")
    return sorted(found)


def _where(pairs: tuple[str, ...]) -> dict[str, Any] | None:
    """`--where` as a filter; what is JSON (2048, true) is meant as such, all else as text."""
    chosen: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--where {pair!r} should be KEY=VALUE.")
        try:
            chosen[key] = json.loads(value)
        except ValueError:
            chosen[key] = value
    return chosen or None
