"""The table of verbs in docs/training.md is whole, and what ships by a name is in a page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cg3d_training.cli.main import main
from cg3d_training.config import PretrainConfig, list_recipes
from cg3d_training.encoders import list_encoders
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.teaching.config import TeachingConfig
from cg3d_training.triplets.config import TripletConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"
KINDS = (PretrainConfig, FinetuneConfig, TripletConfig, TeachingConfig)


def test_every_verb_is_in_the_table() -> None:
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    table = text.split("| verb |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `(.+?)` \|", table, re.M)) == sorted(
        main.list_commands(click.Context(main))
    )


def _spelt() -> list[tuple[str, list[str]]]:
    """The words of every `cg3d-train` line in the fenced blocks of the pages."""
    found = []
    for page in [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]:
        for code in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            for line in code.replace("\\\n", " ").splitlines():
                call = re.search(r"(?:^|\s)cg3d-train (.+)", line)
                if call:
                    found.append((page.name, shlex.split(call[1].split(";")[0], comments=True)))
    return found


@pytest.mark.parametrize(("page", "words"), _spelt(), ids=lambda v: v if isinstance(v, str) else "")
def test_commands_in_pages_have_these_verbs_and_options(page: str, words: list[str]) -> None:
    command: click.Command = main
    left = list(words)
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        inner = command.get_command(click.Context(command), left[0])
        if inner is None:
            break
        command, left = inner, left[1:]
    assert command is not main, f"{page}: no verb {words[:1]}"
    if isinstance(command, click.Group):
        command = command.get_command(click.Context(command), "subjects") or command  # evaluate's
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in left:
        name = word.split("=")[0]
        if re.fullmatch(r"--[a-z][a-z-]*|-[a-z]", name):
            assert name in known | {"--help"}, f"{page}: {shlex.join(words)}"


@pytest.mark.parametrize(
    "name", sorted({*(name for kind in KINDS for name in list_recipes(kind)), *list_encoders()})
)
def test_what_ships_is_in_a_page(name: str) -> None:
    pages = " ".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert re.search(rf"`{name}`|--config {name}\b", pages), f"no page says what {name} is"
