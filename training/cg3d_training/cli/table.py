"""`cg3d-train table`: finished runs collected into the paper's tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from cg3d_training.cli.evaluate_zeroshot import PROTOCOL_NAMES
from cg3d_training.cli.options import (
    FOLDER,
    chosen_device,
    data_option,
    device_option,
    json_option,
    threads_option,
    use_threads,
)


@click.command("table")
@click.argument("which", type=click.Choice(["2", "3", "figure5"]), metavar="2|3|figure5")
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--voted", is_flag=True, help="2, figure5: accuracies with voting.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="PNG",
    help="figure5: draw it too; needs the extra [plots].",
)  # fmt: skip
@click.option("--dataset", metavar="SET", help="3: as for `evaluate zeroshot`.")
@data_option("3: where the set is looked for by its name.")
@click.option("--phrasing", "phrasings", multiple=True, help="3: as for `evaluate zeroshot`.")
@click.option("--protocol", type=click.Choice(PROTOCOL_NAMES), default="sdk", show_default=True,
              help="3: as for `evaluate zeroshot`.")  # fmt: skip
@click.option("--points", type=click.IntRange(2), metavar="N", help="3: points of a cloud.")
@json_option("Every run, as JSON.")
@threads_option
@device_option
def table_command(
    which: str, runs: tuple[Path, ...], voted: bool, plot: Path | None, dataset: str | None,
    data: Path, phrasings: tuple[str, ...], protocol: str, points: int | None, as_json: bool,
    threads: int | None, device: str,
) -> None:  # fmt: skip
    """Collect RUNS, or folders of runs, into a table of the paper.

    2 and figure5 take runs of `finetune`; 3 takes runs of `pretrain-triplets` and measures them on
    --dataset. Rows are found by the runs' recipes; runs that differ by the seed alone make a mean
    and a sample deviation.

    \b
    Examples:
      cg3d-train table 2 runs/finetune
      cg3d-train table figure5 runs/finetune --plot figure5.png
      cg3d-train table 3 runs/ablation --dataset scanobjectnn --data /sets
    """
    use_threads(threads)
    if which == "3":
        from cg3d_training.paper.ablation import measure_ablation, table_3
        from cg3d_training.paper.phrasings import find_phrasings
        from cg3d_training.paper.protocol import PROTOCOLS
        from cg3d_training.paper.sets import find_set

        if dataset is None:
            raise click.UsageError("table 3 is measured on a set: give --dataset")
        place = find_set(dataset, data)
        how = PROTOCOLS[protocol]
        how = dataclasses.replace(how, points=points or how.points)
        found = measure_ablation(
            runs, place.read("test"), find_phrasings(phrasings or ["paper"]), how,
            chosen_device(device),
        )  # fmt: skip
        _show(found, table_3(found, place.title), as_json)
        return
    from cg3d_training.paper.curves import draw_figure_5
    from cg3d_training.paper.finetuned import figure_5, read_tuned, table_2

    tuned = read_tuned(runs)
    _show(tuned, (table_2 if which == "2" else figure_5)(tuned, voted), as_json)
    if plot is not None:
        draw_figure_5(tuned, plot, voted)
        click.echo(f"wrote {plot}", err=as_json)


def _show(found: list, table: str, as_json: bool) -> None:  # type: ignore[type-arg]
    rows = [dataclasses.asdict(one) for one in found]
    click.echo(json.dumps(rows, indent=1, default=str) if as_json else table)
