"""What every precision costs on real clouds, also where they lie far away or have another unit.

    python benchmarks/precision.py --data ../shared/data [--json results.json]

200 test objects of the household set, in metres about the unit sphere, as they are; moved by 10 m
along each axis; and scaled by 0.01 and by 100. Every graph runs in ONNX Runtime on the CPU, BF16
emulated, and is compared with torch in FP32 on the same clouds: moved and scaled as float32, then
prepared as on a robot. INT8 is calibrated on 64 objects of the training split. The last columns
are the best label of 1,619 against the object's name, and torch against itself on the clouds as
they are, which is what moving and scaling cost by themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_export.against_torch import TORCH, torch_runner
from cg3d_export.graph import encoder_graph
from cg3d_export.int8 import int8_products
from cg3d_export.parity import Parity, compare, graph_runner, holds, in_batches, row_cosines
from cg3d_export.precision import half_products
from cg3d_runtime.bundle.parts import Precision
from cg3d_runtime.points.prepare import PreprocessSpec, prepare
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk import Recognizer
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.data.clip_text import load_vocabulary
from cg3d_training.data.household import HouseholdSet, load_household
from cg3d_training.data.names import NameMatcher

CHECKPOINT = Path(__file__).parents[1] / "models" / "household-small" / "checkpoint.safetensors"

#: Case -> factor and shift in metres, in that order.
CASES = {
    "as they are": (1.0, 0.0),
    "moved by 10 m": (1.0, 10.0),
    "scaled by 0.01": (0.01, 0.0),
    "scaled by 100": (100.0, 0.0),
}


@dataclass(frozen=True)
class Row:
    """One precision on one version of the clouds.

    Attributes:
        precision, case: which.
        parity: against torch on the same clouds.
        passed: whether the bar of the precision is held.
        hits: share of named objects whose best label is their name's.
        torch_hits: the same for torch.
        torch_unmoved: mean cosine of torch here and torch on the clouds as they are.
    """

    precision: Precision
    case: str
    parity: Parity
    passed: bool
    hits: float
    torch_hits: float
    torch_unmoved: float


def moved(
    objects: HouseholdSet, rows: NDArray[np.int64], case: str, spec: PreprocessSpec
) -> NDArray[np.float32]:
    """(n, points, 3) float32: objects moved and scaled, then prepared."""
    factor, shift = (np.float32(value) for value in CASES[case])
    clouds = (objects.points(i) * factor + shift for i in tqdm(rows, case, leave=False))
    return np.stack([prepare(cloud, spec, up="y").cloud for cloud in clouds])


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most so many of the rows, from the first to the last."""
    picked: NDArray[np.int64] = np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
    return picked


def graphs(
    exact: onnx.ModelProto, calibration: NDArray[np.float32]
) -> dict[Precision, onnx.ModelProto]:
    """Every precision of a graph."""
    return {
        "fp32": exact,
        "fp16": half_products(exact, "fp16"),
        "bf16": half_products(exact, "bf16"),
        "int8": int8_products(exact, calibration),
    }


def measure(checkpoint: Path, data: Path, count: int = 200) -> list[Row]:
    """Every precision in every case."""
    encoder = load_checkpoint(checkpoint).build()
    spec = PreprocessSpec(encoder.points, 4 * encoder.points)
    vocabulary = load_vocabulary(data / "clip-text")
    objects = load_household(data / "household", NameMatcher(vocabulary))
    train = objects.where(lambda o: o.split == "train")
    test = objects.where(lambda o: o.split == "test")
    rows = evenly(len(test), count)
    bank = Recognizer(engine="cpu").bank
    truth = [test.objects[i].name_row for i in rows]
    labels = [None if row is None else bank.index(vocabulary.labels[row]) for row in truth]

    calibration = moved(train, evenly(len(train), 64), "as they are", spec)
    models = graphs(encoder_graph(encoder), calibration)
    run_torch = torch_runner(encoder)
    runners = {p: graph_runner(m.SerializeToString(), "points") for p, m in models.items()}
    found: list[Row] = []
    unmoved: NDArray[np.float32] | None = None
    for case in CASES:
        clouds = moved(test, rows, case, spec)
        expected = in_batches(run_torch, clouds, "torch")
        unmoved = expected if unmoved is None else unmoved
        for precision, (run, name) in runners.items():
            embeddings = in_batches(run, clouds, precision)
            parity = compare(embeddings, expected, bank.score, TORCH, name)
            found.append(
                Row(
                    precision,
                    case,
                    parity,
                    holds(parity, precision),
                    hits(embeddings, labels, bank),
                    hits(expected, labels, bank),
                    round(float(row_cosines(expected, unmoved).mean()), 7),
                )
            )
    return found


def hits(embeddings: NDArray[np.float32], labels: list[int | None], bank: TextBank) -> float:
    """The share of named objects whose best label is right."""
    best = bank.score(embeddings).argmax(axis=1)
    named = [i for i, label in enumerate(labels) if label is not None]
    return round(float(np.mean([best[i] == labels[i] for i in named])), 4)


def table(rows: list[Row]) -> str:
    """As in docs/precision.md."""
    lines = [
        "| clouds | precision | mean cosine | worst | top-1 agrees | top-5 agrees | right name "
        "(torch) | torch, as they are |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        parity = row.parity
        lines.append(
            f"| {row.case} | {row.precision} | {parity.mean_cosine:.7f} | "
            f"{parity.worst_cosine:.7f} | {100 * parity.top1_agreement:.1f} % | "
            f"{100 * parity.top5_agreement:.1f} % | {100 * row.hits:.1f} % "
            f"({100 * row.torch_hits:.1f} %) | {row.torch_unmoved:.7f} |"
        )
    return "\n".join(lines)


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--checkpoint", default=CHECKPOINT, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write the rows here.")
def main(data: Path, checkpoint: Path, output: Path | None) -> None:
    """Print the table."""
    rows = measure(checkpoint, data)
    if output is not None:
        output.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    click.echo(table(rows))


if __name__ == "__main__":
    main()
