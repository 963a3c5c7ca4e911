"""Engines held against ONNX Runtime on real clouds, before a robot may load them."""

from __future__ import annotations

from pathlib import Path

import onnx

from cg3d_export.parity import Parity
from cg3d_export.report import ExportReport, engine_report
from cg3d_export.tensorrt.parts import PartToBuild
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.engines.plan import Part, PlanInfo
from cg3d_runtime.engines.tensorrt import TensorRTEngine
from cg3d_runtime.errors import EngineError

#: A part as it was built: what it was built from, the plan, its sidecar.
Built = tuple[PartToBuild, bytes, PlanInfo]


def prove(
    bundle: Bundle, built: dict[Part, Built], clouds: Path | None, largest: int
) -> ExportReport | None:
    """Run the engines of encoder and bank, and the fused one, against the bundle's graph.

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
    report = _report(bundle, built["encoder"], clouds, largest, _load(built["bank"]))
    if "recognizer" in built:
        _report(bundle, built["recognizer"], clouds, largest, None)
    return report


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
            raise EngineError(_verdict(part, row.parity, report))
    return report


def _verdict(part: PartToBuild, parity: Parity, report: ExportReport) -> str:
    advice = {
        "fp32": "Use another version of TensorRT, or run the bundle with ONNX Runtime.",
        "fp16": "Try --precision bf16 or fp32, which takes a bundle that was exported with "
        "--precision fp32, or another version of TensorRT.",
    }
    return (
        f"the engine of the {part.part} ({part.precision}) does not say what ONNX Runtime says: "
        f"over {parity.count} clouds the mean cosine is {parity.mean_cosine:.6f} (at least "
        f"{report.mean_cosine[part.precision]}), the worst {parity.worst_cosine:.6f}, and the best "
        f"label agrees for {100 * parity.top1_agreement:.1f} % (at least "
        f"{100 * report.top1_agreement[part.precision]:.0f} %). No engine was written. "
        f"{advice.get(part.precision, advice['fp16'])}"
    )


def _load(one: Built) -> Engine:
    _, plan, info = one
    return TensorRTEngine(plan, info)
