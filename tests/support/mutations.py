"""Damaged files by the thousand: a reader gives points or a Cg3dError, soon, in little memory.

    PYTHONPATH=tests python -m support.mutations --count 4000 -o benchmarks/mutations.json

A child process reads files that differ from sound ones by flipped bits, a cut, bytes put in, taken
out or repeated, or a number that lies. A fault is: any exception but a `Cg3dError`; points that are
no (n, 3) floats, or more of them than the bytes can hold; points from a file that was cut and are
not those of the whole; over 2 s of processor time; over 512 MB beyond what the child had when it
began (its address space is limited to that); a crash; or no progress for a minute. Every file
follows from its kind and its number, so `--kind mcap --first 1234 --count 1` makes one again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from support.sound_files import COUNTED, KINDS, TEXT, sound_file

from cg3d_runtime.errors import Cg3dError
from cg3d_runtime.files import read_points
from cg3d_runtime.sensors import PointCloud2, read_frames

MOST_SECONDS = 2.0
MOST_MEMORY = 512 << 20
_STALL = 60.0  # seconds
_BATCH = 400

_LIES = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_TEXT_LIES = (b"0", b"-1", b"1e9", b"99999999999", b"4294967296", b"nan", b"")


def mutate(kind: str, number: int, sound: bytes) -> tuple[str, bytes]:
    """The damaged file of that number, and what was done to it."""
    rng = np.random.default_rng([sum(kind.encode()), len(kind), number])
    content = bytearray(sound)
    # Headers come first in most files and last in zip, glb, mcap: faults gather there.
    spread = int(rng.choice([48, 400, len(content)]))

    def place(room: int = 1) -> int:
        offset = int(rng.integers(0, max(min(spread, len(content)) - room, 0) + 1))
        return offset if rng.random() < 0.75 else max(len(content) - room - offset, 0)

    ways = ("flip", "cut", "insert", "remove", "repeat", "lie", "text")
    way = str(rng.choice(ways, p=(0.3, 0.15, 0.08, 0.08, 0.04, 0.25, 0.1)))
    if way == "flip":
        for _ in range(int(rng.integers(1, 9))):
            at = min(place(), len(content) - 1)
            content[at] ^= 1 << int(rng.integers(0, 8))
    elif way == "cut":
        del content[int(rng.integers(0, len(content))) :]
    elif way == "insert":
        at = place()
        content[at:at] = rng.bytes(int(rng.integers(1, 40)))
    elif way == "remove":
        at = place()
        del content[at : at + int(rng.integers(1, 40))]
    elif way == "repeat":
        at, length = place(), int(rng.integers(1, 200))
        content[at:at] = content[at : at + length] * int(rng.integers(1, 50))
    elif way == "lie":
        for _ in range(int(rng.integers(1, 3))):
            size = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(np.array(_LIES, np.uint64))) % (1 << 8 * size)
            at = place(size)
            content[at : at + size] = value.to_bytes(
                size, "little" if rng.random() < 0.8 else "big"
            )
    else:
        numbers = list(re.finditer(rb"\d+(\.\d+)?", bytes(content[: 1 << 14])))
        if numbers:
            found = numbers[int(rng.integers(0, len(numbers)))]
            content[found.start() : found.end()] = _TEXT_LIES[int(rng.integers(0, len(_TEXT_LIES)))]
    return way, bytes(content)


def read(kind: str, content: bytes, folder: Path) -> list[NDArray[Any]]:
    """The clouds in a file of that kind; what a user would call."""
    if kind == "cdr":
        return [PointCloud2.from_cdr(content).frame().points]
    if kind == "ros1-message":
        return [PointCloud2.from_ros1(content).frame().points]
    if kind in ("metadata", "db3-zstd"):  # a folder, of which one file is damaged
        bag = folder / ("mcap" if kind == "metadata" else kind)
        name = "metadata.yaml" if kind == "metadata" else f"{kind}.db3"
        (bag / name).write_bytes(content)
        return [frame.points for frame in read_frames(bag)]
    path = folder / f"damaged{KINDS[kind]}"
    path.write_bytes(content)
    if path.suffix in (".bag", ".db3", ".mcap"):
        return [frame.points for frame in read_frames(path)]
    return [read_points(path).points]


def _wrong(
    kind: str, way: str, content: bytes, clouds: list[Any], sound: bytes, whole: list[Any]
) -> str:
    """What is wrong about an answer; empty where nothing is."""
    for points in clouds:
        if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f":
            return f"points are {points.shape} {points.dtype}"
    total = sum(map(len, clouds))
    if total > max(8192, 2 * len(content)) and kind != "laz":
        return f"{total} points of {len(content)} bytes"
    if kind not in COUNTED or (kind in TEXT and b" " not in sound[len(content) - 1 :].rstrip()):
        return ""  # nothing says how much there was, or only the last number of a text was cut
    same = len(clouds) == len(whole) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(clouds, whole, strict=True)
    )
    return "an answer other than the whole file's" if way == "cut" and not same else ""


def _worker(kind: str, first: int, count: int, told: Path) -> None:
    """Read files in this process, which is limited first; leaves progress and result in `told`."""
    os.dup2(os.open(told / "complaints", os.O_CREAT | os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = sound_file(kind, folder)
        whole = read(kind, sound, folder)
        before = _status("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (before + MOST_MEMORY,) * 2)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        resting = _status("VmRSS")
        outcomes: Counter[str] = Counter()
        faults: list[dict[str, Any]] = []
        slowest = 0.0
        with (told / "progress").open("r+b", buffering=0) as progress:
            for number in range(first, first + count):
                progress.seek(0)
                progress.write(f"{number:20d}".encode())
                way, content = mutate(kind, number, sound)
                start = time.process_time()
                fault = ""
                try:
                    clouds = read(kind, content, folder)
                    outcomes["answered"] += 1
                    fault = _wrong(kind, way, content, clouds, sound, whole)
                except Cg3dError as error:
                    outcomes["refused"] += 1
                    outcomes["memory refused"] += isinstance(error.__cause__, MemoryError)
                except BaseException:  # noqa: BLE001 - a Rust panic is no Exception
                    fault = traceback.format_exc(limit=-4)
                spent = time.process_time() - start
                slowest = max(slowest, spent)
                if spent > MOST_SECONDS:
                    fault = f"{spent:.1f} s. {fault}"
                if fault:
                    faults.append({"number": number, "way": way, "fault": fault})
        peak = _status("VmHWM") - resting
    outcomes["files"] = count
    report = {
        "outcomes": outcomes,
        "slowest_s": round(slowest, 3),
        "peak_mb": round(max(peak, 0) / (1 << 20), 1),
        "faults": faults,
    }
    (told / "result.json").write_text(json.dumps(report))


def _status(key: str) -> int:
    """Bytes, of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.M)
    assert found is not None
    return int(found[1]) << 10


