"""Does one engine say what another says? Measured, never assumed. Needs no torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_export.precision import emulated, precision_share
from cg3d_runtime.bundle.parts import Precision
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import BundleError

#: The least mean cosine between embeddings, by precision. BF16 rounds eight times as coarsely as
#: FP16; it is held to the same bar, since that is what it reaches.
MEAN_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.999, "int8": 0.99}

#: The least share of clouds whose best label is the same. A bank of many names holds near ties,
#: which the noise of INT8 decides anew; see docs/precision.md.
TOP1_AGREEMENT: dict[Precision, float] = {"fp32": 0.99, "fp16": 0.99, "bf16": 0.99, "int8": 0.95}

#: Sizes of the batches, in turn.
_SIZES = (1, 2, 7, 32)

#: What to do about a precision that fails.
_HINTS: dict[Precision, str] = {
    "fp32": "",
    "fp16": " Export it with --precision fp32, or keep that module in FP32 with --keep.",
    "bf16": " Export it with --precision fp16, or keep that module in FP32 with --keep.",
    "int8": " Export it with --precision fp16, or keep that module in FP16 with --keep.",
}


@dataclass(frozen=True)
class Parity:
    """How an engine's embeddings compare with the reference's.

    Attributes:
        count: how many clouds or texts were compared.
        mean_cosine, worst_cosine: between the two embeddings of each.
        top1_agreement: share whose nearest vector of the bank is the same.
        top5_agreement: how much of the five nearest is the same, on average.
        reference, engine: what was compared.
    """

    count: int
    mean_cosine: float
    worst_cosine: float
    top1_agreement: float
    top5_agreement: float
    reference: str
    engine: str

    def record(self, unit: str) -> dict[str, Any]:
        """For the manifest; `unit` is what was counted, "clouds" or "texts"."""
        record = asdict(self)
        return {unit: record.pop("count"), **record}


def compare(
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    reference: str,
    engine: str,
) -> Parity:
    """Compare embeddings, row by row.

    Args:
        found, expected: (n, d) float32, of any length.
        score: (n, d) embeddings to their (n, L) similarities with the bank.
        reference, engine: what gave `expected` and `found`.
    """
    cosine = row_cosines(found, expected)
    top1, top5 = np.zeros(len(found)), np.zeros(len(found))
    # An embedding that is not finite agrees with nothing.
    sound = np.isfinite(found).all(axis=1) & np.isfinite(expected).all(axis=1)
    if sound.any():
        here, there = score(found[sound]), score(expected[sound])
        top1[sound] = here.argmax(axis=1) == there.argmax(axis=1)
        top5[sound] = [
            len(set(a) & set(b)) / len(a) for a, b in zip(best(here), best(there), strict=True)
        ]
    return Parity(
        count=len(found),
        mean_cosine=round(float(cosine.mean()), 7),
        worst_cosine=round(float(cosine.min()), 7),
        top1_agreement=float(top1.mean()),
        top5_agreement=round(float(top5.mean()), 4),
        reference=reference,
        engine=engine,
    )


def row_cosines(found: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) cosines of (n, d) rows; 0 where a row is not finite."""
    cosine = np.zeros(len(found))
    sound = np.isfinite(found).all(axis=1) & np.isfinite(expected).all(axis=1)
    a, b = found[sound].astype(np.float64), expected[sound].astype(np.float64)
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine[sound] = (a * b).sum(axis=1) / np.where(length > 0, length, np.inf)
    return cosine


def best(scores: NDArray[np.float32], count: int = 5) -> NDArray[np.int64]:
    """(n, count) the columns of the largest scores, largest first; fewer where there are fewer."""
    order: NDArray[np.int64] = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return order


def in_batches(
    run: Callable[[NDArray[Any]], NDArray[np.float32]],
    inputs: NDArray[Any],
    title: str,
    largest: int = max(_SIZES),
) -> NDArray[np.float32]:
    """(n, d) what a network makes of n inputs, in batches of several sizes.

    A graph that works for one size alone is found out so.

    Args:
        run: (b, ...) inputs to (b, d) embeddings.
        inputs: all of them.
        title: of the progress bar.
        largest: the largest batch that the network takes.
    """
    return np.concatenate([run(batch) for batch in _batches(inputs, title, largest)])


def graph_runner(
    model: bytes, given: str
) -> tuple[Callable[[NDArray[Any]], NDArray[np.float32]], str]:
    """A graph in ONNX Runtime on the CPU, BF16 emulated: a function, and the name of the engine."""
    graph = onnx.load_from_string(model)
    bf16 = precision_share(graph).bf16 > 0
    engine = open_engine(emulated(graph).SerializeToString() if bf16 else model, "cpu")
    name = f"{engine.name}, BF16 emulated" if bf16 else engine.name
    return lambda batch: engine.run({given: batch})["embedding"], name


def require_parity(parity: Parity, precision: Precision, what: str, blame: str = "") -> None:
    """Let nothing pass that is below the bar.

    Args:
        parity: as measured.
        precision: of the engine that was compared.
        what: it is, for the message.
        blame: a sentence about the layer that spoils it, if that is known.

    Raises:
        BundleError: with the numbers.
    """
    if holds(parity, precision):
        return
    bar, share = MEAN_COSINE[precision], TOP1_AGREEMENT[precision]
    raise BundleError(
        f"the exported {what} ({precision}) does not say what {parity.reference.split()[0]} says: "
        f"over {parity.count} inputs the mean cosine is {parity.mean_cosine:.6f} (at least {bar}), "
        f"the worst {parity.worst_cosine:.6f}, and the best label agrees for "
        f"{100 * parity.top1_agreement:.1f} % (at least {100 * share:.0f} %). "
        f"{blame}{' ' if blame else ''}No bundle was written.{_HINTS[precision]}"
    )


def holds(parity: Parity, precision: Precision) -> bool:
    """Whether the bar of a precision is held. Written so that NaN fails."""
    return (
        parity.mean_cosine >= MEAN_COSINE[precision]
        and parity.top1_agreement >= TOP1_AGREEMENT[precision]
    )


def _batches(inputs: NDArray[Any], title: str, largest: int) -> Iterator[NDArray[Any]]:
    sizes, start = itertools.cycle([s for s in _SIZES if s <= largest] or [1]), 0
    with tqdm(total=len(inputs), desc=title, leave=False) as bar:
        while start < len(inputs):
            batch = inputs[start : start + next(sizes)]
            yield batch
            start += len(batch)
            bar.update(len(batch))
