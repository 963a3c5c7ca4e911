"""The table of verbs in docs/training.md is whole, and what ships by a name is in a page."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize(
    "name", sorted({*(name for kind in KINDS for name in list_recipes(kind)), *list_encoders()})
)
def test_what_ships_is_in_a_page(name: str) -> None:
    pages = " ".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert re.search(rf"`{name}`|--config {name}\b", pages), f"no page says what {name} is"
