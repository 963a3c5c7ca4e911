"""`cg3d-train evaluate`: how well bundles and checkpoints name objects."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cg3d_training.cli.options import FOLDER, json_option, threads_option, use_threads

#: As `cg3d_training.evaluation.tasks.PARTS`, which is not imported for a help text.
_PARTS = ("whole", "rotations", "views", "tabletop", "corruptions", "points", "hidden")


@click.command("subjects")
@click.argument("subjects", nargs=-1, type=click.Path(path_type=Path))
@click.option("--household", type=FOLDER, help="Folder of the household set.")
@click.option("--clip-text", type=FOLDER, help="Folder of CLIP text vectors (the vocabulary).")
@click.option("--tabletop", type=FOLDER, help="Folder of the tabletop scans.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(_PARTS),
    help="Ask this alone; may be given several times. Default: all that there are data for.",
)
@click.option("--curated", is_flag=True, help="Also ask by the table of names written by hand.")
@json_option("All results, by class too, as JSON.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write pictures there; needs the extra [plots].",
)
@threads_option
def evaluate_command(
    subjects: tuple[Path, ...],
    household: Path | None,
    clip_text: Path | None,
    tabletop: Path | None,
    parts: tuple[str, ...],
    curated: bool,
    as_json: bool,
    plots: Path | None,
    threads: int | None,
) -> None:
    """Measure SUBJECTS, side by side: bundles, as a robot runs them, checkpoints, and runs.

    Without any it is the shipped bundle. A run that had names hidden (data.hide) is also asked
    for those.

    \b
    Examples:
      cg3d-train evaluate --household ../shared/data/household \\
        --clip-text ../shared/data/clip-text --tabletop ../shared/data/scans/tabletop
      cg3d-train evaluate runs/tiny-bundle runs/small/checkpoint.safetensors --part whole \\
        --household ../shared/data/household --clip-text ../shared/data/clip-text
    """
    from cg3d_training.data.clip_text import load_vocabulary
    from cg3d_training.data.curated import read_curated
    from cg3d_training.evaluation.plots import check_plots, write_plots
    from cg3d_training.evaluation.run import evaluate
    from cg3d_training.evaluation.subjects import open_subjects
    from cg3d_training.evaluation.table import markdown, plain
    from cg3d_training.evaluation.tasks import PARTS

    if (curated or household is not None) and clip_text is None:
        raise click.UsageError("--household (and --curated) and --clip-text go together")
    if household is None and tabletop is None:
        raise click.UsageError(
            "nothing to measure: give --household and --clip-text, or --tabletop"
        )
    if plots:
        check_plots()
    use_threads(threads)
    vocabulary = load_vocabulary(clip_text) if clip_text else None
    table = read_curated(vocabulary) if curated and vocabulary else None
    asked = tuple(p for p in PARTS if p in parts) or PARTS
    reports = [
        evaluate(subject, household, vocabulary, tabletop, asked, table)
        for subject in open_subjects(subjects, vocabulary, threads)
    ]
    written = write_plots(reports, plots) if plots else []
    if as_json:
        click.echo(json.dumps(plain(reports), indent=1))
        return
    click.echo(markdown(reports))
    for file in written:
        click.echo(f"wrote {file}")
