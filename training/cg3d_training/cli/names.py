"""`cg3d-train names`: what the name rule, or the hand-written table, makes of the household set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cg3d_training.cli.options import FOLDER, json_option

if TYPE_CHECKING:
    from cg3d_training.data.household import HouseholdObject
    from cg3d_training.data.names import NameMatcher


@click.command("names")
@click.option("--household", required=True, type=FOLDER, help="Folder of the household set.")
@click.option("--clip-text", required=True, type=FOLDER, help="Folder of CLIP text vectors.")
@click.option("--split", type=click.Choice(["train", "test"]), help="Only this split.")
@click.option("--curated", is_flag=True, help="By the table written by hand.")
@click.option("--top", default=30, show_default=True, help="Lines of each list.")
@json_option("Everything, name by name, as JSON.")
def names_command(
    household: Path, clip_text: Path, split: str | None, curated: bool, top: int, as_json: bool
) -> None:
    """Show which names of objects were matched to which CLIP names, and which were left.

    \b
    Example:
      cg3d-train names --household ../shared/data/household --clip-text ../shared/data/clip-text
    """
    from cg3d_training.data.clip_text import load_vocabulary
    from cg3d_training.data.curated import read_curated
    from cg3d_training.data.household import load_household
    from cg3d_training.data.names import NameMatcher

    vocabulary = load_vocabulary(clip_text)
    matcher = NameMatcher(vocabulary)

    def of_split(objects: tuple[HouseholdObject, ...]) -> list[HouseholdObject]:
        return [o for o in objects if split in (None, o.split)]

    ruled = of_split(load_household(household, matcher).objects)
    if curated:
        table = read_curated(vocabulary)
        _show_curated(
            ruled, of_split(load_household(household, matcher, table).objects), matcher, top,
            as_json,
        )  # fmt: skip
        return
    names = [o.name for o in ruled]
    if as_json:
        matches = {name: matcher.match(name) for name in names}
        click.echo(json.dumps({k: m and [m.words, m.label] for k, m in matches.items()}, indent=1))
        return
    report = matcher.report(names)
    matched = sum(count for _, count in report.matched)
    click.echo(f"{matched} of {len(names)} names matched to {len(report.matched)} labels\n")
    _show_list("matched", report.matched, top)
    _show_list("left", report.unmatched, top)


def _show_curated(
    ruled: list[HouseholdObject],
    curated: list[HouseholdObject],
    matcher: NameMatcher,
    top: int,
    as_json: bool,
) -> None:
    from cg3d_training.data.curated_report import curated_report

    if as_json:
        for o in curated:
            row = {
                "set": o.source, "id": o.id, "name": o.name, "split": o.split, "use": o.use,
                "family": o.family, "labels": [matcher.labels[r] for r in o.rows],
                "caption": o.caption,
            }  # fmt: skip
            click.echo(json.dumps(row))
        return
    click.echo("| split | objects | families | named by the rule | labelled by the table | same "
               "| other label | gained | taken away | caption only | keep | low | clutter | drop "
               "| left to the rule |")  # fmt: skip
    click.echo("|---" * 15 + "|")
    for split in ("train", "test"):
        rows = [i for i, o in enumerate(curated) if o.split == split]
        r = curated_report([ruled[i] for i in rows], [curated[i] for i in rows])
        uses = [r.uses.get(use, 0) for use in ("keep", "low", "clutter", "drop")]
        counts = [
            r.objects, r.families, r.ruled, r.labelled, r.kept, r.changed, r.gained, r.lost,
            r.captioned, *uses, r.fallbacks,
        ]  # fmt: skip
        click.echo(f"| {split} | " + " | ".join(map(str, counts)) + " |")
    click.echo()
    labels = Counter(matcher.labels[o.rows[0]] for o in curated if o.rows)
    captions = Counter(o.caption for o in curated if not o.rows and o.caption)
    _show_list("first labels", labels.most_common(), top)
    _show_list("captions", captions.most_common(), top)


def _show_list(
    title: str, rows: tuple[tuple[str, int], ...] | list[tuple[str, int]], top: int
) -> None:
    click.echo(f"{title}, most frequent first:")
    for name, count in rows[:top]:
        click.echo(f"  {count:5d}  {name}")
    if len(rows) > top:
        click.echo(f"         ... and {len(rows) - top} more (--top, --json)")
