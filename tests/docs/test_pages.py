"""Every page's Python, and its `cg3d` commands, run in order as they stand."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from given_things import FILES, NAMES, NEEDS

from cg3d_sdk.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- needs: (?P<needs>[^\n]*?) -->\n)?```(?P<language>python|sh)\n(?P<code>.*?)^```",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the number of the line before its code."""

    language: str
    code: str
    line: int
    needs: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(b["language"], b["code"], text.count("\n", 0, b.start("code")), b["needs"])
        for b in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[list[str]]:
    """The words of the lines that call `cg3d`."""
    lines = block.code.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("cg3d ")]
    return [w[1:] for w in words]


def runs(block: Block) -> bool:
    return block.language == "python" or bool(commands(block))


WITH_CODE = [page for page in PAGES if any(runs(block) for block in blocks(page))]


def make_files(mentioned: set[str]) -> None:
    for name in mentioned & FILES.keys():
        if not Path(name).exists():
            FILES[name](Path(name))


def run_python(page: Path, block: Block, namespace: dict[str, object]) -> None:
    tree = ast.parse("\n" * block.line + block.code, page.name)
    nodes = list(ast.walk(tree))
    own = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    used = {n.id for n in nodes if isinstance(n, ast.Name)} - own
    for name in used & NAMES.keys() - namespace.keys():
        namespace[name] = NAMES[name]()
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    make_files(texts)
    exec(compile(tree, page.name, "exec"), namespace)


def run_command(page: Path, block: Block, words: list[str]) -> None:
    made = {words[i + 1] for i, word in enumerate(words) if word in ("-o", "--output")}
    make_files(set(words) - made)
    result = CliRunner().invoke(main, words)
    where = f"{page.name}, block at line {block.line}: cg3d {shlex.join(words)}"
    assert result.exit_code == 0, f"{where}\n{result.output}\n{result.exception!r}"


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in filter(runs, blocks(page)):
        if block.needs is not None and not NEEDS[block.needs]():
            compile(block.code, page.name, "exec") if block.language == "python" else None
            continue
        if block.language == "python":
            run_python(page, block, namespace)
        for words in commands(block) if block.language == "sh" else []:
            run_command(page, block, words)


def test_what_is_given_is_used() -> None:
    """No fixture outlives the page that it was made for, and no need is misspelled."""
    everything = "\n".join(block.code for page in PAGES for block in blocks(page))
    assert {page.name for page in WITH_CODE} >= {"README.md", "scenes.md", "jetson.md"}
    for name in [*NAMES, *FILES]:
        assert re.search(rf"\b{re.escape(name)}\b", everything), name
    asked = {block.needs for page in PAGES for block in blocks(page)} - {None}
    assert asked <= NEEDS.keys()


def test_a_page_that_is_wrong_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- needs: a GPU -->\n```python\nanswer = 1\n```\ntext\n```python\nassert len(points)\n"
        "import no_such_module\n```\n```sh\nls\ncg3d info no_such_bundle\n```\n",
        encoding="utf-8",
    )
    needs, python, shell = blocks(page)
    assert (needs.needs, python.needs, python.line) == ("a GPU", None, 6)
    with pytest.raises(ModuleNotFoundError):
        run_python(page, python, {})
    with pytest.raises(AssertionError, match=r"line 10: cg3d info no_such_bundle"):
        run_command(page, shell, commands(shell)[0])
