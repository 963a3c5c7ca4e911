"""Plans for the tests: bytes that begin like TensorRT's and hold nothing that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.engines.cuda import CudaDevice
from cg3d_runtime.engines.plan import (
    ENGINES,
    Part,
    PlanInfo,
    Profile,
    plan_sources,
    plan_tag,
    write_plan,
)

ORIN = CudaDevice("Orin", "8.7", 8 << 30, "12.6")
VERSION = "10.3.0.30"
TAG = "sm87-trt10.3.0-fp16"
ENCODER = {"points": Profile((1, 6, 3), (2, 6, 3), (4, 6, 3))}
TEXT = {"tokens": Profile((1, 24), (1, 24), (4, 24))}


def plan_bytes(version: str = VERSION, magic: bytes = b"ftrt", body: bytes = b"plan" * 50) -> bytes:
    return magic + bytes(20) + bytes(map(int, version.split("."))) + bytes(4) + body


def plan_info(bundle: Bundle, part: Part = "encoder", **changes: Any) -> PlanInfo:
    info = PlanInfo(
        part=part,
        precision="fp16",
        plan=file_info(plan_bytes()),
        onnx_sha256="ab" * 32,
        sources=plan_sources(bundle, part),
        tensorrt=VERSION,
        compute_capability="8.7",
        device="Orin",
        driver="12.6",
        profiles=TEXT if part == "text_encoder" else ENCODER,
        layer_types={"Half": 41, "Float": 60},
        version_compatible=False,
        hardware_compatibility="none",
        created="2024-05-06",
    )
    return replace(info, **changes)


def make_plan(
    bundle: Bundle, part: Part = "encoder", plan: bytes | None = None, **changes: Any
) -> Path:
    """Write a plan into the bundle's folder; gives the plan's place."""
    plan = plan_bytes() if plan is None else plan
    info = plan_info(bundle, part, plan=file_info(plan), **changes)
    tag = plan_tag(info.compute_capability, info.tensorrt, info.precision)
    write_plan(bundle.root / ENGINES / tag, part, plan, info)
    return bundle.root / ENGINES / tag / f"{part}.plan"
