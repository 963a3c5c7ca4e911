"""Where ONNX Runtime may run a network, and sessions that run there and nowhere else quietly."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from cg3d_runtime.engines.engine import AbsentError
from cg3d_runtime.errors import EngineError

#: Where ONNX Runtime may be asked to run.
OrtDevice = Literal["cpu", "cuda", "tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True)
class Provider:
    """An execution provider of ONNX Runtime.

    Attributes:
        name: ONNX Runtime's name of it.
        title: for people.
        install: how to get it, as a sentence.
    """

    name: str
    title: str
    install: str


_GPU = "Install the build that has it: pip install 'cg3d-sdk[gpu]' (without cg3d-sdk[cpu])."

PROVIDERS: dict[OrtDevice, Provider] = {
    "cpu": Provider("CPUExecutionProvider", "CPU", "Install it: pip install 'cg3d-sdk[cpu]'"),
    "cuda": Provider("CUDAExecutionProvider", "CUDA", _GPU),
    "tensorrt": Provider("TensorrtExecutionProvider", "TensorRT", _GPU),
    "tensorrt-rtx": Provider(
        "NvTensorRTRTXExecutionProvider",
        "TensorRT-RTX",
        "Install its plug-in: pip install 'cg3d-sdk[trt-rtx]'",
    ),
}

#: The package that brings TensorRT-RTX as a plug-in for every build of ONNX Runtime.
_RTX_PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"

#: Batches that TensorRT prepares for: fewest, most likely, most. Others make it build again.
_BATCHES = (1, 8, 64)

_RECORD = "session.record_ep_graph_assignment_info"
_CPU = PROVIDERS["cpu"].name

#: TF32, which CUDA's provider takes unless told otherwise, rounds the geometry's FP32 products to
#: 10 bits, and neighbours change.
_CUDA = PROVIDERS["cuda"].name, {"use_tf32": "0"}


def create_session(ort: Any, model: bytes, device: OrtDevice, options: Any) -> Any:
    """A session of ONNX Runtime whose first provider is the device's.

    Args:
        ort: the package onnxruntime.
        model: the bytes of an ONNX file.
        device: where it should run.
        options: ONNX Runtime's SessionOptions.

    Raises:
        EngineError: this ONNX Runtime has no such provider, or it fell back to another one.
        Exception: whatever ONNX Runtime raises about the model.
    """
    provider = PROVIDERS[device]
    if device != "cpu" and hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
        options.add_session_config_entry(_RECORD, "1")
    # Without `enable_fallback=0` a provider that fails is replaced by the CPU, with a print.
    if provider.name in ort.get_available_providers():
        if device != "cpu":
            _load_cuda_libraries(ort)
        chain = _chain(ort, model, device)
        session = ort.InferenceSession(model, options, providers=chain, enable_fallback=0)
    elif device == "tensorrt-rtx":
        options.add_provider_for_devices(_rtx_devices(ort, provider), {})
        session = ort.InferenceSession(model, options, enable_fallback=0)
    else:
        raise AbsentError(
            f"this onnxruntime {ort.__version__} has no {provider.name}. {provider.install}"
        )
    # Otherwise a failing run would be repeated elsewhere, with a print.
    session.disable_fallback()
    if (used := session.get_providers()[0]) != provider.name:
        raise EngineError(
            f"{provider.name} was asked for, but onnxruntime fell back to {used}: its CUDA, cuDNN "
            "or TensorRT libraries do not load here (stderr says which). Install the versions that "
            f"onnxruntime {ort.__version__} needs, or use engine='cpu'."
        )
    return session


def placement(session: Any, device: OrtDevice) -> str:
    """What really runs the network, e.g. "CUDA, 3 of 285 operators on CPU".

    ONNX Runtime lists a provider as used even where it took none of the network. Releases before
    1.24 do not tell; then it is the provider alone.

    Raises:
        EngineError: the device's provider took nothing.
    """
    provider = PROVIDERS[device]
    if device == "cpu" or not hasattr(session, "get_provider_graph_assignment_info"):
        return provider.title
    counts: Counter[str] = Counter()
    for subgraph in session.get_provider_graph_assignment_info():
        counts[subgraph.ep_name] += len(subgraph.get_nodes())
    if not counts[provider.name]:
        elsewhere = ", ".join(sorted(counts)) or "nothing"
        raise EngineError(
            f"{provider.name} was asked for, but it takes none of the network; {elsewhere} does. "
            "Use engine='cpu', or export the bundle again."
        )
    titles = {entry.name: entry.title for entry in PROVIDERS.values()}
    others = [
        f"{count} of {counts.total()} operators on {titles.get(name, name)}"
        for name, count in counts.most_common()
        if name != provider.name
    ]
    return ", ".join([provider.title, *others])


def _chain(ort: Any, model: bytes, device: OrtDevice) -> list[Any]:
    """The device's provider, and behind it those that run the operators it lacks."""
    if device == "cpu":
        return [_CPU]
    if device == "tensorrt":
        # No FP16 flag: it would let TensorRT take half precision where the graph asks for single.
        shapes = _profile(ort, model)
        return [(PROVIDERS[device].name, shapes), _CUDA, _CPU]
    return [_CUDA, _CPU] if device == "cuda" else [PROVIDERS[device].name, _CPU]


def _profile(ort: Any, model: bytes) -> dict[str, str]:
    """TensorRT's shapes; without them it builds again for every batch it has not met."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    inputs = ort.InferenceSession(model, options, providers=[_CPU]).get_inputs()
    return {
        f"trt_profile_{kind}_shapes": ",".join(
            f"{entry.name}:{'x'.join(str(n if isinstance(n, int) else batch) for n in entry.shape)}"
            for entry in inputs
        )
        for kind, batch in zip(("min", "opt", "max"), _BATCHES, strict=True)
    }


def _rtx_devices(ort: Any, provider: Provider) -> list[Any]:
    """The devices of the plug-in, which is registered once a process."""
    if not hasattr(ort, "register_execution_provider_library"):
        raise EngineError(
            f"this onnxruntime {ort.__version__} takes no plug-ins; 1.24 or later does, which "
            f"{provider.name} needs"
        )
    try:
        plugin = importlib.import_module(_RTX_PLUGIN)
    except ImportError as error:
        raise EngineError(
            f"{provider.name} needs the package {_RTX_PLUGIN!r}, which could not be imported "
            f"({error}). {provider.install}"
        ) from error
    devices = _devices_of(ort, provider)
    if not devices:
        try:
            ort.register_execution_provider_library(provider.name, plugin.get_library_path())
        except Exception as error:  # its errors share no other base
            raise EngineError(f"{provider.name} does not load here: {error}") from error
        devices = _devices_of(ort, provider)
    if not devices:
        raise EngineError(
            f"{provider.name} finds no device it runs on; it needs an NVIDIA RTX GPU (Ampere or "
            "later) and a driver for CUDA 13"
        )
    return devices[:1]


def _devices_of(ort: Any, provider: Provider) -> list[Any]:
    return [device for device in ort.get_ep_devices() if device.ep_name == provider.name]


def _load_cuda_libraries(ort: Any) -> None:
    """Find CUDA and cuDNN where pip puts them; the system's are found without this."""
    if hasattr(ort, "preload_dlls"):
        # It prints what it misses, and stdout may be somebody's JSON.
        with contextlib.redirect_stdout(sys.stderr):
            ort.preload_dlls()
