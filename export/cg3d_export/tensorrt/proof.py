"""Engines held against ONNX Runtime on real clouds, before a robot may load them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from cg3d_export.clouds import LIMIT
from cg3d_export.parity import (
    MEAN_COSINE,
    TOP1_AGREEMENT,
    Parity,
    compare,
    graph_runner,
    holds,
    in_batches,
)
from cg3d_export.report import ExportReport, bank_of, engine_report
from cg3d_export.tensorrt.parts import PartToBuild
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.engines.plan import Part, PlanInfo
from cg3d_runtime.engines.tensorrt import TensorRTEngine
from cg3d_runtime.errors import EngineError
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.tokenizer import Tokenizer

#: A part as it was built: what it was built from, the plan, its sidecar.
Built = tuple[PartToBuild, bytes, PlanInfo]

#: The largest difference of two probabilities. FP32 on two devices differs by rounding alone.
_SCORES = 1e-3

_ADVICE = {
    "fp32": "Use another version of TensorRT, or run the bundle with ONNX Runtime.",
    "fp16": "Try --precision bf16 or fp32, which takes a bundle that was exported with "
    "--precision fp32, or another version of TensorRT.",
}


def prove(
    bundle: Bundle, built: dict[Part, Built], clouds: Path | None, largest: int
) -> ExportReport | None:
    """Run every engine against ONNX Runtime, or numpy in the bank's case.

    Args:
        bundle: that the engines were built from.
        built: every part; the encoder among them.
        clouds: see `check_clouds`; the samples of cg3d-sdk by default.
        largest: the largest batch that the engines take.

    Returns:
        The report about encoder and bank; None for plans of TensorRT-RTX, which TensorRT does not
        load.

    Raises:
        DependencyError: no ONNX Runtime to compare with.
        EngineError: an engine does not load, does not run, or is below the bar of its precision.
    """
    if any(plan[:4] == b"vtrt" for _, plan, _ in built.values()):
        return None
    bank = _load(built["bank"])
    _check_bank(bundle, bank, largest)
    if "text_encoder" in built:
        _check_text(bundle, built["text_encoder"], largest)
    report = _report(bundle, built["encoder"], clouds, largest, bank)
    if "recognizer" in built:
        _report(bundle, built["recognizer"], clouds, largest, None)
    return report


def _check_bank(bundle: Bundle, engine: Engine, largest: int) -> None:
    """Let it rank the bank's own words, and hold its scores against numpy's."""
    bank = bank_of(bundle)
    rows = bank.vectors[_picked(len(bank.vectors))]
    found = in_batches(lambda x: engine.run({"embedding": x})["scores"], rows, "bank", largest)
    best = in_batches(lambda x: engine.run({"embedding": x})["top_labels"], rows, "bank", largest)
    expected = bank.score(rows)
    off = float(np.abs(found - expected).max())
    # Of words with the same vector either may come first.
    ranked = np.take_along_axis(expected, best[:, :1].astype(np.int64), axis=1)[:, 0]
    if not (off <= _SCORES and (ranked >= expected.max(axis=1) - _SCORES).all()):
        raise EngineError(
            f"the engine of the bank does not score as numpy does: scores differ by {off:.2g} (at "
            f"most {_SCORES}), over {len(rows)} words. No engine was written. {_ADVICE['fp32']}"
        )


def _check_text(bundle: Bundle, one: Built, largest: int) -> None:
    """Let it embed the bank's labels, and hold the vectors against ONNX Runtime's."""
    info, bank, text = bundle.manifest.text.encoder, bank_of(bundle), bundle.text()
    assert info is not None
    tokenizer = Tokenizer(bundle.bytes(info.merges).decode("utf-8"))
    tokens = tokenizer([text.labels[i] for i in _picked(len(text.labels))], info.context_length)
    reference, name = graph_runner(bundle.bytes(info.file), "tokens")
    engine, space = _load(one), TextSpace(text.mean)
    expected = in_batches(reference, tokens, name)
    found = in_batches(
        lambda batch: engine.run({"tokens": batch})["embedding"], tokens, engine.name, largest
    )
    part = one[0]
    parity = compare(found, expected, lambda x: bank.score(space.apply(x)), name, engine.name)
    if not holds(parity, part.precision):
        raise EngineError(_verdict(part, parity, "texts"))


def _picked(count: int) -> NDArray[np.int64]:
    """Which of so many rows to look at, evenly."""
    return np.linspace(0, count - 1, min(LIMIT, count)).round().astype(np.int64)


def _report(
    bundle: Bundle, one: Built, clouds: Path | None, largest: int, bank: Engine | None
) -> ExportReport:
    part, _, _ = one
    report = engine_report(
        bundle,
        _load(one),
        clouds,
        precision=part.precision,
        bank=bank,
        model=onnx.load_model_from_string(part.model),
        largest=largest,
    )
    for row in report.engines:
        if row.parity is not None and not row.passed:
            raise EngineError(_verdict(part, row.parity, "clouds"))
    return report


def _verdict(part: PartToBuild, parity: Parity, unit: str) -> str:
    precision = part.precision
    return (
        f"the engine of the {part.part} ({precision}) does not say what ONNX Runtime says: over "
        f"{parity.count} {unit} the mean cosine is {parity.mean_cosine:.6f} (at least "
        f"{MEAN_COSINE[precision]}), the worst {parity.worst_cosine:.6f}, and the best label "
        f"agrees for {100 * parity.top1_agreement:.1f} % (at least "
        f"{100 * TOP1_AGREEMENT[precision]:.0f} %). No engine was written. "
        f"{_ADVICE.get(precision, _ADVICE['fp16'])}"
    )


def _load(one: Built) -> Engine:
    _, plan, info = one
    return TensorRTEngine(plan, info)
