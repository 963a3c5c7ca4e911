"""What a run ran with: the versions of code and libraries, and the machine."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch

from cg3d_sdk.version import __version__


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
