"""The report of an export: every engine against the reference, on real clouds, and how fast.

It needs no torch: on a robot the reference is the bundle's own graph in ONNX Runtime.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cg3d_export.bank import bank_scale
from cg3d_export.clouds import CheckClouds, check_clouds
from cg3d_export.operators import OperatorRow, operator_table
from cg3d_export.parity import (
    MEAN_COSINE,
    TOP1_AGREEMENT,
    Parity,
    compare,
    graph_runner,
    holds,
    in_batches,
    row_cosines,
)
from cg3d_export.types import TypeRow, precision_table
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.fields import encode_json
from cg3d_runtime.bundle.parts import Precision
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.points.prepare import PreprocessSpec, prepare
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.space import TextSpace

#: Clouds whose times are taken, after a few that are not.
_TIMED, _WARM = 20, 3

#: How many of the worst clouds are shown.
_WORST = 5


@dataclass(frozen=True)
class StageTime:
    """How long one cloud takes in one stage.

    Attributes:
        stage: "preprocess", "encoder" or "bank".
        median_ms, p95_ms: over the clouds, one after the other, in milliseconds.
    """

    stage: str
    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class CloudRow:
    """One cloud that an engine sees otherwise than the reference does.

    Attributes:
        cloud: its name.
        cosine: between the two embeddings.
        expected, found: the best label of the reference and of the engine.
    """

    cloud: str
    cosine: float
    expected: str
    found: str


@dataclass(frozen=True)
class EngineRow:
    """One engine.

    Attributes:
        engine: its name.
        precision: of its weights and products.
        parity: against the reference; None for the reference itself.
        passed: whether it holds the bar of its precision.
        stages: its times; empty where times were not taken.
        worst: the clouds that it sees most otherwise.
    """

    engine: str
    precision: Precision
    parity: Parity | None
    passed: bool
    stages: tuple[StageTime, ...]
    worst: tuple[CloudRow, ...]


@dataclass(frozen=True)
class ExportReport:
    """What `report.json` and `report.html` say.

    Attributes:
        bundle: its name.
        precision: of the encoder's graph.
        machine: where it was measured.
        reference: what the engines are compared with.
        clouds, source: how many clouds, and where they come from.
        mean_cosine, top1_agreement: the least that passes, by precision.
        engines: the reference first.
        types: what of the graph computes in which type.
        operators: the graph against each TensorRT.
        format: of this report.
    """

    bundle: str
    precision: Precision
    machine: str
    reference: str
    clouds: int
    source: str
    mean_cosine: dict[Precision, float]
    top1_agreement: dict[Precision, float]
    engines: tuple[EngineRow, ...]
    types: tuple[TypeRow, ...]
    operators: tuple[OperatorRow, ...]
    format: int = 1

    @property
    def passed(self) -> bool:
        """Whether every engine holds its bar."""
        return all(row.passed for row in self.engines)


@dataclass(frozen=True)
class Runner:
    """An engine as the report runs it.

    Attributes:
        engine: its name.
        precision: of its weights and products.
        embed: (b, points, 3) float32 prepared clouds to (b, d) float32 unit rows.
        score: (b, d) embeddings to (b, L) scores, where the engine brings its own bank.
        largest: the largest batch that `embed` takes.
    """

    engine: str
    precision: Precision
    embed: Callable[[NDArray[Any]], NDArray[np.float32]]
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    largest: int = 32


def make_report(
    bundle: str,
    model: onnx.ModelProto,
    precision: Precision,
    reference: Runner,
    others: Sequence[Runner],
    clouds: CheckClouds,
    spec: PreprocessSpec,
    bank: TextBank,
) -> ExportReport:
    """Run every engine over the clouds, compare them with the reference, take their times.

    Where SOURCE_DATE_EPOCH asks for a reproducible build, no times are taken.
    """
    expected = in_batches(reference.embed, clouds.prepared, reference.engine, reference.largest)
    timed = "SOURCE_DATE_EPOCH" not in os.environ
    prepared = (_preprocess_time(clouds, spec),) if timed else ()
    rows = []
    for runner in (reference, *others):
        first = runner is reference
        found = expected if first else in_batches(
            runner.embed, clouds.prepared, runner.engine, runner.largest
        )  # fmt: skip
        parity = None if first else compare(
            found, expected, bank.score, reference.engine, runner.engine
        )  # fmt: skip
        rows.append(
            EngineRow(
                engine=runner.engine,
                precision=runner.precision,
                parity=parity,
                passed=parity is None or holds(parity, runner.precision),
                stages=prepared + _engine_times(runner, clouds, bank, found) if timed else (),
                worst=() if first else _worst(found, expected, clouds.names, bank),
            )
        )
    return ExportReport(
        bundle=bundle,
        precision=precision,
        machine=_machine(),
        reference=reference.engine,
        clouds=len(clouds.prepared),
        source=clouds.source,
        mean_cosine=MEAN_COSINE,
        top1_agreement=TOP1_AGREEMENT,
        engines=tuple(rows),
        types=precision_table(model),
        operators=operator_table(model),
    )


def engine_report(
    bundle: Bundle,
    engine: Engine,
    clouds: Path | None = None,
    *,
    precision: Precision | None = None,
    bank: Engine | None = None,
    model: onnx.ModelProto | None = None,
    largest: int = 32,
) -> ExportReport:
    """Compare an engine that was built from a bundle with the bundle's graph in ONNX Runtime.

    Args:
        bundle: that the engine was built from.
        engine: takes "points" (b, n, 3) float32, gives "embedding" (b, d) float32.
        clouds: see `check_clouds`; the samples of cg3d-sdk by default.
        precision: of the engine, if it is not that of the bundle.
        bank: an engine for the bank, which takes "embedding" and gives "scores" (b, L); by
            default the bank is numpy's.
        model: the graph that the engine was built from, if it is not that of the bundle.
        largest: the largest batch that the engine takes.

    Raises:
        DependencyError: ONNX Runtime is not installed.
        InputError: there are no clouds in the source.
        EngineError: an engine does not run.
    """
    manifest = bundle.manifest
    stored = bundle.bytes(manifest.encoder.file)
    embed, name = graph_runner(stored, "points")
    chosen = precision or manifest.encoder.precision
    runner = Runner(
        engine=engine.name,
        precision=chosen,
        embed=lambda points: engine.run({"points": points})["embedding"],
        score=None if bank is None else lambda rows: bank.run({"embedding": rows})["scores"],
        largest=largest,
    )
    return make_report(
        manifest.name,
        model or onnx.load_from_string(stored),
        chosen,
        Runner(f"{name}, the bundle's graph", manifest.encoder.precision, embed),
        [runner],
        check_clouds(clouds, manifest.preprocess),
        manifest.preprocess,
        bank_of(bundle),
    )


def bank_of(bundle: Bundle) -> TextBank:
    """The text bank of a bundle, all its labels."""
    text = bundle.text()
    vectors = TextSpace(text.mean).apply(text.vectors)
    return TextBank(text.labels, text.aliases, vectors, bank_scale(bundle, len(vectors)))


def report_json(report: ExportReport) -> bytes:
    """The report for programs; the fields are those of `ExportReport`."""
    return encode_json(report)


def _worst(
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    names: tuple[str, ...],
    bank: TextBank,
) -> tuple[CloudRow, ...]:
    cosines = row_cosines(found, expected)
    worst = np.argsort(cosines, kind="stable")[:_WORST]
    rows = []
    for i in worst:
        there, here = (_best_label(rows_of[i], bank) for rows_of in (expected, found))
        rows.append(CloudRow(names[i], round(float(cosines[i]), 7), there, here))
    return tuple(rows)


def _best_label(embedding: NDArray[np.float32], bank: TextBank) -> str:
    if not np.isfinite(embedding).all():
        return "not a number"
    return bank.labels[int(bank.score(embedding[None])[0].argmax())]


def _preprocess_time(clouds: CheckClouds, spec: PreprocessSpec) -> StageTime:
    return _stage_time("preprocess", lambda i: prepare(clouds.raw[i], spec, clouds.up), clouds)


def _engine_times(
    runner: Runner, clouds: CheckClouds, bank: TextBank, found: NDArray[np.float32]
) -> tuple[StageTime, ...]:
    score = runner.score or bank.score
    sound = np.nan_to_num(found)
    return (
        _stage_time("encoder", lambda i: runner.embed(clouds.prepared[i : i + 1]), clouds),
        _stage_time("bank", lambda i: score(sound[i : i + 1]), clouds),
    )


def _stage_time(stage: str, run: Callable[[int], object], clouds: CheckClouds) -> StageTime:
    """One cloud at a time, as a robot that has just seen an object."""
    count = len(clouds.prepared)
    times = []
    for turn in range(_WARM + _TIMED):
        start = time.perf_counter()
        run(turn % count)
        times.append(1000 * (time.perf_counter() - start))
    median, late = np.percentile(times[_WARM:], [50, 95])
    return StageTime(stage, round(float(median), 3), round(float(late), 3))


def _machine() -> str:
    """The processor and the system, for people who compare reports."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
