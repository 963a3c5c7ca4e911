"""What the documents show, runs: Python as it stands, commands by their names and options."""

from __future__ import annotations

import re
import shlex
from importlib import metadata, resources
from pathlib import Path

import click
import numpy as np
import pytest

from cg3d_sdk.shipped import default_bundle

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    default_bundle() / "MODEL_CARD.md",
]
COMMANDS = {
    s.name: s for s in metadata.entry_points(group="console_scripts") if s.name[:4] == "cg3d"
}


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.S)


def command_lines(document: Path) -> list[list[str]]:
    """Every line of a shell block that calls one of our commands, as its words."""
    text = "\n".join(blocks(document, "sh")).replace("\\\n", " ")
    calls = re.split(r"\n|&&", text)
    words = [shlex.split(call, comments=True) for call in calls]
    return [w for w in words if w and w[0].removeprefix(".venv/bin/") in COMMANDS]


ALL_LINES = [(d.name, words) for d in DOCUMENTS for words in command_lines(d)]


def test_there_is_something_to_check() -> None:
    assert len(ALL_LINES) >= 8


@pytest.mark.parametrize(("document", "words"), ALL_LINES, ids=lambda v: str(v)[:60])
def test_commands_and_options_exist(document: str, words: list[str]) -> None:
    command: click.Command = COMMANDS[words[0].removeprefix(".venv/bin/")].load()
    rest = words[1:]
    while isinstance(command, click.Group):
        if command.get_command(click.Context(command), rest[0]) is None:
            rest = [getattr(command, "first_verb", rest[0]), *rest]  # it may be left out
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"{document}: no verb {rest[0]!r}"
        command, rest = found, rest[1:]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in rest:
        if word.startswith("-"):
            assert word in known, f"{document}: {command.name} has no option {word}"


def test_the_robot_code_of_the_readme_runs() -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    namespace: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    name = namespace["name"]
    assert callable(name)
    sample = next(
        iter(sorted(Path(str(resources.files("cg3d_sdk") / "samples")).glob("chair.npz")))
    )
    with np.load(sample, allow_pickle=False) as archive:
        assert re.fullmatch(r"chair 0\.\d\d|chair 1\.00", str(name(archive["points"])))
    assert str(name(np.empty((0, 3)))).startswith("skipped: the cloud is empty")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
