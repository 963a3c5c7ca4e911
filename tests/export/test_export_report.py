"""The report: right numbers, in a page that stands alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from cg3d_export.clouds import CheckClouds, check_clouds
from cg3d_export.operators import TENSORRT
from cg3d_export.report import (
    ExportReport,
    Runner,
    engine_report,
    make_report,
    report_json,
)
from cg3d_export.report_html import report_html
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.points.prepare import PreprocessSpec
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.recognizer import Recognizer
from cg3d_sdk.shipped import default_bundle

SPEC = PreprocessSpec(64, 256)
LABELS = tuple(f"label <{i}>" for i in range(8))


@pytest.fixture(scope="module")
def made(inputs: Path, encoder_model: onnx.ModelProto) -> ExportReport:
    """The small encoder against one that turns the embeddings of some clouds."""
    clouds = check_clouds(inputs / "clouds.npz", SPEC)
    engine = open_engine(encoder_model.SerializeToString(), "cpu", 1)

    def embed(batch: NDArray[Any]) -> NDArray[np.float32]:
        return engine.run({"points": batch})["embedding"]

    def turned(batch: NDArray[Any]) -> NDArray[np.float32]:
        rows = embed(batch)
        heavy = batch[:, 0, 0] > np.median(clouds.prepared[:, 0, 0])
        return np.where(heavy[:, None], -rows, rows).astype(np.float32)

    bank = TextBank(LABELS, ((),) * 8, np.eye(8, 32, dtype=np.float32), 10.0)
    runners = [Runner("same", "fp32", embed), Runner("<turned>", "int8", turned)]
    return make_report(
        "tiny", encoder_model, "fp32", Runner("torch", "fp32", embed), runners, clouds, SPEC, bank
    )


def test_numbers(made: ExportReport) -> None:
    reference, same, turned = made.engines
    assert reference.parity is None
    assert reference.passed
    assert same.parity is not None
    assert (same.parity.worst_cosine, same.parity.top1_agreement) == (1.0, 1.0)
    assert same.parity.top5_agreement == 1.0
    assert turned.parity is not None
    assert turned.parity.worst_cosine == -1.0
    assert turned.parity.mean_cosine == pytest.approx(0.0, abs=1e-6)  # six of twelve are turned
    assert turned.parity.top1_agreement == 0.5
    assert 0.5 < turned.parity.top5_agreement < 0.9
    assert [same.passed, turned.passed, made.passed] == [True, False, False]
    assert [cloud.cosine for cloud in turned.worst] == [-1.0] * 5
    assert all(cloud.expected != cloud.found for cloud in turned.worst)
    assert turned.worst[0].cloud.startswith("clouds.npz ")


def test_every_stage_is_timed(made: ExportReport) -> None:
    for row in made.engines:
        assert [stage.stage for stage in row.stages] == ["preprocess", "encoder", "bank"]
        assert all(0 < stage.median_ms <= stage.p95_ms for stage in row.stages)


def test_json_is_complete_and_read_by_anyone(made: ExportReport) -> None:
    read = json.loads(report_json(made))
    assert read["clouds"] == 12
    assert read["mean_cosine"] == {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.999, "int8": 0.99}
    assert read["engines"][2]["parity"]["worst_cosine"] == -1.0
    assert {"module": "forward", "operator": "TopK", "type": "FP32", "count": 1} in read["types"]
    assert {row["operator"] for row in read["operators"]} >= {"opset", "TopK", "MatMul"}


class Page(HTMLParser):
    """Text, tags and addresses of a page; open tags must close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_stands_alone(made: ExportReport) -> None:
    html = report_html(made)
    page = Page()
    page.feed(html)
    assert page.open == []
    assert page.addresses == []
    assert page.tags.isdisjoint({"script", "link", "img", "iframe"})
    assert "prefers-color-scheme: dark" in html
    assert not [part for part in ("url(", "@import", "http") if part in html]
    text = " ".join(page.text)
    for part in ("<turned>", "label <", "-1.0000000", "50.0 %", "failed", "passed", "TopK",
                 "preprocess", *TENSORRT):  # fmt: skip
        assert part in text


def test_a_sound_report_says_so(made: ExportReport) -> None:
    sound = replace(made, engines=made.engines[:2])
    assert "Every engine holds its bar." in report_html(sound)
    assert "An engine is below its bar." in report_html(made)


def test_reproducible_builds_take_no_times(
    made: ExportReport, encoder_model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    engine = open_engine(encoder_model.SerializeToString(), "cpu", 1)
    cloud = np.random.default_rng(0).uniform(-1, 1, (1, 64, 3)).astype(np.float32)
    clouds = CheckClouds("one", ("a",), (cloud[0],), cloud, "y")
    bank = TextBank(LABELS, ((),) * 8, np.eye(8, 32, dtype=np.float32), 10.0)
    runner = Runner("x", "fp32", lambda batch: engine.run({"points": batch})["embedding"])
    report = make_report("b", encoder_model, "fp32", runner, [], clouds, SPEC, bank)
    assert report.engines[0].stages == ()
    assert "Time for one cloud" not in report_html(report)
    assert "Time for one cloud" in report_html(made)


class Recorded:
    """An engine that takes at most two clouds at once, with the sizes that it saw."""

    name = "recorded"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sizes: set[int] = set()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        (given,) = inputs.values()
        self.sizes.add(len(given))
        assert len(given) <= 2
        return self.engine.run(inputs)


def test_an_engine_of_a_bundle() -> None:
    """As after a build on a robot: against the bundle's own graph, with the bank's engine."""
    bundle = Bundle.open(default_bundle())
    engine = Recorded(open_engine(bundle.bytes("encoder.onnx"), "cpu", 1))
    recognizer = Recognizer(engine="cpu", threads=1)

    class Bank:
        name = "bank"

        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {"scores": recognizer.bank.score(inputs["embedding"])}

    report = engine_report(bundle, engine, bank=Bank(), largest=2)
    assert engine.sizes == {1, 2}
    assert (report.bundle, report.precision, report.clouds) == ("household-small", "fp16", 14)
    assert report.source == "samples of cg3d-sdk"
    parity = report.engines[1].parity
    assert parity is not None
    assert (parity.engine, parity.count) == ("recorded", 14)
    assert parity.worst_cosine > 0.99999
    assert "the bundle's graph" in report.reference
