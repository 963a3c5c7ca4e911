"""The page of messages: each of them stands in the code, and a robot's are all on the page."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
ROOMS = [ROOT / "cg3d_sdk", ROOT / "runtime", ROOT / "export", ROOT / "training"]

#: Whoever has a robot meets what these raise, so the page has every message of theirs.
WHOLE = [
    "runtime/cg3d_runtime/arguments.py",
    "runtime/cg3d_runtime/points/check.py",
    "runtime/cg3d_runtime/points/normalize.py",
    "runtime/cg3d_runtime/engines/choose.py",
    "runtime/cg3d_runtime/engines/forks.py",
    "cg3d_sdk/naming.py",
    "cg3d_sdk/networks.py",
    "cg3d_sdk/newest.py",
]

#: Stands for what a message fills in.
_GAP = "\0"


def template(node: ast.expr) -> str | None:
    """A string of the code with gaps for what is filled in; None for other expressions."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [v.value if isinstance(v, ast.Constant) else _GAP for v in node.values]
        return "".join(map(str, parts))
    return None


@cache
def templates() -> tuple[str, ...]:
    found = []
    for room in ROOMS:
        for file in room.rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            found += [t for n in ast.walk(tree) if isinstance(n, ast.expr) and (t := template(n))]
    return tuple(found)


def raised(file: str) -> list[str]:
    """The messages of every `raise SomeError("...")` of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    calls = [n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise)]
    messages = [template(c.args[0]) for c in calls if isinstance(c, ast.Call) and c.args]
    return [m for m in messages if m]


def quotes() -> list[str]:
    """The messages in the first column of the page's tables."""
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    return [m for row in rows for m in re.findall(r"^\| `([^`]+)` \|", row) if "cg3d " not in m]


def says(text: str, quote: str) -> bool:
    """Whether a message of the code says what the page quotes."""
    parts = [re.escape(part) for part in quote.split("...")]
    return re.search(".*?".join(parts), text, re.S) is not None


@pytest.mark.parametrize("quote", quotes())
def test_a_quoted_message_is_ours(quote: str) -> None:
    assert len(quote) > 8
    assert any(says(text, quote) for text in templates())


@pytest.mark.parametrize("file", WHOLE)
def test_the_page_has_every_message_of_a_robots_rooms(file: str) -> None:
    missing = [
        m for m in raised(file) if m.strip(_GAP + " :") and not any(says(m, q) for q in quotes())
    ]
    assert missing == []


def test_a_message_that_is_not_ours_is_noticed() -> None:
    assert len(quotes()) > 40
    assert not any(says(text, "the flux capacitor is empty") for text in templates())
    assert says(f"cloud {_GAP} of {_GAP}: {_GAP}", "cloud ... of ...:")
    assert not says(f"cloud {_GAP}", "cloud 3")
