"""Board, processor, memory and power mode of this machine, as the system tells."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

# Where Linux keeps what it knows of the machine.
DEVICE_TREE = Path("/proc/device-tree/model")
TEGRA_RELEASE = Path("/etc/nv_tegra_release")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
PCI = Path("/sys/bus/pci/devices")


def processor() -> str:
    """The processor's name, or its architecture where the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def memory() -> tuple[int, int] | None:
    """Bytes there are, and bytes free; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        values = {key: int(rest.split()[0]) * 1024 for key, rest in (x.split(":") for x in lines)}
        return values["MemTotal"], values["MemAvailable"]
    except (OSError, ValueError, KeyError):
        pass
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def board() -> str | None:
    """The board's own name, e.g. "NVIDIA Jetson Orin Nano"; None where nothing tells."""
    for file in (DEVICE_TREE, Path("/sys/class/dmi/id/product_name")):
        # A device tree's strings end with a zero byte.
        if name := (_text(file) or "").rstrip("\0").strip():
            return name
    return None


def jetson_linux() -> str | None:
    """The release of Jetson Linux, e.g. "R36.4.3"; None on other machines."""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", _text(TEGRA_RELEASE) or "")
    return f"R{found[1]}.{found[2]}" if found else None


def power_mode() -> str | None:
    """nvpmodel's mode on a Jetson, elsewhere what governs the CPU's clock; None if unreadable."""
    if nvpmodel := shutil.which("nvpmodel"):
        try:
            said = subprocess.run(
                [nvpmodel, "-q"], capture_output=True, text=True, timeout=10, check=False
            ).stdout
        except (OSError, subprocess.SubprocessError):
            said = ""
        if found := re.search(r"NV Power Mode: *(\S+)", said):
            return f"nvpmodel {found[1]}"
    governor = (_text(GOVERNOR) or "").strip()
    return f"CPU governor {governor}" if governor else None


def load() -> float | None:
    """Processes that wanted a core during the last minute, on average; None where unknown."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def nvidia_hardware() -> bool:
    """Whether an NVIDIA device is in the machine, driver or not."""
    if "NVIDIA" in (board() or ""):
        return True
    return any((_text(file) or "").strip() == "0x10de" for file in PCI.glob("*/vendor"))


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
