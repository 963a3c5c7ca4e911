"""Does the exported graph say what the trained network says? Measured, never assumed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import BundleError
from cg3d_training.encoders import PointEncoder

Precision = Literal["fp32", "fp16"]

#: The least mean cosine between a graph's and torch's embeddings.
MEAN_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.999}

#: The least share of clouds whose best label is the same.
TOP1_AGREEMENT = 0.99

#: Sizes of the batches, in turn.
_SIZES = (1, 2, 7, 32)


@dataclass(frozen=True)
class Parity:
    """A graph in ONNX Runtime against the network in torch, FP32.

    Attributes:
        count: how many clouds or texts were compared.
        mean_cosine, worst_cosine: between the two embeddings of each.
        top1_agreement: share whose nearest vector of the bank is the same.
        reference, engine: what was compared.
    """

    count: int
    mean_cosine: float
    worst_cosine: float
    top1_agreement: float
    reference: str
    engine: str

    def record(self, unit: str) -> dict[str, Any]:
        """For the manifest; `unit` is what was counted, "clouds" or "texts"."""
        record = asdict(self)
        return {unit: record.pop("count"), **record}


def encoder_parity(
    encoder: PointEncoder,
    model: bytes,
    clouds: NDArray[np.float32],
    anchors: NDArray[np.float32],
) -> Parity:
    """Compare a 3D encoder's graph with the encoder.

    Args:
        encoder: as trained, FP32, in eval mode.
        model: its ONNX file.
        clouds: (n, points, 3) float32, prepared.
        anchors: (L, d) float32 unit rows, the bank in the space of comparison.
    """
    return _compare(encoder.embed_ordered, model, "points", clouds, lambda rows: rows @ anchors.T)


def text_parity(
    tower: nn.Module,
    model: bytes,
    tokens: NDArray[np.int64],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Parity:
    """Compare a text encoder's graph with the encoder.

    Args:
        tower: as trained, FP32, in eval mode.
        model: its ONNX file.
        tokens: (n, L) int64.
        score: (n, d) raw text vectors to their (n, L) similarities with the bank.
    """
    return _compare(tower, model, "tokens", tokens, score)


def require_parity(parity: Parity, precision: Precision, what: str) -> None:
    """Let nothing pass that is below the bar.

    Raises:
        BundleError: with the numbers.
    """
    bar = MEAN_COSINE[precision]
    # Written so that NaN fails.
    if parity.mean_cosine >= bar and parity.top1_agreement >= TOP1_AGREEMENT:
        return
    hint = " Export it with --precision fp32." if precision == "fp16" else ""
    raise BundleError(
        f"the exported {what} ({precision}) does not say what torch says: over {parity.count} "
        f"inputs the mean cosine is {parity.mean_cosine:.6f} (at least {bar}), the worst "
        f"{parity.worst_cosine:.6f}, and the best label agrees for "
        f"{100 * parity.top1_agreement:.1f} % (at least {100 * TOP1_AGREEMENT:.0f} %). No bundle "
        f"was written.{hint}"
    )


def _compare(
    network: Callable[[Tensor], Tensor],
    model: bytes,
    name: str,
    inputs: NDArray[Any],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Parity:
    engine = open_engine(model, "cpu")
    # One after the other: their threads would keep each other from the cores.
    exported = [
        engine.run({name: batch})["embedding"] for batch in _batches(inputs, f"{name}, exported")
    ]
    with torch.no_grad():
        trained = [
            network(torch.from_numpy(batch)).numpy()
            for batch in _batches(inputs, f"{name}, trained")
        ]
    return _parity(np.concatenate(exported), np.concatenate(trained), score, engine.name)


def _batches(inputs: NDArray[Any], title: str) -> Iterator[NDArray[Any]]:
    """The inputs in batches of several sizes: a graph that works for one alone is found out."""
    sizes, start = itertools.cycle(_SIZES), 0
    with tqdm(total=len(inputs), desc=title, leave=False) as bar:
        while start < len(inputs):
            batch = inputs[start : start + next(sizes)]
            yield batch
            start += len(batch)
            bar.update(len(batch))


def _parity(
    exported: NDArray[np.float32],
    trained: NDArray[np.float32],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    engine: str,
) -> Parity:
    cosine = np.zeros(len(trained))
    agrees = np.zeros(len(trained), bool)
    # An embedding that is not finite agrees with nothing.
    sound = np.isfinite(exported).all(axis=1) & np.isfinite(trained).all(axis=1)
    if sound.any():
        a, b = exported[sound].astype(np.float64), trained[sound].astype(np.float64)
        cosine[sound] = (a * b).sum(axis=1) / (
            np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        )
        agrees[sound] = score(exported[sound]).argmax(axis=1) == score(trained[sound]).argmax(
            axis=1
        )
    return Parity(
        count=len(trained),
        mean_cosine=round(float(cosine.mean()), 7),
        worst_cosine=round(float(cosine.min()), 7),
        top1_agreement=float(agrees.mean()),
        reference=f"torch {torch.__version__} FP32",
        engine=engine,
    )
