"""ONNX Runtime's other providers: the one that really runs is the one that is named."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from test_engine_onnx_runtime import POINTS, network

from cg3d_runtime.engines import choose
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.engines.onnx_runtime import OnnxRuntimeEngine
from cg3d_runtime.errors import EngineError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TRT, RTX = "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"
VERSION = onnxruntime.__version__
REAL, REAL_OPTIONS = onnxruntime.InferenceSession, onnxruntime.SessionOptions


@dataclass
class Pretence:
    """An ONNX Runtime with providers that this machine lacks; the CPU does their work.

    Attributes:
        available: what this build has.
        placed: operators by provider, as a session reports them; None for an older release.
        asked: the providers of every session that was made.
        loads: what a session does beside.
    """

    available: list[str] = field(default_factory=lambda: [TRT, CUDA, CPU])
    placed: dict[str, int] | None = None
    asked: list[Any] = field(default_factory=list)
    loads: Callable[[list[str]], list[str]] = lambda names: names

    def session(self, model: bytes, options: Any, **more: Any) -> Any:
        providers = more.get("providers") or getattr(options, "plugin_devices", [])
        self.asked.append(providers)
        names = [p[0] if isinstance(p, tuple) else getattr(p, "ep_name", p) for p in providers]
        names = self.loads(names)
        real = REAL(model, REAL_OPTIONS(), providers=[CPU], enable_fallback=0)
        pretended = Pretended(
            run=real.run,
            get_inputs=real.get_inputs,
            get_outputs=real.get_outputs,
            disable_fallback=real.disable_fallback,
            get_providers=lambda: names,
        )
        if self.placed is not None:
            pretended.get_provider_graph_assignment_info = lambda: [
                SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
                for name, count in self.placed.items()
            ]
        return pretended


class Pretended:
    """A session with the given methods; a SimpleNamespace takes no weak references."""

    def __init__(self, **methods: Any) -> None:
        self.__dict__.update(methods)


class Options(SimpleNamespace):
    """SessionOptions that remember a plug-in's devices."""

    def __init__(self) -> None:
        super().__init__(plugin_devices=[], entries={})

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value

    def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
        self.plugin_devices = devices


@pytest.fixture
def ort(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    pretence = Pretence()
    monkeypatch.setattr(choose, "cuda_device_count", lambda: 1)
    monkeypatch.setattr(onnxruntime, "InferenceSession", pretence.session)
    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: pretence.available)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("noise"), raising=False)  # noqa: T201
    return pretence


