"""From a bundle to its engines on this machine, top to bottom."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cg3d_export.report import ExportReport, report_json
from cg3d_export.report_html import report_html
from cg3d_export.tensorrt.build import BuiltPlan, build_plan
from cg3d_export.tensorrt.machine import Machine
from cg3d_export.tensorrt.options import BuildOptions, workspace_for
from cg3d_export.tensorrt.parts import PartToBuild, parts_to_build
from cg3d_export.tensorrt.proof import prove
from cg3d_export.tensorrt.timing_cache import default_timing_cache
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.engines.onnx_runtime import load_onnxruntime
from cg3d_runtime.engines.plan import (
    ENGINES,
    Part,
    PlanInfo,
    Precision,
    plan_sources,
    write_plan,
)
from cg3d_runtime.errors import BundleError, EngineError


@dataclass(frozen=True)
class EngineJob:
    """All that a build will do, settled before it starts; `--dry-run` shows it.

    Attributes:
        bundle: whose graphs are built.
        precision: of the encoder.
        options: with the workspace and the timing cache that will be used, where they are known.
        parts: in the order of building.
        machine: what was found here.
        folder: where the plans go.
        clouds: to compare the engines on; the samples of cg3d-sdk where None.
    """

    bundle: Bundle
    precision: Precision
    options: BuildOptions
    parts: tuple[PartToBuild, ...]
    machine: Machine
    folder: Path
    clouds: Path | None = None


@dataclass(frozen=True)
class BuiltPart:
    """A plan that lies in its place.

    Attributes:
        part: what was built.
        built: the plan and what was read back.
        path: the plan's file; its sidecar is beside it.
    """

    part: PartToBuild
    built: BuiltPlan
    path: Path


@dataclass(frozen=True)
class BuiltEngines:
    """The engines of a bundle, in their place.

    Attributes:
        parts: in the order of building.
        report: how encoder and bank compare with ONNX Runtime; None where plans of TensorRT-RTX
            were built, which TensorRT does not load.
    """

    parts: tuple[BuiltPart, ...]
    report: ExportReport | None


def engine_job(
    bundle: Bundle,
    options: BuildOptions,
    machine: Machine,
    precision: Precision | None = None,
    fuse: bool = False,
    clouds: Path | None = None,
) -> EngineJob:
    """Settle what a build will do. Needs neither TensorRT nor a device.

    Args:
        bundle: an opened bundle.
        options: how to build; a workspace or timing cache of None becomes the device's default,
            where there is a device.
        machine: for which.
        precision: of the encoder; the bundle's where None.
        fuse: encoder and bank in one engine as well.
        clouds: to compare the engines on, see `check_clouds`.

    Raises:
        InputError: the precision cannot be had from what the bundle holds.
        BundleError: the bundle is damaged.
        EngineError: a graph of the bundle is not one that engines can be built from.
    """
    precision = precision or bundle.manifest.encoder.precision
    if machine.device is not None:
        options = replace(
            options,
            workspace=options.workspace or workspace_for(machine.device.memory_bytes),
            timing_cache=options.timing_cache or default_timing_cache(machine),
        )
    return EngineJob(
        bundle,
        precision,
        options,
        parts_to_build(bundle, precision, options, fuse),
        machine,
        bundle.root / ENGINES / machine.tag(precision),
        clouds,
    )


def build_engines(
    job: EngineJob, announce: Callable[[str], None] = lambda step: None
) -> BuiltEngines:
    """Build every part, compare them with ONNX Runtime, and put them beside the bundle.

    Args:
        job: of `engine_job`, on a machine that has TensorRT and a device.
        announce: told the name of every step before it.

    Raises:
        EngineError, InputError, DependencyError: as `build_plan` and `prove`; nothing was written.
        BundleError: the disk refused.
    """
    load_onnxruntime()  # what compares is missed before the build, not after
    plans: dict[Part, BuiltPlan] = {}
    for part in job.parts:
        announce(f"building the engine of the {part.part.replace('_', ' ')}")
        plans[part.part] = build_plan(
            part.model, part.profiles, job.options, part.part, part.precision
        )
    infos = {part.part: _info(job, part, plans[part.part]) for part in job.parts}

    announce("comparing the engines with ONNX Runtime")
    whole = {p.part: (p, plans[p.part].plan, infos[p.part]) for p in job.parts}
    report = prove(job.bundle, whole, job.clouds, job.options.batch.maximum)

    announce("writing the engines")
    for name, info in infos.items():
        write_plan(job.folder, name, plans[name].plan, info)
    if report is not None:
        _write_report(job.folder, report)
    done = (
        BuiltPart(part, plans[part.part], job.folder / f"{part.part}.plan") for part in job.parts
    )
    return BuiltEngines(tuple(done), report)


def built_record(job: EngineJob, built: BuiltEngines) -> dict[str, Any]:
    """What was built, as JSON has it."""
    parity = built.report.engines[1].parity if built.report else None
    return {
        "folder": str(job.folder),
        "tensorrt": job.machine.tensorrt,
        "device": job.machine.device.name if job.machine.device else None,
        "parity": parity.record("clouds") if parity else None,
        "parts": [
            {
                "part": one.part.part,
                "precision": one.part.precision,
                "plan": str(one.path),
                "bytes": len(one.built.plan),
                "seconds": round(one.built.seconds, 2),
                "inputs": one.built.inputs,
                "outputs": one.built.outputs,
                "products": one.built.products,
                "layer_types": one.built.layer_types,
                "notes": one.built.notes,
            }
            for one in built.parts
        ],
    }


def _write_report(folder: Path, report: ExportReport) -> None:
    try:
        replace_file(folder / "report.json", report_json(report))
        replace_file(folder / "report.html", report_html(report).encode())
    except OSError as error:
        raise BundleError(
            f"the report could not be written to {folder}: {error}. Check the disk and its "
            "permissions; the engines are in their place."
        ) from error


def _info(job: EngineJob, part: PartToBuild, built: BuiltPlan) -> PlanInfo:
    device = job.machine.device
    if device is None:
        raise EngineError("a plan is made for a device, and there is none here")
    return PlanInfo(
        part=part.part,
        precision=part.precision,
        plan=file_info(built.plan),
        onnx_sha256=part.onnx_sha256,
        sources=plan_sources(job.bundle, part.part),
        tensorrt=built.tensorrt,
        compute_capability=device.compute_capability,
        device=device.name,
        driver=device.driver,
        profiles=part.profiles,
        layer_types=built.layer_types,
        version_compatible=job.options.version_compatible,
        hardware_compatibility=job.options.hardware_compatibility,
        created=datetime.date.today().isoformat(),
    )
