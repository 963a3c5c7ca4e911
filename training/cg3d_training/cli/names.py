"""`cg3d-train names`: what the name rule makes of the household set."""

from __future__ import annotations

import json
from pathlib import Path

import click

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("names")
@click.option("--household", required=True, type=_FOLDER, help="Folder of the household set.")
@click.option("--clip-text", required=True, type=_FOLDER, help="Folder of CLIP text vectors.")
@click.option("--split", type=click.Choice(["train", "test"]), help="Only this split.")
@click.option("--top", default=30, show_default=True, help="Lines of each list.")
@click.option("--json", "as_json", is_flag=True, help="Everything, name by name, as JSON.")
def names_command(
    household: Path, clip_text: Path, split: str | None, top: int, as_json: bool
) -> None:
    """Show which names of objects were matched to which CLIP names, and which were left.

    \b
    Example:
      cg3d-train names --household ../shared/data/household --clip-text ../shared/data/clip-text
    """
    from cg3d_training.data.clip_text import load_vocabulary
    from cg3d_training.data.household import load_household
    from cg3d_training.data.names import NameMatcher

    matcher = NameMatcher(load_vocabulary(clip_text))
    objects = load_household(household, matcher).objects
    names = [o.name for o in objects if split in (None, o.split)]
    if as_json:
        matches = {name: matcher.match(name) for name in names}
        click.echo(json.dumps({k: m and [m.words, m.label] for k, m in matches.items()}, indent=1))
        return
    report = matcher.report(names)
    matched = sum(count for _, count in report.matched)
    click.echo(f"{matched} of {len(names)} names matched to {len(report.matched)} labels\n")
    for title, rows in (("matched", report.matched), ("left", report.unmatched)):
        click.echo(f"{title}, most frequent first:")
        for name, count in rows[:top]:
            click.echo(f"  {count:5d}  {name}")
        if len(rows) > top:
            click.echo(f"         ... and {len(rows) - top} more (--top, --json)")
