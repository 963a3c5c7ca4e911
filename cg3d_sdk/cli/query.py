"""`cg3d query`: ask a scene where things are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cg3d_sdk.cli.clouds import Source, cloud_options, read_clouds
from cg3d_sdk.cli.options import (
    OutputFile,
    bundle_option,
    engine_option,
    json_option,
    note_default_up,
    up_option,
)
from cg3d_sdk.cli.output import counted, percent, plain, ranked

if TYPE_CHECKING:
    from cg3d_runtime.engines.choose import EngineChoice
    from cg3d_sdk.scene import Region, SceneAnswer

#: Metres. No sensor of a robot sees as far to both sides: rather millimetres.
_WIDE = 500


@click.command("query", short_help="Ask a scene where things are.")
@click.argument("scene", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option(
    "--top", default=3, show_default=True, type=click.IntRange(min=1), metavar="N",
    help="Answers to show.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1), metavar="SHARE",
    help="The score from which a thing counts as found; by default the bundle's.",
)  # fmt: skip
@click.option(
    "--segmentation", default="objects", show_default=True,
    type=click.Choice(["objects", "k-means"]),
    help="How the scene is cut; k-means is the paper's way.",
)  # fmt: skip
@up_option
@bundle_option
@engine_option
@click.option(
    "-o", "--output", metavar="FILE", type=OutputFile(),
    help="Also write a page to look at: the scene with the answers to every text.",
)  # fmt: skip
@cloud_options
@click.option(
    "--rerun", "recording", metavar="FILE", type=OutputFile(),
    help="Also write a recording for the viewer of Rerun (.rrd; the extra `rerun`).",
)  # fmt: skip
@json_option
def query_command(
    scene: Path,
    texts: tuple[str, ...],
    top: int,
    threshold: float | None,
    segmentation: Literal["objects", "k-means"],
    up: Literal["z", "y"],
    bundle: Path | None,
    engine: EngineChoice,
    output: Path | None,
    recording: Path | None,
    topic: str | None,
    frame: int | None,
    axes: Literal["body", "optical"],
    transform: Path | None,
    as_json: bool,
) -> None:
    """Ask where in SCENE, a cloud in metres, the things named by TEXT are.

    SCENE is any file that `cg3d classify` reads; of a recording the first cloud, or --frame N.

    A TEXT is a name, or a question that holds one ("where is the sofa?") or says what the thing is
    for ("where can I sit down?"). All of them share one pass over the scene. Places are centres of
    upright boxes in metres, z up.

    \b
    Examples:
      cg3d query room.pcd chair
      cg3d query room.pcd sofa "where can I sit down?" --top 1
      cg3d query room.ply lamp --json
      cg3d query room.ply chair desk -o answer.html
      cg3d query run.mcap mug --frame 40 --axes optical
    """
    from cg3d_runtime.scene.kmeans import KMeansSegmentation
    from cg3d_runtime.scene.objects import ObjectSegmentation
    from cg3d_runtime.sensors import is_bag
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_sdk.recording import require_rerun, write_recording

    if recording is not None:
        require_rerun()
    recognizer = Recognizer(bundle, engine=engine, up=up)
    cut = ObjectSegmentation() if segmentation == "objects" else KMeansSegmentation()
    if frame is None and is_bag(scene):
        frame = 0
    (cloud,) = read_clouds(scene, Source(topic, frame, axes, transform))
    with counted("Looking") as progress:
        room = recognizer.scene(cloud.points, segmentation=cut, progress=progress)
    if room.extent.max() > _WIDE:
        size = " x ".join(f"{side:.0f}" for side in room.extent)
        click.echo(f"Note: the scene is {size} m; are its coordinates metres?", err=True)
    answers = room.query_many(texts, top, threshold)
    if as_json:
        document = {
            "scene": str(scene),
            **cloud.facts,
            "points": len(cloud.points),
            "dropped": room.dropped,
            "candidates": len(room.embeddings),
            "bundle": recognizer.bundle.manifest.name,
            "engine": recognizer.engine,
            "answers": [answer.to_dict() for answer in answers],
        }
        click.echo(json.dumps(document, indent=1))
    else:
        for answer in answers:
            _show(answer)
    if cloud.faces:
        note_default_up()
    if output is not None:
        from cg3d_sdk.page import write_scene_page

        write_scene_page(output, cloud.points, answers, title=f"Answers of {scene.name}", up=up)
        click.echo(f"Wrote {output}", err=True)
    if recording is not None:
        write_recording(recording, cloud.points, answers, up=up)
        click.echo(f"Wrote {recording}", err=True)


def _show(answer: SceneAnswer) -> None:
    asked = ", ".join(answer.asked)
    meant = "" if (asked,) == (answer.question,) else f" ({plain(asked)})"
    verdict = "" if answer.found else f"  probably not here (below {percent(answer.threshold)})"
    if not answer.regions:
        verdict = "  not here: no part of the scene could be a thing"
    click.echo(click.style(plain(answer.question), bold=True) + meant + verdict)
    for number, region in enumerate(answer.regions, 1):
        click.echo(f"  {number}. {percent(region.score):>7}  {_place(region)}")
        click.echo(click.style(f"     looks like {ranked(region.ranking[:3])}", dim=True))


def _place(region: Region) -> str:
    box = region.oriented_box
    x, y, z = box.centre
    length, width, height = box.size
    return (
        f"at {x:.2f} {y:.2f} {z:.2f} m, {length:.2f} x {width:.2f} x {height:.2f} m, "
        f"yaw {box.yaw:+.2f} rad, {len(region.indices)} points"
    )
