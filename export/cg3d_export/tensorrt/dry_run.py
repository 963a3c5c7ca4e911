"""What a build would do, said before it is done and where it cannot be done."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cg3d_export.tensorrt.bundle import EngineJob
from cg3d_export.tensorrt.options import describe_memory
from cg3d_export.tensorrt.parts import PartToBuild
from cg3d_export.types import table_text


def job_record(job: EngineJob) -> dict[str, Any]:
    """The job as JSON has it; what only the device tells is null."""
    options, machine = job.options, job.machine
    return {
        "bundle": str(job.bundle.root),
        "precision": job.precision,
        "machine": {
            "tensorrt": machine.tensorrt,
            "device": machine.device.name if machine.device else None,
            "compute_capability": machine.device.compute_capability if machine.device else None,
            "can_build": bool(machine.tensorrt and machine.device),
        },
        "batch": str(options.batch),
        "workspace": options.workspace,
        "timing_cache": str(options.timing_cache) if options.timing_cache else None,
        "optimization_level": options.optimization_level,
        "version_compatible": options.version_compatible,
        "hardware_compatibility": options.hardware_compatibility,
        "parts": [_part_record(part, job) for part in job.parts],
    }


def job_text(job: EngineJob) -> str:
    """The job for people."""
    options, machine = job.options, job.machine
    device = machine.device
    lines = [
        f"bundle        {job.bundle.root}",
        f"TensorRT      {machine.tensorrt or f'not found: {machine.fault}'}",
        "device        "
        + (
            f"{device.name}, compute capability {device.compute_capability}, "
            f"{describe_memory(device.memory_bytes)}"
            if device
            else "not found: no CUDA device, or no driver for it"
        ),
        f"folder        {job.folder}",
        "workspace     "
        + (
            describe_memory(options.workspace)
            if options.workspace
            else "a quarter of the device's memory, at most 4 GiB"
        ),
        f"timing cache  {options.timing_cache or 'a file for the device in the user cache'}",
        f"optimization  level {options.optimization_level}",
        f"compatible    versions: {'yes' if options.version_compatible else 'this one'}; "
        f"devices: {options.hardware_compatibility}",
    ]
    for part in job.parts:
        lines += ["", f"{part.part}: {part.precision}, {part.nodes} nodes -> {part.part}.plan"]
        for name, profile in part.profiles.items():
            lines.append(
                f"  input     {name}: {profile.minimum} to {profile.maximum}, best at "
                f"{profile.optimum}"
            )
        lines.append(f"  outputs   {', '.join(part.outputs)}")
        products = ", ".join(f"{n} in {kind}" for kind, n in part.products.items())
        lines.append(f"  products  {products or 'none'}")
        takes = ", ".join(version for version, faults in part.refused.items() if not faults)
        lines.append(f"  operators taken by TensorRT {takes or '(none of those that we know)'}")
        for version, faults in part.refused.items():
            lines += [f"            TensorRT {version} refuses {fault}" for fault in faults]
    lines += ["", "What of the encoder runs in which type:", table_text(job.parts[0].table)]
    lines += ["", _verdict(job)]
    return "\n".join(lines)


def _verdict(job: EngineJob) -> str:
    if job.machine.tensorrt and job.machine.device:
        return "Nothing was built. Without --dry-run this machine builds it."
    return (
        "Nothing was built, and nothing can be here: run the same command on the robot. Until "
        "then ONNX Runtime runs the bundle as it is."
    )


def _part_record(part: PartToBuild, job: EngineJob) -> dict[str, Any]:
    return {
        "part": part.part,
        "precision": part.precision,
        "plan": str(job.folder / f"{part.part}.plan"),
        "sidecar": str(job.folder / f"{part.part}.plan.json"),
        "onnx_sha256": part.onnx_sha256,
        "profiles": {
            name: {"minimum": p.minimum, "optimum": p.optimum, "maximum": p.maximum}
            for name, p in part.profiles.items()
        },
        "outputs": part.outputs,
        "nodes": part.nodes,
        "products": part.products,
        "refused": part.refused,
        "table": [asdict(row) for row in part.table],
    }
