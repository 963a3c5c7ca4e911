"""What a run ran with: the versions of code and libraries, and the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.cores import usable_cores
from cg3d_runtime.errors import TrainingError
from cg3d_sdk.doctor.machine import memory, processor
from cg3d_sdk.version import __version__

ENVIRONMENT = "environment.json"


def environment() -> dict[str, Any]:
    """Versions, commit and machine, as plain values for JSON."""
    return {
        "cg3d_sdk": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def whole_environment(processes: int) -> dict[str, Any]:
    """`environment`, and with it the command, the time, the machine and all installed packages.

    Args:
        processes: that train together.
    """
    sizes = memory()
    found = ((d.metadata["Name"], d.version) for d in importlib.metadata.distributions())
    return environment() | {
        "command": shlex.join([*_program(), *sys.argv[1:]]),
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processes": processes,
        "processor": processor(),
        "cores": usable_cores(),
        "memory": sizes and sizes[0],
        "cuda": torch.version.cuda,
        "packages": dict(sorted((name, version) for name, version in found if name)),
    }


def _program() -> list[str]:
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return ["python", "-m", called.parent.name]
    return [called.name]


def note_start(folder: Path, processes: int) -> None:
    """Write `environment.json` into a run's folder."""
    _write(folder, whole_environment(processes))


def note_resume(folder: Path, processes: int, epoch: int) -> None:
    """Add to `environment.json` that the run went on at an epoch, and what was different then.

    Raises:
        TrainingError: the file is damaged.
    """
    file = folder / ENVIRONMENT
    try:
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise TrainingError(f"{file} is damaged ({error}); move it away and resume") from error
    now = whole_environment(processes)
    old = before.get("packages", {})
    changed = {k: v for k, v in now.items() if k not in ("packages", "at") and before.get(k) != v}
    changed["packages"] = {k: v for k, v in now["packages"].items() if old.get(k) != v}
    entry = {"at": now["at"], "epoch": epoch, "changed": changed}
    _write(folder, before | {"resumed": [*before.get("resumed", []), entry]})


def _write(folder: Path, about: dict[str, Any]) -> None:
    replace_file(folder / ENVIRONMENT, json.dumps(about, indent=1).encode())


def run_facts(seconds: float, epochs: int, seed: int) -> dict[str, Any]:
    """What every checkpoint's record begins with: versions, machine, time, length and seed."""
    return {
        "cg3d_sdk": __version__,
        "torch": str(torch.__version__),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "seconds": round(seconds),
        "epochs": epochs,
        "seed": seed,
    }


def _commit() -> str | None:
    """The commit of the checkout that this module lies in, "+" if files of it were changed."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None  # installed from a wheel
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or not ours to read


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True,
        timeout=10,
    )  # fmt: skip
    return done.stdout.strip()