def new_report() -> dict[str, Any]:
    """What is known before a file was read."""
    return {"outcomes": Counter(), "slowest_s": 0.0, "peak_mb": 0.0, "faults": []}


def add(report: dict[str, Any], part: dict[str, Any]) -> None:
    """Add what some more files gave."""
    report["outcomes"].update(part["outcomes"])
    report["faults"] += part["faults"]
    for key in ("slowest_s", "peak_mb"):
        report[key] = max(report[key], part.get(key, 0.0))


def run_batch(kind: str, first: int, count: int) -> dict[str, Any]:
    """Read files in a child; where it dies or hangs, the one that did it is a fault and the rest
    are read by another."""
    report = new_report()
    end = first + count
    while first < end:
        with tempfile.TemporaryDirectory() as name:
            told = Path(name)
            (told / "progress").write_bytes(b"%20d" % first)
            # Forked, so that the imports are paid for once.
            child = multiprocessing.get_context("fork").Process(
                target=_worker, args=(kind, first, end - first, told)
            )
            child.start()
            why = _watch(child, told)
            if why is None:
                part = json.loads((told / "result.json").read_text())
                first = end
            else:
                at = int((told / "progress").read_bytes())
                fault = {"number": at, "way": "", "fault": why}
                part = {"outcomes": {"files": at + 1 - first}, "faults": [fault]}
                first = at + 1
        add(report, part)
    return report


def _watch(child: ForkProcess, told: Path) -> str | None:
    """Wait for a child; None where it ended well, else what became of it."""
    seen, since = b"", time.monotonic()
    while child.is_alive():
        child.join(timeout=0.5)
        now = (told / "progress").read_bytes()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _STALL:
            child.kill()
            child.join()
            return f"no progress for {_STALL:.0f} s"
    if child.exitcode == 0:
        return None
    complaint = (told / "complaints").read_text(errors="replace")
    return f"the process ended with {child.exitcode}: {complaint[:500]}"


@click.command()
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Default: all."
)
@click.option("--first", default=0, show_default=True)
@click.option("--count", default=40, show_default=True, help="Files of each kind.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The report, as JSON.")
def main(kinds: tuple[str, ...], first: int, count: int, output: Path | None) -> None:
    """Read COUNT damaged files of each kind."""
    reports: dict[str, dict[str, Any]] = {kind: new_report() for kind in kinds or KINDS}
    for start in range(first, first + count, _BATCH):  # every kind, so that a part says something
        for kind, report in reports.items():
            add(report, run_batch(kind, start, min(_BATCH, first + count - start)))
            click.echo(
                f"{kind:16} {report['outcomes']['files']:6} files, {report['slowest_s']:.3f} s, "
                f"{report['peak_mb']} MB, {len(report['faults'])} faults"
            )
            if output is not None:
                files = sum(r["outcomes"]["files"] for r in reports.values())
                faults = sum(len(r["faults"]) for r in reports.values())
                document = {"files": files, "faults": faults, "kinds": reports}
                output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
