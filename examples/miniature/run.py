"""A miniature of the paper: objects, a teacher, CG3D, zero-shot on classes it never saw.

    python examples/miniature/run.py -o runs/miniature
    python examples/miniature/run.py -o runs/meshes --objects ../shared/data/meshes

What is done stays done: start it again after an interruption, and it goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from experiments import (
    DEPTH,
    LOSSES,
    SHARES,
    Length,
    cg3d_job,
    finetune_job,
    run_folder,
    teacher_job,
    unseen_classes,
)
from objects import (
    SETS,
    Scale,
    class_names,
    depth_set,
    generate_set,
    labelled_set,
    prepare_meshes,
    write_json,
)
from results import as_markdown, collect
from tqdm import tqdm

from cg3d_training.data.contact_sheet import write_contact_sheet
from cg3d_training.data.shards import INDEX, ShardFolder
from cg3d_training.runs.environment import environment

#: What is to be done, with arguments, and the file that says that it was.
Job = tuple[Path, Callable[..., None], tuple[Any, ...]]


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option(
    "--objects", default="generated", show_default=True, metavar="generated|FOLDER",
    help="Generated objects, or a folder of meshes (with FOLDER/FOLDER.json, if there is one, as "
    "their list).",
)  # fmt: skip
@click.option(
    "--families", type=click.Path(exists=True, path_type=Path),
    default=Path(__file__).parent / "families.txt",
    help="Names of classes, one a line, that the meshes' names are sorted into.",
)  # fmt: skip
@click.option("--seeds", default="1,2,3", show_default=True, help="Each: all losses, all starts.")
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(0),
    help="Processes, one thread each; 0: everything in this one.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="A few kinds and steps, to see that it runs.")
def main(output: Path, objects: str, families: Path, seeds: str, workers: int, quick: bool) -> None:
    """Run all of it and write OUTPUT/results.json and OUTPUT/results.md."""
    began = time.monotonic()
    output = output.resolve()
    numbers = [int(seed) for seed in seeds.split(",")]
    scale, length = Scale(), Length()
    if quick:
        scale = Scale(kinds=3, teacher=12, train=16, test=3, points=320, views=1, teacher_views=1)
        length = Length(teacher=1, cg3d=1, finetune=2)
    elif objects != "generated":
        # A tenth as many objects: as many steps take more epochs.
        length = Length(teacher=160, cg3d=180)

    about = make_objects(output / "objects", objects, families, scale)
    for part in ("train", "test"):
        depth_set(output / "objects" / part, output / f"objects/{part}-depth", scale)
    names = class_names(output / "objects/test")
    labelled_set(
        output / "objects" / ("teacher" if objects == "generated" else "train"),
        output / "objects/test", output / "labelled",
    )  # fmt: skip
    for seed in numbers:
        unseen = unseen_classes(names, seed)
        split = {"unseen": unseen, "seen": sorted(set(names) - set(unseen))}
        write_json(output / f"seed-{seed}" / "classes.json", split)

    log = output / "runs.log"
    batch = min(64, len(ShardFolder(output / "objects/teacher")) // 3)

    def tuning(start: str) -> list[Job]:
        return [
            (
                output / f"seed-{seed}" / f"finetune-{start}-{share:.0%}" / "done.json",
                finetune_job, (output, seed, start, share, length),
            )
            for share in SHARES
            for seed in numbers
        ]  # fmt: skip

    teacher: Job = (output / "teacher/done.json", teacher_job, (output, length, batch))
    do([teacher, *tuning("scratch")], "teacher; from scratch", workers, log)
    pretraining: list[Job] = [
        (
            run_folder(output, seed, losses) / "done.json",
            cg3d_job, (output, seed, losses, length),
        )
        for losses in (DEPTH, *reversed(LOSSES))  # the longest first
        for seed in numbers
    ]  # fmt: skip
    do(pretraining, "CG3D", workers, log)
    do(tuning("cg3d"), "fine-tuning", workers, log)

    about |= {
        "classes": len(names), "seeds": numbers, "workers": workers,
        "teacher": json.loads((output / "teacher/done.json").read_text("utf-8")),
        "seconds_of_last_call": round(time.monotonic() - began), "environment": environment(),
    }  # fmt: skip
    write_contact_sheet(ShardFolder(output / "objects/test"), output / "objects.jpg", 40)
    results = collect(output, numbers, about)
    write_json(output / "results.json", results)
    (output / "results.md").write_text(as_markdown(results), encoding="utf-8")
    click.echo(as_markdown(results))
    click.echo(f"{results['seconds_of_last_call']} s; {output / 'results.json'}")


def make_objects(folder: Path, objects: str, families: Path, scale: Scale) -> dict[str, Any]:
    """The three sets of shards and a sheet of the test objects; what to say of them."""
    if objects != "generated":
        counts = prepare_meshes(Path(objects), families, folder, scale)
        return {"objects": Path(objects).name, "families": counts}
    missing = [part for part in SETS if not (folder / part / INDEX).is_file()]
    with tqdm(total=len(missing) * scale.kinds, desc="objects", unit="kind") as bar:
        for part in missing:
            generate_set(folder / part, part, scale, bar)
    return {"objects": "generated", "per_kind": asdict(scale)}


def prepare_worker(log: Path) -> None:
    """One thread; and the bars of single runs to a file, where they do not overwrite each other."""
    torch.set_num_threads(1)
    sys.stderr = log.open("a", encoding="utf-8")


def do(jobs: list[Job], what: str, workers: int, log: Path) -> None:
    """Do what is not done yet, in processes of one thread each."""
    left = [job for job in jobs if not job[0].is_file()]
    if not workers:
        for _, function, arguments in left:
            function(*arguments)
        return
    if not left:
        return
    context = multiprocessing.get_context("spawn")
    with (
        tqdm(total=len(jobs), initial=len(jobs) - len(left), desc=what, unit="run") as bar,
        ProcessPoolExecutor(workers, context, prepare_worker, (log,)) as pool,
    ):
        futures = [pool.submit(function, *arguments) for _, function, arguments in left]
        for future in as_completed(futures):
            future.result()
            bar.update()


if __name__ == "__main__":
    main()
