"""What a build of engines may be told, and how it is written on a command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cg3d_runtime.errors import InputError

HardwareCompatibility = Literal["none", "ampere_plus", "same_compute_capability"]

MIB, GIB = 1 << 20, 1 << 30

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(mib|mb|m|gib|gb|g)?", re.IGNORECASE)

#: A GPU's scratch memory below this fails builds; beyond it, it stops being a slip of the pen.
_SMALLEST_WORKSPACE, _LARGEST_WORKSPACE = MIB, 1 << 44

#: Where the device's memory is not known.
_UNKNOWN_WORKSPACE = GIB

#: Larger than any engine here has use for.
_DEFAULT_WORKSPACE_CAP = 4 * GIB


@dataclass(frozen=True)
class BatchRange:
    """The batch sizes that an engine takes.

    Attributes:
        minimum, maximum: the smallest and largest, both included.
        optimum: the one that it is tuned for.
    """

    minimum: int = 1
    optimum: int = 8
    maximum: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.optimum <= self.maximum <= 1 << 16:
            raise InputError(
                f"the batch {self} should be three sizes that do not fall, MIN:OPT:MAX, between 1 "
                f"and {1 << 16}, e.g. 1:8:64"
            )

    def __str__(self) -> str:
        return f"{self.minimum}:{self.optimum}:{self.maximum}"


@dataclass(frozen=True)
class BuildOptions:
    """How TensorRT builds an engine.

    Attributes:
        batch: the batch sizes that the engine takes.
        workspace: most bytes of device memory that a layer may use as scratch; None chooses by
            the device, see `workspace_for`.
        timing_cache: file that keeps the timings of layers from build to build; None for none.
        optimization_level: 0 (quickest build) to 5 (longest search), TensorRT's own scale.
        version_compatible: the engine also loads in later versions of TensorRT, and is larger.
        hardware_compatibility: which other devices may load the engine; not on Jetson boards.
    """

    batch: BatchRange = BatchRange()
    workspace: int | None = None
    timing_cache: Path | None = None
    optimization_level: int = 3
    version_compatible: bool = False
    hardware_compatibility: HardwareCompatibility = "none"

    def __post_init__(self) -> None:
        if not 0 <= self.optimization_level <= 5:
            raise InputError(
                f"the optimization level is {self.optimization_level}; it should be between 0 "
                "(quickest build) and 5 (longest search)"
            )


def parse_batch(text: str) -> BatchRange:
    """MIN:OPT:MAX, or one number for a fixed batch.

    Raises:
        InputError: it is neither, or the sizes fall.
    """
    sizes = text.split(":")
    if len(sizes) not in (1, 3) or not all(re.fullmatch(r"\d{1,6}", size) for size in sizes):
        raise InputError(
            f"the batch {text!r} should be MIN:OPT:MAX, e.g. 1:8:64, or one number for a fixed "
            "batch"
        )
    numbers = [int(size) for size in sizes]
    return BatchRange(*(numbers if len(numbers) == 3 else numbers * 3))


def parse_memory(text: str) -> int:
    """Bytes from "512", "512MiB" or "2GiB"; a bare number is MiB.

    Raises:
        InputError: it is no such size, or beyond all reason.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = GIB if match and (match[2] or "m").lower().startswith("g") else MIB
    size = int(float(match[1]) * unit) if match else 0
    if not _SMALLEST_WORKSPACE <= size <= _LARGEST_WORKSPACE:
        raise InputError(
            f"the workspace {text!r} should be a size between 1MiB and 16384GiB, e.g. 512MiB or "
            "2GiB; a bare number is MiB"
        )
    return size


def workspace_for(memory: int | None) -> int:
    """The scratch memory that a build takes unless told: a quarter of the device's, at most 4 GiB.

    TensorRT by itself takes all of it. On a board whose 8 GB are shared with the CPU that leaves
    the system nothing, and the build is killed.

    Args:
        memory: of the device in bytes; None where there is none, which gives 1 GiB.
    """
    if memory is None:
        return _UNKNOWN_WORKSPACE
    return max(_SMALLEST_WORKSPACE, min(memory // 4, _DEFAULT_WORKSPACE_CAP))


def describe_memory(size: int) -> str:
    """ "512 MiB" or "2 GiB"."""
    if size >= GIB:
        return f"{size / GIB:.4g} GiB"
    return f"{size / MIB:.4g} MiB"
