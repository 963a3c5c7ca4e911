"""`cg3d classify`: name the object in each file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cg3d_runtime.errors import Cg3dError, InputError
from cg3d_sdk.cli.clouds import Source, cloud_options, read_clouds
from cg3d_sdk.cli.options import (
    bundle_option,
    engine_option,
    json_option,
    labels_option,
    names_in,
    note_default_up,
    up_option,
)
from cg3d_sdk.cli.output import answer_line, plain

if TYPE_CHECKING:
    from cg3d_runtime.engines.choose import EngineChoice


@click.command("classify", short_help="Name the object in each file, a cloud or a mesh.")
# A file that may not be read is reported as any other that fails.
@click.argument("files", nargs=-1, required=True, type=click.Path(readable=False, path_type=Path))
@bundle_option
@labels_option
@click.option(
    "--labels-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Choose among the names in a text file, one a line.",
)  # fmt: skip
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1), metavar="N",
    help="Names to show.",
)  # fmt: skip
@up_option
@engine_option
@click.option(
    "--reject", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE",
    help="Answer 'unknown' where that costs at most this share of known objects, e.g. 0.1.",
)  # fmt: skip
@cloud_options
@json_option
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

    source = Source(topic, frame, axes, transform)
    _ = source.matrix  # a fault of it is not one of every file
    recognizer = Recognizer(
        bundle, labels=_chosen_labels(labels, labels_file), engine=engine, up=up, reject=reject
    )
    width = min(60, max(len(str(path)) for path in files))
    results: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    meshes = False

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
    if meshes:
        note_default_up()
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
        return names_in(labels.split(","), "--labels")
    if labels_file is None:
        return None
    try:
        lines = labels_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{labels_file}: cannot be read as a list of labels ({error})") from error
    return names_in((line.split("#", 1)[0] for line in lines), str(labels_file))
