"""What a doctor says: `cg3d doctor` about running, `cg3d-train doctor` about training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked for.
        found: what there is.
        ok: whether it is there and works.
        required: whether nothing goes without it.
        fix: the command, or the words, that mend it; "" where nothing has to be done.
    """

    name: str
    found: str
    ok: bool = True
    required: bool = False
    fix: str = ""


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether everything that is required is there."""
    return all(finding.ok or not finding.required for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as one JSON list."""
    return json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1)


def as_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings for people, each fix beside what it mends."""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        state = "ok     " if finding.ok else "MISSING" if finding.required else "-      "
        fix = f" -> {finding.fix}" if finding.fix else ""
        yield f"{state} {finding.name:{width}}  {finding.found}{fix}"
