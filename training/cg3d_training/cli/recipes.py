"""`cg3d-train recipes`: what `--config` knows by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

import click

#: Verbs whose recipes lie in a folder of another name.
_VERBS = {"triplets": "pretrain-triplets"}


@click.command("recipes")
@click.argument("name", required=False)
def recipes_command(name: str | None) -> None:
    """List the recipes that `--config` knows by name, or show those called NAME, whole.

    \b
    Examples:
      cg3d-train recipes
      cg3d-train recipes household-small > mine.yaml
    """
    found = list(_recipes())
    if name is not None:
        name = name.removesuffix(".yaml")
        texts = [(verb, text) for verb, recipe, text in found if recipe == name]
        if not texts:
            names = ", ".join(sorted({recipe for _, recipe, _ in found}))
            raise click.UsageError(f"there is no recipe {name!r}; there are: {names}")
        for verb, text in texts:
            click.echo(f"# cg3d-train {verb} --config {name}\n{text}")
        return
    width = max(len(recipe) for _, recipe, _ in found)
    before = ""
    for verb, recipe, text in found:
        if verb != before:
            click.echo(f"cg3d-train {verb} --config ...")
            before = verb
        click.echo(f"  {recipe:{width}}  {headline(text)}")


def _recipes() -> Iterator[tuple[str, str, str]]:
    """Verb, name and text of each."""
    root = resources.files("cg3d_training") / "recipes"
    for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
        if not folder.is_dir():
            continue
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".yaml"):
                text = file.read_text(encoding="utf-8")
                yield _VERBS.get(folder.name, folder.name), file.name[:-5], text


def headline(text: str) -> str:
    """What the comment at the head of a recipe says first.

    >>> headline("# For a CPU and\\n# few objects (100). More.\\nencoder: x\\n")
    'For a CPU and few objects'
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return re.split(r"[.:;](?: |$)| \(", " ".join(lines))[0]
