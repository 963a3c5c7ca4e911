"""The model card of a run: what the files of its folder say, in words, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cg3d_runtime.bundle.folders import replace_file
from cg3d_training.checkpoint import Checkpoint, load_checkpoint
from cg3d_training.runs.environment import ENVIRONMENT
from cg3d_training.runs.loggers import LOG

CARD = "MODEL_CARD.md"


def write_card(file: Path, verb: str, tests: Mapping[str, float] | None = None) -> None:
    """Write `MODEL_CARD.md` beside a checkpoint.

    Args:
        file: the checkpoint; the run's log and environment lie beside it.
        verb: of cg3d-train, which made it.
        tests: results on a test set, by name, shares of the objects.

    Raises:
        TrainingError: the checkpoint cannot be read.
    """
    checkpoint = load_checkpoint(file)
    sections = [
        [f"# {file.parent.name}"],
        _what(checkpoint, verb),
        ["## Data", *_data(checkpoint.record)],
        ["## Results", *_results(_log(file.parent), tests)],
        ["## Limits", *_limits(checkpoint, tests)],
        ["## Use", *_use(file, checkpoint)],
        ["## Recipe", "```yaml", yaml.safe_dump(_plain(checkpoint.recipe)).strip(), "```"],
        ["## Environment", *_environment(file.parent, checkpoint.record)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections) + "\n"
    replace_file(file.with_name(CARD), text.encode())


def _what(checkpoint: Checkpoint, verb: str) -> list[str]:
    encoder = checkpoint.build()
    count = sum(p.numel() for p in encoder.parameters())
    classes = checkpoint.record.get("classes")
    gives = (
        f"the logits of {len(classes)} classes"
        if classes
        else f"a vector of {encoder.embedding_dim} numbers, to be compared with vectors of texts "
        "by the cosine"
    )
    return [
        f"A {checkpoint.spec.architecture} encoder of {count:,} parameters, made by "
        f"`cg3d-train {verb}`.",
        f"It takes {encoder.points} points (x, y, z; y up; in the unit sphere) and gives {gives}.",
    ]


def _data(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"- objects to learn from: {record.get('objects', 'not recorded')}"
    if "set" in record:
        yield f"- set: {record['set']}"
    if "validation" in record:
        yield f"- objects held out for validation: {record['validation']}"
    if "labels" in record:
        yield f"- different names: {record['labels']}"
    if record.get("classes"):
        yield f"- classes: {', '.join(record['classes'])}"
    if record.get("teacher"):
        yield f"- teacher: {_pairs(record['teacher'])}"
    if record.get("start"):
        yield f"- weights to begin with: {_pairs(record['start'])}"
    for what in ("sources", "licences"):
        if what in record:
            yield f"- {what}, with their numbers of objects: {_pairs(record[what])}"
    if "licences" not in record:
        yield "- licences: not recorded by the reader of this set"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "none"


def _log(folder: Path) -> list[dict[str, Any]]:
    file = folder / LOG
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]


def _results(log: list[dict[str, Any]], tests: Mapping[str, float] | None) -> Iterator[str]:
    losses = [entry["loss"] for entry in log if "loss" in entry]
    if losses:
        yield f"- loss: {losses[0]:.4f} in the first epoch, {losses[-1]:.4f} in the last"
        yield f"- epochs: {len(log)}"
    checked = [entry for entry in log if "validation" in entry]
    if checked:
        last = checked[-1]
        top5 = f", top-5 {last['validation_top5']:.1%}" if "validation_top5" in last else ""
        yield f"- on held-out objects, epoch {last['epoch'] + 1}: {last['validation']:.1%}{top5}"
    for name, share in (tests or {}).items():
        yield f"- on the test set, {name}: {share:.1%}"
    if not checked and not tests:
        yield "- no accuracy was measured in this run"


def _limits(checkpoint: Checkpoint, tests: Mapping[str, float] | None) -> Iterator[str]:
    yield "- Nothing is known of it beyond the results above; other data were not tried here."
    if not tests:
        yield "- It was not tried on a test set in this run."
    if checkpoint.recipe.get("teacher", {}).get("weights", "") is None:
        yield "- Its teacher had random weights, so what it learnt means nothing: a trial."
    yield "- The terms of the data may bind these weights too; this card does not judge that."


def _use(file: Path, checkpoint: Checkpoint) -> Iterator[str]:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    yield f"`{file.name}`, {file.stat().st_size:,} bytes, SHA-256 `{digest}`:"
    yield "```python"
    yield "from pathlib import Path"
    yield "from cg3d_training.checkpoint import load_checkpoint"
    yield ""
    yield f'encoder = load_checkpoint(Path("{file.name}")).build()'
    yield "```"
    if not checkpoint.record.get("classes"):
        yield f"For robots: `cg3d-export {file.name} -o BUNDLE --model-card {CARD}`."


def _plain(value: Any) -> Any:
    """Without tuples, which YAML would write in a form of Python's own."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _environment(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    file = folder / ENVIRONMENT
    about = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for key, name in (
        ("cg3d_sdk", "cg3d-sdk"), ("commit", "commit"), ("python", "Python"), ("torch", "torch"),
        ("numpy", "numpy"), ("system", "system"), ("processor", "processor"),
        ("gpus", "GPUs"), ("processes", "processes"), ("command", "command"), ("at", "begun"),
    ):  # fmt: skip
        value = about.get(key)
        if value:
            yield f"- {name}: {', '.join(value) if isinstance(value, list) else value}"
    if "seconds" in record:
        yield f"- seconds of training: {record['seconds']:.0f}"
    if about.get("resumed"):
        yield f"- resumed: {len(about['resumed'])} times, see {ENVIRONMENT}"
    yield f"- all packages: {ENVIRONMENT}"
