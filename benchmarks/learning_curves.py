"""Draw loss and held-out accuracy of pre-training runs, epoch by epoch, from their logs.

    python benchmarks/learning_curves.py models/household-tiny/{pretrain,held-out}.jsonl \\
      --name tiny --name "held out" -o docs/images/model/curves.png
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@click.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--name", "names", multiple=True, help="Of each log, in the same order.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(logs: tuple[Path, ...], names: tuple[str, ...], output: Path) -> None:
    """Loss on the left, held-out accuracy on the right where a run measured it."""
    if len(names) != len(logs):
        raise click.UsageError(f"{len(logs)} logs need as many --name, not {len(names)}")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for log, name in zip(logs, names, strict=True):
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        left.plot([e["epoch"] + 1 for e in entries], [e["loss"] for e in entries], label=name)
        checked = [e for e in entries if "validation" in e]
        epochs = [e["epoch"] + 1 for e in checked]
        for key, style, rank in (("validation", "-", 1), ("validation_top5", "--", 5)):
            shares = [100 * e[key] for e in checked]
            if shares:
                right.plot(epochs, shares, style, label=f"{name}, among the first {rank}")
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="held-out objects named right, %")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.legend(fontsize=8)
    figure.tight_layout()
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