def answers(engine: OnnxRuntimeEngine) -> None:
    points = np.random.default_rng(0).standard_normal((2, POINTS, 3)).astype(np.float32)
    out = engine.run({"points": points})["embedding"]
    np.testing.assert_allclose(out, 2 * points.mean(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("engine", "placed", "name"),
    [
        ("cuda", None, "CUDA"),
        ("cuda", {CUDA: 285}, "CUDA"),
        ("cuda", {CUDA: 282, CPU: 3}, "CUDA, 3 of 285 operators on CPU"),
        ("ort-tensorrt", {TRT: 280, CUDA: 4, CPU: 1},
         "TensorRT, 4 of 285 operators on CUDA, 1 of 285 operators on CPU"),
        ("auto", {CUDA: 9, "Other": 1}, "CUDA, 1 of 10 operators on Other"),
    ],
)  # fmt: skip
def test_the_name_tells_what_runs(ort: Pretence, engine: Any, placed: Any, name: str) -> None:
    ort.placed = placed
    opened = open_engine(network(), engine)
    assert opened.name == f"onnxruntime {VERSION} ({name})"
    answers(opened)


@pytest.mark.parametrize(("engine", "provider"), [("cuda", CUDA), ("ort-tensorrt", TRT)])
def test_a_provider_that_takes_nothing_is_an_error(
    ort: Pretence, engine: Any, provider: str
) -> None:
    ort.placed = {CPU: 285}
    with pytest.raises(EngineError, match=f"{provider} was asked for, but it takes none of the"):
        open_engine(network(), engine)
    assert open_engine(network(), "auto").name == f"onnxruntime {VERSION} (CPU)"


def test_a_provider_that_falls_back_is_an_error(ort: Pretence) -> None:
    ort.loads = lambda names: names[1:] if len(names) > 1 else names
    with pytest.raises(EngineError, match=f"{TRT} was asked for, but onnxruntime fell back to CUD"):
        open_engine(network(), "ort-tensorrt")
    with pytest.raises(EngineError, match=f"{CUDA} was asked for, but onnxruntime fell back to CP"):
        open_engine(network(), "cuda")


def test_a_provider_that_fails_is_an_error(ort: Pretence) -> None:
    def fail(names: list[str]) -> list[str]:
        if names[0] != CPU:
            raise RuntimeError("libnvinfer.so.10: cannot open shared object file\nmore")
        return names

    ort.loads = fail
    with pytest.raises(EngineError, match=r"\(TensorRT\) could not load.*libnvinfer\.so\.10: .*'c"):
        open_engine(network(), "ort-tensorrt")


def test_tensorrt_is_told_its_batches(ort: Pretence) -> None:
    open_engine(network(), "ort-tensorrt")
    (name, options), *behind = ort.asked[-1]
    # TF32 would round the distances that neighbours are chosen by.
    assert (name, behind) == (TRT, [(CUDA, {"use_tf32": "0"}), CPU])
    assert options == {
        "trt_profile_min_shapes": f"points:1x{POINTS}x3",
        "trt_profile_opt_shapes": f"points:8x{POINTS}x3",
        "trt_profile_max_shapes": f"points:64x{POINTS}x3",
    }


@pytest.mark.parametrize("engine", ["cuda", "ort-tensorrt"])
def test_a_build_without_the_provider(ort: Pretence, engine: Any) -> None:
    ort.available = [CPU]
    with pytest.raises(EngineError, match=r"has no \w+ExecutionProvider.*cg3d-sdk\[gpu\]"):
        open_engine(network(), engine)


def test_nothing_is_printed(ort: Pretence, capsys: pytest.CaptureFixture[str]) -> None:
    open_engine(network(), "cuda")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("engine", ["cuda", "ort-tensorrt", "ort-tensorrt-rtx"])
def test_without_a_driver_no_gpu_provider_is_touched(
    ort: Pretence, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "cuda_device_count", lambda: 0)
    with pytest.raises(EngineError, match="needs an NVIDIA driver"):
        open_engine(network(), engine)
    assert ort.asked == []


# TensorRT-RTX: built in, or as a plug-in.


@dataclass
class Plugin:
    """The plug-in package, and what ONNX Runtime knows of it."""

    devices: int = 1
    registered: list[tuple[str, str]] = field(default_factory=list)

    def register(self, name: str, path: str) -> None:
        if self.registered:
            raise RuntimeError("already registered")
        self.registered.append((name, path))

    def known(self) -> list[SimpleNamespace]:
        own = [SimpleNamespace(ep_name=RTX)] * self.devices if self.registered else []
        return [SimpleNamespace(ep_name=CPU), *own]


@pytest.fixture
def plugin(ort: Pretence, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    found = Plugin()
    package = types.ModuleType("onnxruntime_ep_nv_tensorrt_rtx")
    package.get_library_path = lambda: "/somewhere/libprovider.so"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", found.register)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", found.known)
    return found


def test_rtx_that_is_built_in(ort: Pretence) -> None:
    ort.available, ort.placed = [RTX, CPU], {RTX: 10}
    engine = open_engine(network(), "ort-tensorrt-rtx")
    assert engine.name == f"onnxruntime {VERSION} (TensorRT-RTX)"
    assert ort.asked == [[RTX, CPU]]
    answers(engine)


def test_rtx_as_a_plug_in_is_registered_once(ort: Pretence, plugin: Plugin) -> None:
    plugin.devices, ort.placed = 2, {RTX: 9, CPU: 1}
    for _ in range(2):
        engine = open_engine(network(), "ort-tensorrt-rtx")
        assert engine.name == f"onnxruntime {VERSION} (TensorRT-RTX, 1 of 10 operators on CPU)"
        answers(engine)
    assert plugin.registered == [(RTX, "/somewhere/libprovider.so")]
    assert [len(devices) for devices in ort.asked] == [1, 1]


def test_rtx_that_does_not_load(
    ort: Pretence, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.devices = 0
    with pytest.raises(EngineError, match="finds no device"):
        open_engine(network(), "ort-tensorrt-rtx")
    with pytest.raises(EngineError, match="does not load here: already registered"):
        open_engine(network(), "ort-tensorrt-rtx")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    with pytest.raises(EngineError, match=r"could not be imported.*cg3d-sdk\[trt-rtx\]"):
        open_engine(network(), "ort-tensorrt-rtx")
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(EngineError, match="takes no plug-ins"):
        open_engine(network(), "ort-tensorrt-rtx")


def test_a_real_session_tells_its_placement() -> None:
    """The method and its option exist as they are called, in releases that have them."""
    if not hasattr(REAL, "get_provider_graph_assignment_info"):
        pytest.skip("this onnxruntime is older than 1.24 and does not tell")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = REAL(network(), options, providers=[CPU])
    placed = session.get_provider_graph_assignment_info()
    assert {subgraph.ep_name for subgraph in placed} == {CPU}
    assert sum(len(subgraph.get_nodes()) for subgraph in placed) >= 1
