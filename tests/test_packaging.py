"""What the package promises about its extras and its contents."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def extras() -> dict[str, list[str]]:
    """extra -> the distributions it brings by itself, from the installed metadata."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("cg3d-sdk") or []:
        requirement, _, marker = line.partition(";")
        name = re.match(r"[A-Za-z0-9_.-]+", requirement.strip())
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        assert name is not None
        found.setdefault(extra[1] if extra else "", []).append(requirement.strip())
    return found


def brought(extra: str) -> set[str]:
    """Every distribution that an extra brings, through other extras too."""
    names: set[str] = set()
    for requirement in extras()[extra]:
        inner = re.match(r"cg3d-sdk\[([\w,-]+)\]", requirement)
        if inner:
            names |= set().union(*(brought(e) for e in inner[1].split(",")))
        else:
            names.add(re.split(r"[><=!~ \[]", requirement)[0])
    return names


def test_the_base_is_light() -> None:
    names = {re.split(r"[><=]", r)[0] for r in extras()[""]}
    assert names == {"numpy", "click"}


def test_the_two_builds_of_onnxruntime_never_come_together() -> None:
    with_cpu = {e for e in extras() if e and "onnxruntime" in brought(e)}
    with_gpu = {e for e in extras() if e and "onnxruntime-gpu" in brought(e)}
    assert with_cpu == {"cpu", "trt-rtx", "dev"}
    assert with_gpu == {"gpu"}


def test_robots_get_no_torch() -> None:
    for extra in ("cpu", "gpu", "trt", "files"):
        assert not brought(extra) & {"torch", "onnx", "open_clip_torch", "safetensors"}
    assert brought("build") == {"onnx", "tqdm"}


def test_commands_are_installed() -> None:
    scripts = {s.name for s in metadata.entry_points(group="console_scripts")}
    assert {"cg3d", "cg3d-train", "cg3d-export"} <= scripts


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_supported_pythons_are_declared(version: str) -> None:
    assert f"Programming Language :: Python :: {version}" in metadata.metadata("cg3d-sdk").get_all(
        "Classifier", []
    )
    assert sys.version_info >= (3, 10)


def test_no_module_under_the_robot_wings_names_torch() -> None:
    """import-linter holds the imports; this holds the text of lazy ones too."""
    for wing in (ROOT / "cg3d_sdk", ROOT / "runtime"):
        for file in wing.rglob("*.py"):
            found = re.search(
                r"^\s*(import|from) (torch|onnx|polygraphy)\b", file.read_text(), re.M
            )
            assert found is None, file
