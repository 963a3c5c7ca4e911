"""What `cg3d info` says about engines: the plans in a bundle, and what would run it here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cg3d_sdk.cli.output import plain


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
