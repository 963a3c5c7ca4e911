"""What `cg3d info` says about engines: the plans in a bundle, and what would run it here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cg3d_runtime.errors import Cg3dError, EngineError
from cg3d_sdk.cli.output import plain

if TYPE_CHECKING:
    from cg3d_runtime.bundle import Bundle


def engine_facts(bundle: Bundle) -> dict[str, Any]:
    """The plans in a bundle's folder, and the engine that "auto" takes on this machine.

    Raises:
        BundleError: a plan or its sidecar is damaged.
    """
    from cg3d_runtime.engines.choose import open_part

    plans = list(_plans(bundle))  # first: damage is an error, whatever else works
    facts: dict[str, Any] = {"plans": plans, "engine": None, "engine_error": None, "refused": []}
    try:
        opened = open_part(bundle, "encoder")
    except Cg3dError as error:
        return {**facts, "engine_error": str(error)}
    refused = [{"engine": entry.engine, "reason": entry.reason} for entry in opened.refusals]
    return {**facts, "engine": opened.engine.name, "refused": refused}


def engine_lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What `engine_facts` found, for people."""
    for entry in facts["plans"]:
        about = f"{entry['tag']}/{entry['part']}: " + (
            plain(entry["stale"])
            or f"{entry['precision']}, TensorRT {entry['tensorrt']}, {plain(entry['device'])} "
            f"(compute capability {entry['compute_capability']}), {entry['bytes'] / 1e6:.1f} MB, "
            f"built {entry['created']}, every hash right"
        )
        yield "plan", about
    yield "engine", plain(facts["engine"] or f"none works here: {facts['engine_error']}")
    for entry in facts["refused"]:
        yield "not taken", plain(f"{entry['engine']}: {entry['reason']}")


def _plans(bundle: Bundle) -> Iterator[dict[str, Any]]:
    from cg3d_runtime.engines.plan import plan_folders, plan_parts, read_plan

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
