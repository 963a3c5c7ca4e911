"""`cg3d-train evaluate`: how well a bundle names objects."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("evaluate")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--household", type=_FOLDER, help="Folder of the household set.")
@click.option("--clip-text", type=_FOLDER, help="Folder of CLIP text vectors (the vocabulary).")
@click.option("--tabletop", type=_FOLDER, help="Folder of the tabletop scans.")
@click.option("--curated", is_flag=True, help="Household names by the table written by hand.")
@click.option("--json", "as_json", is_flag=True, help="All results, by class too, as JSON.")
def evaluate_command(
    bundle: Path | None,
    household: Path | None,
    clip_text: Path | None,
    tabletop: Path | None,
    curated: bool,
    as_json: bool,
) -> None:
    """Measure a BUNDLE (default: the shipped one) through the Recognizer, as a robot runs it.

    \b
    Example:
      cg3d-train evaluate --household ../shared/data/household \\
        --clip-text ../shared/data/clip-text --tabletop ../shared/data/scans/tabletop
    """
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_training.data.clip_text import load_vocabulary
    from cg3d_training.data.curated import read_curated
    from cg3d_training.evaluate import evaluate_household, evaluate_tabletop

    if (household is None) != (clip_text is None):
        raise click.UsageError("--household and --clip-text go together")
    if household is None and tabletop is None:
        raise click.UsageError(
            "nothing to measure: give --household and --clip-text, or --tabletop"
        )
    recognizer = Recognizer(bundle)
    results = []
    if household and clip_text:
        vocabulary = load_vocabulary(clip_text)
        table = read_curated(vocabulary) if curated else None
        results += evaluate_household(recognizer, household, vocabulary, table)
    if tabletop:
        results.append(evaluate_tabletop(recognizer, tabletop))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(r) for r in results], indent=1))
        return
    click.echo("| task | objects | labels | top-1 (95 % interval) | top-3 | top-5 |")
    click.echo("|---|---|---|---|---|---|")
    for r in results:
        low, high = r.top1_interval
        click.echo(
            f"| {r.task} | {r.objects} | {r.labels} | {r.top1:.1%} ({low:.1%} to {high:.1%}) "
            f"| {r.top3:.1%} | {r.top5:.1%} |"
        )
