"""The messages that docs/engines.md explains are the ones that the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cg3d_runtime import errors

DOCS = Path(__file__).resolve().parents[2] / "docs" / "engines.md"
SOURCES = Path(errors.__file__).parent

#: What differs from case to case: quoted names, brackets, dots, stand-ins, names of CUDA's.
_VARIES = r"'[^']*'|\(1\.\..*|\(?\.\.\.\)?|\b[XY]\b|\w*_\w*|\w+ExecutionProvider"


def messages() -> list[str]:
    table = DOCS.read_text(encoding="utf-8").split("## Messages")[1]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [message for row in rows for message in re.findall(r"`([^`]+)`", row)]


def literals() -> str:
    """Every string in the runtime's code, the varying parts of f-strings left out."""
    found = []
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "\0" for v in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_there_are_messages() -> None:
    assert len(messages()) >= 15


@pytest.mark.parametrize("message", messages())
def test_a_message_is_in_the_code(message: str) -> None:
    code = literals()
    fixed = [part.strip(" :,") for part in re.split(_VARIES, message)]
    fixed = [part for part in fixed if len(part) > 3]
    assert fixed, message
    assert [part for part in fixed if part not in code] == []
