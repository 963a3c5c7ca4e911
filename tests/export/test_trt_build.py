"""Real engines, built by TensorRT on this CPU (tests/support/tensorrt_host), and its refusals."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cg3d_export.bank import bank_graph
from cg3d_export.precision import half_products, half_weights
from cg3d_export.tensorrt import build as build_module
from cg3d_export.tensorrt import inspect, progress
from cg3d_export.tensorrt.build import BuiltPlan, batch_profiles, build_plan
from cg3d_export.tensorrt.machine import find_machine, load_tensorrt
from cg3d_export.tensorrt.options import BatchRange, BuildOptions
from cg3d_export.tensorrt.parse import read_onnx
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.plan import Profile, plan_header
from cg3d_runtime.engines.tensorrt_messages import messages_of
from cg3d_runtime.errors import DependencyError, EngineError, InputError

POINTS = Profile((1, 64, 3), (8, 64, 3), (64, 64, 3))
SHIPPED = Path(__file__).resolve().parents[2] / "cg3d_sdk" / "bundles" / "household-small"

Build = Callable[..., BuiltPlan]


@pytest.fixture(scope="module")
def build(tensorrt_host: Any) -> Build:
    """`build_plan` for batches 1:8:64, of a graph."""

    def build(graph: onnx.ModelProto, precision: Any, **options: Any) -> BuiltPlan:
        given = BuildOptions(**options)
        with tensorrt_host():
            profiles = batch_profiles(graph, given, "part")
            return build_plan(graph.SerializeToString(), profiles, given, "part", precision)

    return build


def assert_a_plan(built: BuiltPlan) -> None:
    header = plan_header(built.plan)
    # Of TensorRT-RTX, which is what builds here; TensorRT's own begin with "ftrt".
    assert (header.magic, header.version) == ("vtrt", built.tensorrt)
    assert built.layer_types == {}  # that takes a device
    assert built.notes == ()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_encoder(precision: Any, encoder_model: onnx.ModelProto, build: Build) -> None:
    """PointTransformer; PointMLP's are built where PointMLP is tested."""
    graph = encoder_model
    if precision != "fp32":
        graph = half_products(graph, precision)
    built = build(graph, precision)
    assert_a_plan(built)
    assert built.inputs == {"points": "Float"}
    assert built.outputs == {"embedding": "Float"}
    kinds = {"fp32": {"Float"}, "fp16": {"Float", "Half"}, "bf16": {"Float", "BFloat16"}}
    assert set(built.products) == kinds[precision]
    # TensorRT may fold a product of constants, but makes none up.
    assert sum(built.products.values()) <= len(inspect.product_types(graph))


@pytest.mark.parametrize("weights", ["fp32", "fp16"])
def test_text_encoder(weights: str, text_model: onnx.ModelProto, build: Build) -> None:
    """Its weights may lie in FP16; it computes in FP32 all the same."""
    graph = half_weights(text_model) if weights == "fp16" else text_model
    built = build(graph, "fp32")
    assert_a_plan(built)
    assert built.inputs == {"tokens": "Int64"}
    assert set(built.products) == {"Float"}


def test_text_encoder_in_fp16(text_model: onnx.ModelProto, build: Build) -> None:
    built = build(half_products(text_model), "fp16")
    assert_a_plan(built)
    assert "Half" in built.products


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="needs the bundle that ships")
def test_the_shipped_encoder_and_bank(build: Build) -> None:
    bundle = Bundle.open(SHIPPED)
    encoder = read_onnx(bundle.bytes(bundle.manifest.encoder.file), "encoder")
    built = build(encoder, bundle.manifest.encoder.precision)
    assert_a_plan(built)
    assert built.products["Half"] > built.products["Float"]
    bank = build(bank_graph(bundle), "fp32")
    assert_a_plan(bank)
    assert bank.outputs == {"scores": "Float", "top_scores": "Float", "top_labels": "Int64"}


