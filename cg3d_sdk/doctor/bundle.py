"""What a bundle needs, whether its plans fit this machine, and what would run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import EngineChoice, open_part
from cg3d_runtime.engines.cuda import cuda_device
from cg3d_runtime.engines.machine import PlanHeader, check_machine
from cg3d_runtime.engines.place import rebuild_command
from cg3d_runtime.engines.plan import plan_folders, plan_parts, read_plan, read_plan_info
from cg3d_runtime.errors import Cg3dError, EngineError
from cg3d_sdk.doctor.finding import Finding
from cg3d_sdk.recognizer import Recognizer


def bundle_findings(
    path: Path, engine: EngineChoice = "auto", tensorrt: str | None = None
) -> Iterator[Finding]:
    """Look at a bundle on this machine.

    Args:
        path: its folder.
        engine: what should run it.
        tensorrt: the version that works here; None for none.
    """
    try:
        bundle = Bundle.open(path)
        bundle.verify()
    except Cg3dError as error:
        fix = "copy it again, or export it again with cg3d-export"
        yield Finding("bundle", str(error), False, True, fix)
        return
    about = bundle.manifest.encoder
    size = sum(file.bytes for file in bundle.manifest.files.values()) / 1e6
    yield Finding(
        "bundle",
        f"{bundle.manifest.name} in {bundle.root}: {about.architecture}, {about.precision}, "
        f"{size:.1f} MB, every hash right",
        required=True,
    )
    yield from _plans(bundle, tensorrt)
    yield from _runs(bundle, engine)


def engine_facts(bundle: Bundle) -> dict[str, Any]:
    """The plans in a bundle's folder, and the engine that "auto" takes on this machine.

    Raises:
        BundleError: a plan or its sidecar is damaged.
    """
    plans = list(_plan_facts(bundle))  # first: damage is an error, whatever else works
    facts: dict[str, Any] = {"plans": plans, "engine": None, "engine_error": None, "refused": []}
    try:
        opened = open_part(bundle, "encoder")
    except Cg3dError as error:
        return {**facts, "engine_error": str(error)}
    refused = [{"engine": entry.engine, "reason": entry.reason} for entry in opened.refusals]
    return {**facts, "engine": opened.engine.name, "refused": refused}


def _plan_facts(bundle: Bundle) -> Iterator[dict[str, Any]]:
    for tag in plan_folders(bundle):
        for part in plan_parts(bundle, tag):
            try:
                info, _ = read_plan(bundle, tag, part)
            except EngineError as error:  # whole, but of another bundle
                yield {"tag": tag, "part": part, "stale": str(error)}
            else:
                yield {
                    "tag": tag,
                    "part": part,
                    "stale": "",
                    "precision": info.precision,
                    "tensorrt": info.tensorrt,
                    "compute_capability": info.compute_capability,
                    "device": info.device,
                    "bytes": info.plan.bytes,
                    "created": info.created,
                }


def _plans(bundle: Bundle, tensorrt: str | None) -> Iterator[Finding]:
    device, rebuild = cuda_device(), rebuild_command(bundle)
    tags = plan_folders(bundle)
    if not tags and device is not None:
        yield Finding("plans", "none: TensorRT would be the fastest here", False, fix=rebuild)
    for tag in tags:
        for part in plan_parts(bundle, tag):
            name = f"plan {tag}/{part}"
            try:
                info = read_plan_info(bundle, tag, part)
                about = f"for {info.device}, TensorRT {info.tensorrt}, {info.precision}"
                if device is None or tensorrt is None:
                    lacking = "no CUDA device" if device is None else "no TensorRT"
                    yield Finding(name, f"{about}; {lacking} here", False)
                    continue
                check_machine(info, PlanHeader("ftrt", info.tensorrt), tensorrt, device, rebuild)
            except Cg3dError as error:
                yield Finding(name, str(error), False, fix=rebuild)
            else:
                yield Finding(name, f"{about}: fits this machine")


def _runs(bundle: Bundle, engine: EngineChoice) -> Iterator[Finding]:
    """The whole way once: what opens, what was passed over, and what a cloud takes."""
    try:
        with Recognizer(bundle.root, engine=engine) as recognizer:
            spent = recognizer.warmup()
            name, refusals = recognizer.engine, recognizer.engine_report
            if bundle.manifest.text.encoder is not None:
                recognizer.embed_text(recognizer.vocabulary[0])
    except Cg3dError as error:
        yield Finding("runs", str(error), False, True, _fix(str(error)))
        return
    yield Finding("runs", f"{name}; {1000 * spent.total:.1f} ms for one cloud", required=True)
    if cuda_device() is not None:  # elsewhere the lines above have said it
        for refusal in refusals:
            yield Finding("not taken", str(refusal), False)


def _fix(message: str) -> str:
    if "pip install" in message:
        return ""  # it is in the message
    return "the lines above say what is missing; engine='cpu' runs everywhere"
