"""`cg3d-export BUNDLE`: engines, a Triton repository or plain graphs of a bundle, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cg3d_export.cli.options import build_options
from cg3d_export.tensorrt.machine import find_machine, require_machine
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError

#: TensorRT's words for what the rest of this command calls otherwise.
_TYPES = {"Float": "FP32", "Half": "FP16", "BFloat16": "BF16", "Int8": "INT8"}


def announce(step: str) -> None:
    """Say on stderr what is being done; stdout is for the result."""
    click.echo(f"{step} ...", err=True)


def export_from_bundle(source: Path, given: dict[str, Any], as_json: bool) -> str:
    """Make of a bundle what is asked for; what to print.

    Raises:
        Cg3dError: as `targets_of`.
    """
    for package in ("onnx", "tqdm"):
        require(package, "build", "Exporting a bundle further")
    bundle = Bundle.open(source)
    _check_points(bundle, given["points"])
    if given["check"]:
        from cg3d_export.check import check_bundle, check_record, check_text

        checks = check_bundle(bundle)
        return json.dumps(check_record(checks), indent=1) if as_json else check_text(checks)
    if given["dry_run"]:
        from cg3d_export.tensorrt.dry_run import job_record, job_text

        job = _job(bundle, given)
        return json.dumps(job_record(job), indent=1) if as_json else job_text(job)
    made = targets_of(bundle, given)
    if as_json:
        return json.dumps({"bundle": str(bundle.root), **made}, indent=1)
    return "\n".join(targets_text(made))


def check_targets(given: dict[str, Any], bundle: str) -> None:
    """Refuse targets that cannot be made on this machine or in their place.

    Raises:
        EngineError: engines, without TensorRT or a device.
        InputError: plain graphs, into a folder that holds something.
    """
    if given["trt"]:
        require_machine(find_machine(), bundle)
    if given["onnx_only"]:
        folder: Path = given["output"]
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is not empty. Choose another folder.")


def targets_of(bundle: Bundle, given: dict[str, Any]) -> dict[str, Any]:
    """Engines, repository and graphs, as far as they are asked for.

    Returns:
        A record of each: "engines", "triton", "onnx".

    Raises:
        Cg3dError: as the functions that make them.
    """
    made: dict[str, Any] = {}
    tag = None
    if given["trt"]:
        job = _job(bundle, given)
        require_machine(job.machine, str(bundle.root))
        from cg3d_export.tensorrt.bundle import build_engines, built_record

        made["engines"] = built_record(job, build_engines(job, announce))
        tag = job.folder.name
    if given["triton"] is not None:
        from cg3d_export.triton import write_triton

        announce("writing the Triton repository")
        repository = write_triton(bundle, given["triton"], engines=tag)
        made["triton"] = {
            "folder": str(repository.folder),
            "ensemble": repository.ensemble,
            "models": repository.models,
            "max_batch": repository.max_batch,
            "schema_checked": repository.schema_checked,
        }
    if given["onnx_only"]:
        from cg3d_export.onnx_files import write_onnx_files

        check_targets(given, str(bundle.root))
        made["onnx"] = [str(path) for path in write_onnx_files(bundle, given["output"])]
    return made


def targets_text(made: dict[str, Any]) -> list[str]:
    """The records of `targets_of` for people, a line each."""
    lines = []
    if parity := made.get("engines", {}).get("parity"):
        lines.append(
            f"Against {parity['reference']} on {parity['clouds']} clouds: mean cosine "
            f"{parity['mean_cosine']:.7f}, worst {parity['worst_cosine']:.7f}, same best label for "
            f"{100 * parity['top1_agreement']:.1f} %"
        )
    for part in made.get("engines", {}).get("parts", ()):
        types = ", ".join(f"{n} in {_TYPES.get(t, t)}" for t, n in part["products"].items())
        lines.append(
            f"{part['plan']}: {part['bytes'] / 1e6:.1f} MB in {part['seconds']:.1f} s, asked for "
            f"{part['precision']}, products: {types}"
        )
        if part["layer_types"]:
            layers = ", ".join(f"{n} in {_TYPES.get(t, t)}" for t, n in part["layer_types"].items())
            lines.append(f"  layers of the engine: {layers}")
        lines += [f"  note: {note}" for note in part["notes"]]
    if triton := made.get("triton"):
        lines.append(
            f"{triton['folder']}: the model {triton['ensemble']} for Triton, up to "
            f"{triton['max_batch']} clouds at once"
        )
    return lines + list(made.get("onnx", ()))


def _check_points(bundle: Bundle, points: int | None) -> None:
    takes = bundle.manifest.preprocess.points
    if points not in (None, takes):
        raise InputError(
            f"--points {points}: the graphs of {bundle.root} take {takes} points, which was fixed "
            f"when they were exported. Export the checkpoint again with --points {points}."
        )


def _job(bundle: Bundle, given: dict[str, Any]) -> Any:
    from cg3d_export.tensorrt.bundle import engine_job

    return engine_job(
        bundle,
        build_options(given),
        find_machine(),
        given["precision"],
        given["fuse"],
        given["clouds"],
    )
