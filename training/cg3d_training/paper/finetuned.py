"""Fine-tuning runs collected into Table 2 and the curves of Figure 5."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cg3d_runtime.errors import TrainingError
from cg3d_training.finetuning.finetune import RESULTS
from cg3d_training.finetuning.report import Spread
from cg3d_training.paper.reported import TABLE_2

_LARGEST = 64 << 20


@dataclass(frozen=True)
class Tuned:
    """One seed of a run of `cg3d-train finetune`.

    Attributes:
        encoder: name of its config.
        start: "scratch" or "cg3d".
        title: the set; for sets of one's own its folder's name.
        share: of the training split.
        seed: of the run.
        objects: that it learnt from.
        overall: accuracy on the test split after the last epoch.
        voted: with voting; None without.
        source: the folder.
    """

    encoder: str
    start: str
    title: str
    share: float
    seed: int
    objects: int
    overall: float
    voted: float | None
    source: Path

    def accuracy(self, voted: bool) -> float:
        """With or without voting.

        Raises:
            TrainingError: votes are asked for and there were none.
        """
        if not voted:
            return self.overall
        if self.voted is None:
            raise TrainingError(f"{self.source} was tested without voting; leave --voted out")
        return self.voted


def read_tuned(folders: Sequence[Path]) -> list[Tuned]:
    """The seeds of finished runs.

    Args:
        folders: runs of `cg3d-train finetune`, or folders of such runs.

    Raises:
        TrainingError: there are no results, they are damaged, or the same seed of the same
            setting comes twice.
    """
    found: dict[tuple[Any, ...], Tuned] = {}
    for folder in folders:
        own = [one for file in sorted(folder.rglob(RESULTS)) for one in _seeds(file)]
        if not own:
            raise TrainingError(
                f"{folder}: no {RESULTS} of `cg3d-train finetune` in or below it; a finished "
                "run has one"
            )
        for one in own:
            key = (one.encoder, one.start, one.title, one.share, one.seed)
            if key in found:
                raise TrainingError(
                    f"seed {one.seed} of {one.encoder} from {one.start} on {one.title} "
                    f"({one.share:.0%}) is in {found[key].source} and in {one.source}; leave one "
                    "out"
                )
            found[key] = one
    return list(found.values())


def _seeds(file: Path) -> Iterator[Tuned]:
    if file.stat().st_size > _LARGEST:
        raise TrainingError(f"{file}: {file.stat().st_size} bytes are too many for results")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if "over_seeds" not in content:
            return  # another program's
        recipe = content["recipe"]
        data = recipe["data"]
        title = Path(data["folder"]).name if data["set"] == "npz" else str(data["set"])
        for seed in content["seeds"]:
            voted = seed["voted"]
            yield Tuned(
                str(recipe["encoder"]), "cg3d" if recipe["start"] else "scratch", title,
                float(data["share"]), int(seed["seed"]), int(seed["objects"]),
                float(seed["plain"]["overall"]), float(voted["overall"]) if voted else None,
                file.parent,
            )  # fmt: skip
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise TrainingError(f"{file} is not the result of a fine-tuning ({error!r})") from error


def spread(runs: Sequence[Tuned], voted: bool = False) -> Spread:
    """Mean and sample deviation over seeds."""
    values = [run.accuracy(voted) for run in runs]
    return Spread(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None)


def table_2(runs: Sequence[Tuned], voted: bool = False) -> str:
    """Markdown: a row an encoder and start, a column a set; whole training splits alone.

    Raises:
        TrainingError: no run learnt from a whole split.
    """
    whole = [run for run in runs if run.share == 1.0]
    if not whole:
        raise TrainingError("no run has learnt from the whole of its set (data.share=1.0)")
    titles = list(dict.fromkeys(run.title for run in whole))
    lines = [
        f"| encoder | start | {' | '.join(f'{t} | the paper' for t in titles)} |",
        "|---|---|" + "---|---|" * len(titles),
    ]
    for encoder, start in _rows(whole):
        cells = []
        for title in titles:
            own = _those(whole, encoder, start, title)
            cells += [_cell(own, voted), _reported(encoder, start, title)]
        lines.append(f"| {encoder} | {start} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure_5(runs: Sequence[Tuned], voted: bool = False) -> str:
    """Markdown: accuracy by share of the training split, from scratch and from CG3D weights."""
    lines = ["| encoder | set | share (objects) | scratch | CG3D | CG3D less scratch |"]
    lines.append("|---|---|---|---|---|---|")
    for encoder, title, share in sorted({(r.encoder, r.title, r.share) for r in runs}):
        own = [r for r in runs if (r.encoder, r.title, r.share) == (encoder, title, share)]
        scratch, cg3d = ([r for r in own if r.start == start] for start in ("scratch", "cg3d"))
        objects = ", ".join(map(str, sorted({r.objects for r in own})))
        lines.append(
            f"| {encoder} | {title} | {share:.0%} ({objects}) | {_cell(scratch, voted)} "
            f"| {_cell(cg3d, voted)} | {_gain(scratch, cg3d, voted)} |"
        )
    return "\n".join(lines)


def _gain(scratch: Sequence[Tuned], cg3d: Sequence[Tuned], voted: bool) -> str:
    """The difference seed by seed, for seeds that both have."""
    before = {run.seed: run.accuracy(voted) for run in scratch}
    gains = [run.accuracy(voted) - before[run.seed] for run in cg3d if run.seed in before]
    if not gains:
        return "-"
    deviation = f" ± {statistics.stdev(gains) * 100:.2f}" if len(gains) > 1 else ""
    return f"{statistics.mean(gains) * 100:+.2f}{deviation}"


def _rows(runs: Sequence[Tuned]) -> list[tuple[str, str]]:
    """Encoders in the order given, each from scratch first."""
    found = {(run.encoder, run.start) for run in runs}
    encoders = dict.fromkeys(run.encoder for run in runs)
    return [(e, s) for e in encoders for s in ("scratch", "cg3d") if (e, s) in found]


def _those(runs: Sequence[Tuned], encoder: str, start: str, title: str) -> list[Tuned]:
    return [r for r in runs if (r.encoder, r.start, r.title) == (encoder, start, title)]


def _cell(runs: Sequence[Tuned], voted: bool) -> str:
    if not runs:
        return "-"
    return f"{spread(runs, voted)} ({len(runs)} {'run' if len(runs) == 1 else 'runs'})"


def _reported(encoder: str, start: str, title: str) -> str:
    mean, deviation = TABLE_2.get((encoder, start), {}).get(title, (None, None))
    return "-" if mean is None else f"{mean:.2f} ± {deviation:.2f}"
