"""Runs that can be gone on with: where they lie and how far they came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import from_dict
from cg3d_training.data.reading import read_json, read_text
from cg3d_training.runs.folder import CONFIG, STATE
from cg3d_training.runs.loggers import LOG

#: How deep below a folder runs are looked for.
_DEPTHS = ("", "*/", "*/*/")

C = TypeVar("C")


@dataclass(frozen=True)
class Unfinished(Generic[C]):
    """A run that stopped.

    Attributes:
        folder: of the run.
        config: its recipe.
        epochs: how many it finished; of the seed that was under way, where it has several.
        saved: when its state was last written, for comparison.
    """

    folder: Path
    config: C
    epochs: int
    saved: int


def read_run(folder: Path, kind: type[C]) -> Unfinished[C]:
    """A run's recipe and how far it came, finished or not.

    Raises:
        TrainingError: it is not the folder of a run of this kind, or it holds no state.
    """
    file = folder / CONFIG
    states = [*folder.glob(STATE), *folder.glob(f"*/{STATE}")]
    if not file.is_file() or not states:
        raise TrainingError(
            f"{folder}: there is no run to resume (a run has {CONFIG} and {STATE}); "
            "start one without --resume"
        )
    raw = read_json(file)
    if not isinstance(raw, dict):
        raise TrainingError(f"{file}: should hold keys and values")
    config = from_dict(kind, raw, str(file))
    newest = max(states, key=lambda state: state.stat().st_mtime_ns)
    log = newest.with_name(LOG)
    epochs = len(read_text(log).splitlines()) if log.is_file() else 0
    return Unfinished(folder, config, epochs, newest.stat().st_mtime_ns)


def newest_unfinished(folder: Path, kind: type[C], result: str, recipe: C | None) -> Unfinished[C]:
    """The run at or below a folder that was at work last and has no result yet.

    Args:
        folder: to look in, two folders deep.
        kind: of recipe; runs of other kinds do not count.
        result: the file that a finished run has.
        recipe: take only runs of this one; None: of any.

    Raises:
        TrainingError: there is none.
    """
    files = [file for depth in _DEPTHS for file in sorted(folder.glob(depth + CONFIG))]
    found: list[Unfinished[C]] = []
    for place in (file.parent for file in files):
        if (place / result).exists() or (place.parent / CONFIG).exists():
            continue  # done, or one seed's part of a run
        try:
            found.append(read_run(place, kind))
        except TrainingError:
            continue  # another kind of run, or nothing saved yet
    fitting = [run for run in found if recipe is None or run.config == recipe]
    if not fitting:
        others = ", ".join(str(run.folder) for run in found)
        more = f" of this recipe; there are of others: {others}" if others else ""
        raise TrainingError(
            f"{folder}: no unfinished run in or below it{more}. Start one without --resume"
        )
    return max(fitting, key=lambda run: run.saved)
