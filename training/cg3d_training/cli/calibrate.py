"""`cg3d-train calibrate`: true scores for a bundle, and an answer for what it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cg3d_training.cli.options import FOLDER, json_option

if TYPE_CHECKING:
    from cg3d_training.unknown.report import UnknownReport

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("calibrate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Where the calibrated bundle goes; may be BUNDLE itself.",
)  # fmt: skip
@click.option("--household", required=True, type=FOLDER, help="Folder of the household set.")
@click.option("--clip-text", required=True, type=FOLDER, help="Folder of CLIP text vectors.")
@click.option("--tabletop", type=FOLDER, help="Folder of the tabletop scans, for the report.")
@click.option(
    "--world", "worlds", multiple=True, type=_FILE,
    help="A furnished world (.npz) whose pieces are fitted to; may come more than once.",
)  # fmt: skip
@click.option(
    "--unseen-world", "unseen_worlds", multiple=True, type=_FILE,
    help="The same, for the report.",
)  # fmt: skip
@json_option("The report as JSON.")
def calibrate_command(
    bundle: Path,
    output: Path,
    household: Path,
    clip_text: Path,
    tabletop: Path | None,
    worlds: tuple[Path, ...],
    unseen_worlds: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Calibrate a BUNDLE and write it, whole, to another folder or over itself.

    \b
    Example:
      cg3d-train calibrate runs/bundle -o runs/calibrated --household ../shared/data/household \\
        --clip-text ../shared/data/clip-text --tabletop ../shared/data/scans/tabletop
    """
    from cg3d_runtime.bundle import Bundle
    from cg3d_runtime.bundle.writer import check_replaceable
    from cg3d_training.data.clip_text import load_vocabulary
    from cg3d_training.unknown.calibrate import calibrate, write_calibrated

    check_replaceable(output)  # before minutes of work
    words = load_vocabulary(clip_text)
    found = calibrate(bundle, household, words, worlds, tabletop, unseen_worlds)
    write_calibrated(Bundle.open(bundle), found, output)
    if as_json:
        click.echo(json.dumps({"said": found.said, **found.report.to_dict()}, indent=1))
        return
    click.echo(f"{output}: {found.said}\n")
    for line in report_lines(found.report):
        click.echo(line)


def report_lines(report: UnknownReport) -> Iterator[str]:
    """The report as two tables in Markdown."""
    yield "| labels | shown | answers | right | mean score | error | by chance | before |"
    yield "|---|---|---|---|---|---|---|---|"
    for s in report.scores:
        yield (
            f"| {s.task} ({s.labels}) | {s.view} | {s.answers} | {s.right:.1%} | {s.score:.1%} "
            f"| {s.error:.3f} | {s.chance:.3f} | {s.uncalibrated:.3f} |"
        )
    for r in report.rejects:
        kept = ", ".join(f"{view} {share:.1%}" for view, share in r.kept.items())
        yield ""
        yield f"{r.task}, reject {r.reject:g}: kept of what is known: {kept}"
        yield ""
        yield "| refused | shown | of them | where 90 % are kept | by the cosine alone |"
        yield "|---|---|---|---|---|"
        for kind, share in r.rejected.items():
            yield (
                f"| {kind} | {r.shown[kind]} | {share:.1%} | {r.at_90[kind]:.1%} "
                f"| {r.cosine_at_90[kind]:.1%} |"
            )
