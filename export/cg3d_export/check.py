"""`cg3d-export BUNDLE --check`: a bundle's graphs against every TensorRT, and their types."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cg3d_export.bank import bank_graph, encoder_graph_of
from cg3d_export.operators import TENSORRT, OperatorRow, operator_table, operators_text, refused
from cg3d_export.tensorrt.parse import read_onnx
from cg3d_export.types import TypeRow, precision_table, table_text
from cg3d_runtime.bundle import Bundle


@dataclass(frozen=True)
class PartCheck:
    """One graph of a bundle.

    Attributes:
        part: "encoder", "bank" or "text_encoder".
        operators: against each TensorRT.
        types: what computes in which type.
    """

    part: str
    operators: tuple[OperatorRow, ...]
    types: tuple[TypeRow, ...]


def check_bundle(bundle: Bundle) -> tuple[PartCheck, ...]:
    """Look at every graph of a bundle. Needs neither TensorRT nor a device.

    Raises:
        BundleError: the bundle is damaged.
        EngineError: a graph of it is none.
    """
    manifest = bundle.manifest
    graphs = {
        "encoder": encoder_graph_of(bundle),
        "bank": bank_graph(bundle),
    }
    if manifest.text.encoder is not None:
        graphs["text_encoder"] = read_onnx(bundle.bytes(manifest.text.encoder.file), "text_encoder")
    return tuple(
        PartCheck(part, operator_table(graph), precision_table(graph))
        for part, graph in graphs.items()
    )


def check_record(checks: tuple[PartCheck, ...]) -> dict[str, Any]:
    """For programs: the tables, and by version whether TensorRT takes everything."""
    return {
        "tensorrt": {v: not any(refused(c.operators, v) for c in checks) for v in TENSORRT},
        "parts": [asdict(check) for check in checks],
    }


def check_text(checks: tuple[PartCheck, ...]) -> str:
    """For people: a verdict for each version, then the tables."""
    lines = []
    for version, where in TENSORRT.items():
        parts = [check.part for check in checks if refused(check.operators, version)]
        verdict = f"does not take {', '.join(parts)}" if parts else "takes every operator"
        lines.append(f"TensorRT {version} ({where}): {verdict}")
    for check in checks:
        lines += ["", f"{check.part}: operators", operators_text(check.operators)]
        lines += ["", f"{check.part}: what runs in which type", table_text(check.types)]
    return "\n".join(lines)
