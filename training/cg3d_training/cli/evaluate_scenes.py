"""`cg3d-train evaluate scenes`: the paper's scene queries, counted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from cg3d_training.cli.options import json_option, layout_option, threads_option


@click.command("scenes")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@layout_option
@click.option("--bundle", type=click.Path(path_type=Path), help="Default: the shipped one.")
@click.option("--query", "queries", multiple=True, metavar="WORD", help="Ask this alone; several.")
@click.option(
    "--way", "ways", multiple=True, type=click.Choice(["paper", "k-means", "default"]),
    help="Answer in this way alone; several. Default: all three.",
)  # fmt: skip
@click.option(
    "--clusters", type=click.IntRange(1, 256), default=11, show_default=True,
    help="Of the paper's k-means.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N scenes alone.")
@click.option("--per-word", is_flag=True, help="Also every question.")
@json_option("All answers as JSON.")
@threads_option
def scenes_command(
    path: Path, dataset: str, bundle: Path | None, queries: tuple[str, ...], ways: tuple[str, ...],
    clusters: int, limit: int | None, per_word: bool, as_json: bool, threads: int | None,
) -> None:  # fmt: skip
    """Ask for objects in rooms of S3DIS or ScanNet as published, or in furnished worlds (.npz).

    Every class of a room that the bundle knows is asked for, but not the room itself. A right
    answer overlaps one such object with intersection over union of at least 0.25.

    \b
    Examples:
      cg3d-train evaluate scenes Stanford3dDataset_v1.2 --dataset s3dis --query chair
      cg3d-train evaluate scenes scannet/scans --dataset scannet --limit 20
      cg3d-train evaluate scenes ../shared/data/scenes --dataset worlds --per-word
    """
    from tqdm import tqdm

    from cg3d_runtime.errors import TrainingError
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_training.data.indoor import find_scenes
    from cg3d_training.evaluation.scenes import WAYS, Answer, ask, summary, table, words_of

    recognizer = Recognizer(bundle, threads=threads)
    answers: list[Answer] = []
    asked = [way for way in WAYS if not ways or way in ways]
    with tqdm(find_scenes(dataset, path)[:limit], unit="scene", leave=False) as files:
        for file in files:
            files.set_description(file.name)
            scene = file.read()
            words = [w for w in words_of(scene, recognizer) if not queries or w in queries]
            for way in asked if words else ():
                answers += ask(recognizer, scene, words, way, clusters).answers
    if not answers:
        raise TrainingError(
            f"nothing to ask in {path}: no scene has an object of "
            f"{'the words of --query' if queries else 'a class'} that the bundle knows"
        )
    rows = summary(answers)
    if as_json:
        plain = [
            {"scene": a.scene, "way": a.way, "word": a.word, "overlaps": a.overlaps,
             "shown_overlap": a.shown_overlap}
            for a in answers
        ]  # fmt: skip
        content = {"summary": [dataclasses.asdict(r) for r in rows], "answers": plain}
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(table(rows, answers, per_word))
