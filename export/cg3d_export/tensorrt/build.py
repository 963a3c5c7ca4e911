"""One graph to one plan, through TensorRT's Python API. Works without a GPU where TensorRT does."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from cg3d_export.tensorrt.inspect import (
    EngineLayers,
    check_engine,
    check_network,
    engine_layers,
    graph_types,
    type_name,
)
from cg3d_export.tensorrt.machine import find_machine, load_tensorrt
from cg3d_export.tensorrt.options import BatchRange, BuildOptions, workspace_for
from cg3d_export.tensorrt.parse import (
    check_profiles,
    parse_network,
    read_onnx,
)
from cg3d_export.tensorrt.progress import Phases, progress_monitor, run_watched
from cg3d_export.tensorrt.timing_cache import cache_key, read_timing_cache, write_timing_cache
from cg3d_runtime.engines.cuda import cuda_device
from cg3d_runtime.engines.plan import Precision, Profile, plan_header
from cg3d_runtime.engines.tensorrt_messages import Messages, messages_of
from cg3d_runtime.errors import EngineError, InputError


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, and what was read back while it was made.

    Attributes:
        plan: its bytes, as TensorRT made them.
        tensorrt: the version in its header, e.g. "10.3.0.30".
        inputs, outputs: name -> type, of the network.
        products: type -> how many of the network's products work in it.
        layer_types: type -> layers, from the engine's inspector; {} without a device.
        seconds: that the build took.
        notes: what the user should know, e.g. of a timing cache that was not used.
    """

    plan: bytes
    tensorrt: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    products: dict[str, int]
    layer_types: dict[str, int]
    seconds: float
    notes: tuple[str, ...] = ()


def build_plan(
    model: bytes,
    profiles: Mapping[str, Profile],
    options: BuildOptions,
    part: str = "network",
    precision: Precision = "fp32",
) -> BuiltPlan:
    """Build the plan of an ONNX graph, with a progress bar.

    Where there is a CUDA device the plan is loaded once, to read its layers' types. Without one
    TensorRT itself does not build; callers ask `require_machine` first.

    Args:
        model: an ONNX file without external data. Its types are kept as they are.
        profiles: input -> its shapes.
        options: how to build.
        part: what it is, for errors and the bar.
        precision: what the graph's products should be in.

    Raises:
        DependencyError: no usable TensorRT.
        InputError: a profile or an option that TensorRT or the graph does not have.
        EngineError: the graph is damaged or not supported, the build failed, or the types are not
            what was asked for.
        KeyboardInterrupt: on Ctrl-C, once TensorRT has stopped.
    """
    trt = load_tensorrt()
    proto = read_onnx(model, part)
    messages = messages_of(trt)
    messages.clear()
    builder = trt.Builder(messages.logger)
    network = parse_network(trt, builder, proto, messages.logger, part)
    check_profiles(trt, network, profiles, part)
    products = check_network(trt, network, proto, precision, part)

    config = _config(trt, builder, options, messages, part)
    config.add_optimization_profile(_profile(builder, profiles))
    notes = _use_timing_cache(config, options)
    phases, stop = Phases(), threading.Event()
    monitor = progress_monitor(trt, phases, stop)
    config.progress_monitor = monitor
    started = time.monotonic()
    serialized = run_watched(
        lambda: builder.build_serialized_network(network, config), part, phases, stop
    )
    if serialized is None:
        raise EngineError(
            f"{part}: TensorRT {trt.__version__} could not build the engine: {messages.summary()}"
        )
    plan = bytes(serialized)
    seconds = time.monotonic() - started
    if note := _keep_timing_cache(config, options):
        notes = (*notes, note)
    layers = _layers(trt, plan, messages, part) if cuda_device() else EngineLayers({})
    check_engine(layers, precision, graph_types(proto).values(), part)
    if layers.hidden:
        notes = (*notes, f"{layers.hidden} layers are whole subgraphs: types inside are not shown")
    return BuiltPlan(
        plan,
        plan_header(plan, part).version,
        {t.name: type_name(t.dtype) for t in map(network.get_input, range(network.num_inputs))},
        {t.name: type_name(t.dtype) for t in map(network.get_output, range(network.num_outputs))},
        products,
        layers.types,
        seconds,
        notes,
    )


def batch_profiles(proto: onnx.ModelProto, options: BuildOptions, part: str) -> dict[str, Profile]:
    """A profile for every input of a graph: the options' batch, and the graph's own lengths.

    Raises:
        EngineError: a length other than the batch is open.
    """
    profiles = {}
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        rest = tuple(dim.dim_value for dim in dims[1:])
        if not dims or not all(rest):
            raise EngineError(
                f"{part}: the input {value.name!r} has an open length besides the batch; an "
                "engine needs it fixed. Export the bundle again."
            )
        batch = options.batch
        if dims[0].dim_value:  # a graph for one batch size
            batch = BatchRange(*(dims[0].dim_value,) * 3)
        profiles[value.name] = Profile(
            (batch.minimum, *rest), (batch.optimum, *rest), (batch.maximum, *rest)
        )
    return profiles


def _config(trt: Any, builder: Any, options: BuildOptions, messages: Messages, part: str) -> Any:
    config = builder.create_builder_config()
    # TF32 rounds the products of the geometry to 10 bits, as FP16 would: neighbours change.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.builder_optimization_level = options.optimization_level
    # The inspector gives types only for engines that were built to be read.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    device = cuda_device()
    workspace = options.workspace or workspace_for(device.memory_bytes if device else None)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatibility != "none":
        name = options.hardware_compatibility.upper()
        level = getattr(trt.HardwareCompatibilityLevel, name, None)
        if level is None:
            raise InputError(
                f"--hardware-compatibility {options.hardware_compatibility}: TensorRT "
                f"{trt.__version__} does not know it; same_compute_capability came with 10.13"
            )
        config.hardware_compatibility_level = level
    if messages.errors:
        raise EngineError(f"{part}: TensorRT refuses the options: {messages.summary()}")
    return config


def _profile(builder: Any, profiles: Mapping[str, Profile]) -> Any:
    profile = builder.create_optimization_profile()
    for name, shapes in profiles.items():
        profile.set_shape(name, shapes.minimum, shapes.optimum, shapes.maximum)
    return profile


def _use_timing_cache(config: Any, options: BuildOptions) -> tuple[str, ...]:
    if options.timing_cache is None:
        return ()
    data, note = read_timing_cache(options.timing_cache, cache_key(find_machine()))
    if not config.set_timing_cache(config.create_timing_cache(data), False):
        note = f"TensorRT does not take the timing cache {options.timing_cache}: not used"
        config.set_timing_cache(config.create_timing_cache(b""), False)
    return (note,) if note else ()


def _keep_timing_cache(config: Any, options: BuildOptions) -> str:
    cache = config.get_timing_cache()
    if options.timing_cache is None or cache is None:
        return ""
    data = bytes(cache.serialize())
    return write_timing_cache(options.timing_cache, cache_key(find_machine()), data)


def _layers(trt: Any, plan: bytes, messages: Messages, part: str) -> EngineLayers:
    """Load the plan as a robot would, and ask the inspector."""
    if plan[:4] == b"vtrt":
        return EngineLayers({})  # TensorRT-RTX compiles its layers when they first run
    runtime = trt.Runtime(messages.logger)
    runtime.engine_host_code_allowed = True  # a version-compatible plan holds its runtime
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(
            f"{part}: the engine was built but does not load here: {messages.summary()}"
        )
    inspector = engine.create_engine_inspector()
    return engine_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
