"""`cg3d classify`: name the object in each file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from cg3d_runtime.errors import Cg3dError, InputError
from cg3d_sdk.cli.clouds import Source, cloud_options, read_clouds
from cg3d_sdk.cli.output import answer_line, plain

if TYPE_CHECKING:
    from cg3d_runtime.engines.choose import EngineChoice

#: The choices of `cg3d_runtime.engines.choose`, which would import numpy for a --help.
ENGINES = ("auto", "cpu", "cuda", "tensorrt", "ort-tensorrt", "ort-tensorrt-rtx")


@click.command("classify", short_help="Name the object in each file, a cloud or a mesh.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--bundle", type=click.Path(path_type=Path), metavar="DIR",
    help="Folder of a bundle, or household-small (the default) or household-tiny, which ship.",
)  # fmt: skip
@click.option("--labels", metavar="A,B,...", help="Choose among these names, not all the bundle's.")
@click.option(
    "--labels-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Choose among the names in a text file, one a line.",
)  # fmt: skip
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1), help="Names to show."
)
@click.option(
    "--up", default="z", show_default=True, type=click.Choice(["z", "y"]),
    help="The axis that points up: z for robots and most scans, y for most mesh files.",
)  # fmt: skip
@click.option(
    "--engine", default="auto", show_default=True, type=click.Choice(ENGINES),
    help="What runs the networks; auto takes the best that works (see `cg3d info`).",
)  # fmt: skip
@click.option(
    "--reject", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE",
    help="Answer 'unknown' where that costs at most this share of known objects, e.g. 0.1.",
)  # fmt: skip
@cloud_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def classify_command(
    ctx: click.Context,
    files: tuple[Path, ...],
    bundle: Path | None,
    labels: str | None,
    labels_file: Path | None,
    top: int,
    up: Literal["z", "y"],
    engine: EngineChoice,
    reject: float | None,
    topic: str | None,
    frame: int | None,
    axes: Literal["body", "optical"],
    transform: Path | None,
    as_json: bool,
) -> None:
    """Name the object in each of FILES: a cloud, or a mesh, which is sampled.

    Read are .npy .npz .xyz .txt .pts .csv .pcd .ply and KITTI's .bin; .obj .off .stl .glb .gltf
    with the extra cg3d-sdk[files]; .las .laz with [las]; every cloud of recordings, .bag .db3
    .mcap or their folder, with [bags]. A cloud should hold one object, cut out of its
    surroundings. Files that fail are reported while the others go on; the exit status is then 1.

    \b
    Examples:
      cg3d classify scan.pcd
      cg3d classify *.glb --up y --top 3
      cg3d classify crops/*.npy --labels cup,bowl,bottle
      cg3d classify run.mcap --topic /crops --frame 3 --axes optical
      cg3d classify crop.npy --bundle my_bundle --reject 0.1 --json
    """
    from cg3d_sdk.recognizer import Recognizer

    recognizer = Recognizer(
        bundle, labels=_chosen_labels(labels, labels_file), engine=engine, up=up, reject=reject
    )
    width = min(60, max(len(str(path)) for path in files))
    results: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    meshes = False
    source = Source(topic, frame, axes, transform)

    def failed(name: str, error: Cg3dError) -> None:
        # The readers name the file themselves, the Recognizer cannot.
        reason = str(error).removeprefix(f"{name}: ")
        errors.append({"file": name, "error": reason})
        click.echo(f"Error: {plain(name)}: {plain(reason)}", err=True)

    for path in _shown_progress(files, as_json):
        try:
            for cloud in read_clouds(path, source):
                try:
                    answer = recognizer.classify(cloud.points)
                except Cg3dError as error:
                    failed(cloud.name, error)
                    continue
                meshes |= cloud.faces > 0
                if as_json:
                    shape = {"points": len(cloud.points), "faces": cloud.faces, **cloud.facts}
                    results.append({"file": str(path), **shape, **answer.to_dict(top)})
                else:
                    click.echo(answer_line(cloud.name, width, answer, top))
        except Cg3dError as error:
            failed(str(path), error)
    if as_json:
        document = {
            "bundle": recognizer.bundle.manifest.name,
            "engine": recognizer.engine,
            "up": up,
            "labels": len(recognizer.labels),
            "reject": reject,
            "results": results,
            "errors": errors,
        }
        click.echo(json.dumps(document, indent=1))
    if meshes and ctx.get_parameter_source("up") is ParameterSource.DEFAULT:
        click.echo("Note: meshes were read as z up; most are y up, then add --up y.", err=True)
    if errors:
        ctx.exit(1)


def _shown_progress(files: tuple[Path, ...], as_json: bool) -> Iterator[Path]:
    """The files; lines show how far it is, so only JSON on a terminal needs a bar."""
    if not (as_json and sys.stderr.isatty()):
        yield from files
        return
    with click.progressbar(files, label="Recognising", file=sys.stderr) as bar:
        yield from bar


def _chosen_labels(labels: str | None, labels_file: Path | None) -> list[str] | None:
    if labels is not None and labels_file is not None:
        raise click.UsageError("Give --labels or --labels-file, not both.")
    if labels is not None:
        return _clean(labels.split(","), "--labels")
    if labels_file is None:
        return None
    try:
        lines = labels_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{labels_file}: cannot be read as a list of labels ({error})") from error
    return _clean((line.split("#", 1)[0] for line in lines), str(labels_file))


def _clean(labels: Iterable[str], source: str) -> list[str]:
    names = [name.strip() for name in labels if name.strip()]
    if not names:
        raise InputError(f"{source} names no labels")
    return names