def test_a_cache_and_limits(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "here.cache"
    options = {"workspace": 256 << 20, "optimization_level": 0, "timing_cache": path}
    first = build(PLAIN, "fp32", **options)
    assert_a_plan(first)
    assert path.stat().st_size > 0
    assert build(PLAIN, "fp32", **options).notes == ()
    path.write_bytes(path.read_bytes()[:-1])
    damaged = build(PLAIN, "fp32", **options)
    assert len(damaged.notes) == 1
    assert "is damaged: not used" in damaged.notes[0]
    assert build(PLAIN, "fp32", **options).notes == ()


def network(
    *nodes: onnx.NodeProto, shape: list[str | int], constants: dict[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    """From "x" (batch, 3, 3) to "y" of a shape."""
    return helper.make_model(
        helper.make_graph(
            list(nodes),
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(v, k) for k, v in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )


PLAIN = network(
    helper.make_node("MatMul", ["x", "w"], ["y"], name="trunk/MatMul"),
    shape=["batch", 3, 3],
    constants={"w": np.eye(3, dtype=np.float32)},
)
NINE = {"x": Profile((1, 3, 3), (1, 3, 3), (2, 3, 3))}


@pytest.mark.usefixtures("tensorrt")
def test_operators_that_tensorrt_lacks_are_named_with_their_modules() -> None:
    graph = network(
        helper.make_node("Det", ["x"], ["d"], name="trunk.blocks.3.volume/Det"),
        helper.make_node("Unique", ["d"], ["y"], name="Unique_7"),
        shape=["different"],
    )
    with pytest.raises(EngineError) as raised:
        build_plan(graph.SerializeToString(), NINE, BuildOptions(), "encoder")
    message = str(raised.value)
    assert message.startswith("encoder: TensorRT 11.4.0.106 cannot take the graph:")
    assert (
        "node 'trunk.blocks.3.volume/Det' (operator Det, of the module trunk.blocks.3.volume): "
        "UNSUPPORTED_NODE" in message
    )
    assert "node 'Unique_7' (operator Unique, outside any module)" in message
    assert "run the bundle with ONNX Runtime" in message


@pytest.mark.usefixtures("tensorrt")
@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, -1])
def test_truncated_files(kept: float, encoder_model: onnx.ModelProto) -> None:
    data = encoder_model.SerializeToString()
    data = data[: int(kept * len(data)) if kept == 0.5 else int(kept)]
    with pytest.raises(EngineError, match="are not a whole ONNX graph"):
        build_plan(data, {"points": POINTS}, BuildOptions(), "encoder")


@pytest.mark.usefixtures("tensorrt")
@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ({}, "the network's inputs are x; there are profiles for none"),
        ({**NINE, "z": NINE["x"]}, "profiles for x, z"),
        ({"x": Profile((1, 4, 3), (1, 4, 3), (1, 4, 3))}, r"takes \(any, 3, 3\)"),
        ({"x": Profile((1, 3), (1, 3), (1, 3))}, r"the shape \(1, 3\)"),
        ({"x": Profile((0, 3, 3), (1, 3, 3), (1, 3, 3))}, r"the shape \(0, 3, 3\)"),
        ({"x": Profile((4, 3, 3), (1, 3, 3), (8, 3, 3))}, "the profile of 'x' falls"),
    ],
)
def test_wrong_profiles(profiles: dict[str, Profile], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_plan(PLAIN.SerializeToString(), profiles, BuildOptions())


@pytest.mark.usefixtures("tensorrt")
@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("fp16", "fp16 was asked for, but the network's products are 1 in Float"),
        ("bf16", "bf16 was asked for"),
        ("int8", "int8 was asked for"),
    ],
)
def test_a_precision_that_came_out_as_fp32_is_an_error(precision: Any, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        build_plan(PLAIN.SerializeToString(), NINE, BuildOptions(), "encoder", precision)


def test_fp32_that_came_out_as_fp16_is_an_error(
    encoder_model: onnx.ModelProto, build: Build
) -> None:
    with pytest.raises(EngineError, match=r"fp32 was asked for, but .* Half"):
        build(half_products(encoder_model), "fp32")


@pytest.mark.usefixtures("tensorrt")
def test_a_type_that_differs_from_the_graphs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As weakly typed builds have it: the parser's network is held against the graph."""
    monkeypatch.setattr(inspect, "product_types", lambda proto: {"trunk/MatMul": "Half"})
    with pytest.raises(EngineError, match=r"trunk/MatMul \(Float, not Half\)"):
        build_plan(PLAIN.SerializeToString(), NINE, BuildOptions())


@pytest.mark.usefixtures("tensorrt")
def test_what_tensorrt_says_of_a_failed_build_is_passed_on() -> None:
    """TensorRT-RTX has no lean runtime to put into a version-compatible engine."""
    with pytest.raises(EngineError, match=r"could not build the engine: .*libnvinfer_lean"):
        build_plan(PLAIN.SerializeToString(), NINE, BuildOptions(version_compatible=True))


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_ends_a_build(
    encoder_model: onnx.ModelProto,
    tensorrt: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    steps = []
    step = progress.Phases.step

    def interrupted(self: progress.Phases, name: str, number: int) -> None:
        steps.append(name)
        if len(steps) == 5:
            _thread.interrupt_main()
        step(self, name, number)

    monkeypatch.setattr(progress.Phases, "step", interrupted)
    options = BuildOptions(timing_cache=tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        build_plan(encoder_model.SerializeToString(), {"points": POINTS}, options)
    assert len(steps) >= 5
    assert not (tmp_path / "c").exists()


def test_profiles_of_a_graph() -> None:
    options = BuildOptions(batch=BatchRange(1, 2, 4))
    assert batch_profiles(PLAIN, options, "x") == {
        "x": Profile((1, 3, 3), (2, 3, 3), (4, 3, 3)),
    }
    fixed, open_length = onnx.ModelProto(), onnx.ModelProto()
    fixed.CopyFrom(PLAIN)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 7
    assert batch_profiles(fixed, options, "x")["x"] == Profile(*[(7, 3, 3)] * 3)
    open_length.CopyFrom(PLAIN)
    open_length.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "points"
    with pytest.raises(EngineError, match="an open length besides the batch"):
        batch_profiles(open_length, options, "x")


def test_without_tensorrt() -> None:
    with pytest.raises(DependencyError, match="TensorRT does not import"):
        build_plan(PLAIN.SerializeToString(), NINE, BuildOptions())


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({"__version__": "8.6.1", "Builder": 1, "OnnxParser": 1}, "8.6.1; .* needs 10.0 or newer"),
        ({"__version__": "10.3.0"}, "a lean runtime"),
        ({}, "does not import"),
    ],
)
def test_other_tensorrts(attributes: dict, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("tensorrt")
    vars(stand_in).update(attributes)
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", stand_in)
    with pytest.raises(DependencyError, match=fault):
        load_tensorrt()
    assert find_machine().tensorrt is None


def stand_in_for_a_device(information: str | None) -> Any:
    """As much of TensorRT as loads a plan; None makes that fail."""
    inspector = SimpleNamespace(get_engine_information=lambda kind: information)
    engine = SimpleNamespace(create_engine_inspector=lambda: inspector)
    runtime = SimpleNamespace(
        deserialize_cuda_engine=lambda plan: None if information is None else engine
    )
    return SimpleNamespace(
        Runtime=lambda logger: runtime, LayerInformationFormat=SimpleNamespace(JSON=1)
    )


def test_the_engine_is_loaded_and_read(tensorrt: ModuleType) -> None:
    messages = messages_of(tensorrt)
    messages.clear()
    half = '{"Layers": [{"Name": "x", "Outputs": [{"Format/Datatype": "Half"}]}]}'
    found = build_module._layers(stand_in_for_a_device(half), b"ftrt", messages, "encoder")
    assert found.types == {"Half": 1}
    with pytest.raises(EngineError, match="was built but does not load here"):
        build_module._layers(stand_in_for_a_device(None), b"ftrt", messages, "encoder")
