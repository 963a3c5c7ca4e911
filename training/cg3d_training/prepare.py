"""`cg3d-train prepare`: a folder of meshes or clouds to shards of triplets.

Every object becomes one file in `OUT/parts/`, whole or not at all; when all objects of a shard are
there, their files are put one after the other into the shard, in the order of the list. So an
interrupted run loses only the objects that were being made, and neither interruptions nor the
number of processes leave a trace in the shards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from cg3d_runtime.bundle.folders import replace_file_with
from cg3d_runtime.errors import Cg3dError, DependencyError, TrainingError
from cg3d_sdk.version import __version__
from cg3d_training.data.isolated import run_isolated
from cg3d_training.data.mesh_list import MeshItem
from cg3d_training.data.samples import encode_sample
from cg3d_training.data.shards import is_indexed, write_index, write_shard
from cg3d_training.data.triplets import TripletSettings, make_triplet

#: What could not be used: a line for each object, with the reason.
BROKEN = "broken.jsonl"
#: What the folder was made from, to go on with the same.
STATE = "prepare.json"
_PARTS = "parts"

_Task = tuple[int, MeshItem]
_Make = Callable[[_Task], None]


class Spread(Protocol):
    """Hands tasks out and gives them back as they are done, as `run_isolated` does."""

    def __call__(
        self, function: _Make, tasks: Iterable[_Task], *, died: _Make
    ) -> Iterator[tuple[_Task, None]]:
        """See `run_isolated`."""


@dataclass(frozen=True)
class PrepareReport:
    """What a run did.

    Attributes:
        objects: objects on the list.
        written: objects in the shards.
        broken: objects that could not be used.
        made: objects that were worked on now, and not by an earlier run.
        shards: tar files.
        seconds: time of this run.
        objects_per_second: made / seconds.
        reasons: why objects could not be used, and how many.
    """

    objects: int
    written: int
    broken: int
    made: int
    shards: int
    seconds: float
    objects_per_second: float
    reasons: dict[str, int]


def prepare(
    folder: Path,
    items: Sequence[MeshItem],
    out: Path,
    settings: TripletSettings,
    *,
    shard_objects: int = 500,
    workers: int = 1,
    spread: Spread | None = None,
    blender: str = "blender",
) -> PrepareReport:
    """Make shards of triplets, or go on where an earlier run with the same arguments stopped.

    Args:
        folder: of the meshes.
        items: from `list_meshes`.
        out: a new folder, or one that this function began.
        settings: what is made of each object.
        shard_objects: objects of the list in a shard; broken ones leave their place empty.
        workers: processes. The shards do not depend on it.
        spread: hands the work out in place of processes on this machine, see
            `cg3d_training.data.cluster`; they do not depend on that either.
        blender: its executable, where it is the renderer.

    Raises:
        TrainingError: `out` holds something else, or was begun with other arguments.
        DependencyError: trimesh or pillow is not installed, or what the renderer needs.
    """
    begun = time.monotonic()
    state = _state(items, settings, shard_objects)
    _begin(out, state)
    made = 0
    if not is_indexed(out):
        make = partial(_make_one, folder.resolve(), out.resolve(), settings, blender)
        spread = spread or partial(run_isolated, workers=workers)
        made = _make_all(items, out, shard_objects, spread, make)
        _collect_reports(out, items)
        write_index(out, quiet=False)
    shutil.rmtree(out / _PARTS, ignore_errors=True)
    for leftover in out.glob(".*.new-*"):  # of a run that was killed
        leftover.unlink(missing_ok=True)
    broken = _broken(out)
    seconds = time.monotonic() - begun
    return PrepareReport(
        objects=len(items),
        written=len(items) - len(broken),
        broken=len(broken),
        made=made,
        shards=len(list(out.glob("shard-*.tar"))),
        seconds=round(seconds, 3),
        objects_per_second=round(made / max(seconds, 1e-9), 3),
        reasons=dict(Counter(line["reason"] for line in broken).most_common()),
    )


def _make_all(
    items: Sequence[MeshItem], out: Path, shard_objects: int, spread: Spread, make: _Make
) -> int:
    """Make what is missing; shards are put together as soon as they can be. How many were made."""
    shards = range(0, len(items), shard_objects)
    rows_of = {n: range(s, min(s + shard_objects, len(items))) for n, s in enumerate(shards)}
    missing = {
        n: {row for row in rows if not _is_made(out, row)}
        for n, rows in rows_of.items()
        if not _shard(out, n).is_file()
    }
    for n in [n for n, rows in missing.items() if not rows]:
        _assemble(out, n, rows_of[n])
    todo = [row for n in sorted(missing) for row in sorted(missing[n])]
    done = len(items) - len(todo)
    with tqdm(total=len(items), initial=done, desc="prepare", unit="object") as bar:
        tasks = ((row, items[row]) for row in todo)
        for (row, _), _ in spread(make, tasks, died=partial(_died, out)):
            bar.update()
            n = row // shard_objects
            missing[n].discard(row)
            if not missing[n]:
                _assemble(out, n, rows_of[n])
    return len(todo)


def _make_one(
    folder: Path, out: Path, settings: TripletSettings, blender: str, task: _Task
) -> None:
    """Runs in a process of its own: one object to its part, or to a report of what is wrong."""
    row, item = task
    try:
        part = encode_sample(make_triplet(folder, item, f"{row:08d}", settings, blender))
    except DependencyError:
        raise
    except Cg3dError as error:
        _write_report(out, row, item, str(error))
    except MemoryError:
        _write_report(out, row, item, "it takes more memory than there is")
    except Exception as error:  # noqa: BLE001  # one strange file must not end a run of days
        _write_report(out, row, item, f"{type(error).__name__}: {error}"[:300])
    else:
        replace_file_with(_part(out, row), [part])


def _died(out: Path, task: _Task) -> None:
    reason = "its process ended (out of memory, or a crash in a library)"
    _write_report(out, task[0], task[1], reason)


def _assemble(out: Path, number: int, rows: range) -> None:
    """The parts of a shard to one tar."""
    parts = [_part(out, row) for row in rows if _part(out, row).is_file()]
    if parts:
        write_shard(_shard(out, number), (part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


def _is_made(out: Path, row: int) -> bool:
    return _part(out, row).is_file() or _report_path(out, row).is_file()


def _part(out: Path, row: int) -> Path:
    return out / _PARTS / f"{row:08d}.part"


def _report_path(out: Path, row: int) -> Path:
    return out / _PARTS / f"{row:08d}.broken"


def _shard(out: Path, number: int) -> Path:
    return out / f"shard-{number:06d}.tar"


def _write_report(out: Path, row: int, item: MeshItem, reason: str) -> None:
    line = {"file": item.file, "name": item.name, "reason": reason}
    replace_file_with(_report_path(out, row), [json.dumps(line, ensure_ascii=False).encode()])


def _collect_reports(out: Path, items: Sequence[MeshItem]) -> None:
    """All reports to one file, with those that are already there."""
    reports = {line["file"]: line for line in _broken(out)}
    for row, item in enumerate(items):
        if _report_path(out, row).is_file():
            reports[item.file] = json.loads(_report_path(out, row).read_text("utf-8"))
    known = [reports[item.file] for item in items if item.file in reports]
    lines = (json.dumps(report, ensure_ascii=False) + "\n" for report in known)
    replace_file_with(out / BROKEN, (line.encode() for line in lines))


def _broken(out: Path) -> list[dict[str, str]]:
    if not (out / BROKEN).is_file():
        return []
    return [json.loads(line) for line in (out / BROKEN).read_text("utf-8").splitlines()]


def _state(
    items: Sequence[MeshItem], settings: TripletSettings, shard_objects: int
) -> dict[str, Any]:
    def listed() -> Iterator[bytes]:
        for item in items:
            yield json.dumps(asdict(item), sort_keys=True).encode() + b"\n"

    digest = hashlib.sha256()
    for line in listed():
        digest.update(line)
    return {
        "format": 1,
        "cg3d_sdk": __version__,
        **asdict(settings),
        "shard_objects": shard_objects,
        "objects": len(items),
        "list_sha256": digest.hexdigest(),
    }


def _begin(out: Path, state: dict[str, Any]) -> None:
    """Make the folder, or see that it was begun with the same arguments."""
    path = out / STATE
    if not path.is_file():
        if out.exists() and any(out.iterdir()):
            raise TrainingError(f"{out} is not empty and not a folder of `prepare`: choose another")
        (out / _PARTS).mkdir(parents=True)
        replace_file_with(path, [json.dumps(state, indent=1).encode()])
        return
    try:
        before = json.loads(path.read_text("utf-8"))
        changed = [key for key in state if before.get(key) != state[key]]
    except (ValueError, AttributeError, RecursionError) as error:
        raise TrainingError(f"{path} is damaged; remove {out} to begin anew") from error
    if changed:
        raise TrainingError(
            f"{out} was begun with other arguments ({', '.join(changed)}). Use the same to go on, "
            "choose another folder, or remove it to begin anew."
        )
    (out / _PARTS).mkdir(exist_ok=True)
