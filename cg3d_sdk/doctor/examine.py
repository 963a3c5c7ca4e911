"""Everything that `cg3d doctor` looks at, in the order that it is told."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from cg3d_runtime.cores import usable_cores
from cg3d_runtime.engines.choose import EngineChoice
from cg3d_sdk.doctor.bundle import bundle_findings
from cg3d_sdk.doctor.engines import engine_findings
from cg3d_sdk.doctor.finding import Finding
from cg3d_sdk.doctor.machine import (
    board,
    jetson_linux,
    memory,
    power_mode,
    processor,
)

_GIB = 2**30

#: module, extra of cg3d-sdk, what for: what a robot may want besides.
OPTIONAL = (
    ("trimesh", "files", "mesh files"),
    ("onnx", "build", "building TensorRT engines"),
    ("PIL", "images", "picture files"),
)

#: Variables that hold back numpy's BLAS, by the library that reads them.
_BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def examine(bundle: Path, engine: EngineChoice = "auto") -> Iterator[Finding]:
    """Look at the machine, its engines, and a bundle on it.

    Args:
        bundle: the folder of a bundle.
        engine: what should run it.
    """
    yield from machine_findings()
    tensorrt = None
    for finding in engine_findings():
        if finding.name == "tensorrt" and finding.ok:
            tensorrt = finding.found
        yield finding
    yield from optional_findings()
    yield from bundle_findings(bundle, engine, tensorrt)


def machine_findings() -> Iterator[Finding]:
    """The board, its memory and power mode, and Python."""
    release = jetson_linux()
    yield Finding("board", board() or "of no name that the system tells")
    system = f"Jetson Linux {release}, " if release else ""
    yield Finding("system", f"{system}{platform.system()} {platform.release()}")
    yield Finding("cpu", f"{usable_cores()} cores to use, {processor()}")
    sizes = memory()
    if sizes is not None:
        yield Finding("memory", f"{sizes[0] / _GIB:.1f} GiB, {sizes[1] / _GIB:.1f} GiB free")
    mode = power_mode()
    if mode is None:
        yield Finding("power mode", "not readable here")
    elif mode == "CPU governor powersave":
        fix = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("power mode", mode, False, fix=fix)
    else:
        yield Finding("power mode", mode)
    good = sys.version_info >= (3, 10)
    fix = "" if good else "use Python 3.10 or newer"
    yield Finding("python", platform.python_version(), good, True, fix)
    yield _blas()


def optional_findings() -> Iterator[Finding]:
    """Packages that bring more kinds of input."""
    for module, extra, why in OPTIONAL:
        there = importlib.util.find_spec(module) is not None
        fix = "" if there else f"pip install 'cg3d-sdk[{extra}]'"
        yield Finding(module, f"{'there' if there else 'not installed'} ({why})", there, fix=fix)


def _blas() -> Finding:
    version = importlib.metadata.version("numpy")
    held = [f"{name}={os.environ[name]}" for name in _BLAS if name in os.environ]
    if held:
        return Finding("numpy", f"{version}, {', '.join(held)}")
    if usable_cores() == 1:
        return Finding("numpy", version)
    return Finding(
        "numpy",
        f"{version}; its BLAS keeps a thread for every core",
        False,
        fix="export OPENBLAS_NUM_THREADS=1 (docs/robot.md)",
    )
