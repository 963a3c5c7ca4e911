"""Which engines work on this machine: each provider is tried with a tiny network."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator

from cg3d_runtime.engines.cuda import cuda_device
from cg3d_runtime.engines.onnx_providers import PROVIDERS, OrtDevice
from cg3d_sdk.doctor.finding import Finding
from cg3d_sdk.doctor.machine import jetson_linux, nvidia_hardware
from cg3d_sdk.doctor.probe import probe

_WHEELS = ("onnxruntime", "onnxruntime-gpu")
_NO_DEVICE = "not tried: it needs an NVIDIA GPU with a driver"


def engine_findings() -> Iterator[Finding]:
    """Driver, ONNX Runtime with every provider, and TensorRT."""
    device = cuda_device()
    if device is not None:
        yield Finding(
            "gpu",
            f"{device.name}, compute capability {device.compute_capability}, "
            f"{device.memory_bytes / 2**30:.1f} GiB, driver for CUDA {device.driver}",
        )
    elif nvidia_hardware():
        yield Finding("gpu", "NVIDIA's, but no driver answers", False, fix=_driver())
    else:
        yield Finding("gpu", "none of NVIDIA's")
    yield _onnxruntime()
    yield _provider("cpu", device is not None)
    for name in ("cuda", "tensorrt", "tensorrt-rtx"):
        yield _provider(name, device is not None)
    yield _tensorrt(device is not None)


def _onnxruntime() -> Finding:
    found = {name: version for name in _WHEELS if (version := _version(name))}
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    if len(found) == 2:
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'cg3d-sdk[gpu]'"
        return Finding("onnxruntime", f"{listed}: they overwrite each other", False, True, fix)
    if not found:
        line = "pip install 'cg3d-sdk[cpu]'"
        return Finding("onnxruntime", "not installed by pip", False, False, line)
    return Finding("onnxruntime", listed)


def _provider(device: OrtDevice, gpu: bool) -> Finding:
    name = f"onnxruntime {PROVIDERS[device].title}"
    if device != "cpu" and not gpu:
        return Finding(name, _NO_DEVICE, False)
    tried = probe(device)
    if tried.works:
        return Finding(name, f"works: {tried.said}", required=device == "cpu")
    return Finding(name, tried.said, False, device == "cpu", _fix(device))


def _fix(device: OrtDevice) -> str:
    if device == "cpu":
        return "pip install 'cg3d-sdk[cpu]'"
    if device == "tensorrt-rtx":
        return "pip install 'cg3d-sdk[trt-rtx]' (for RTX GPUs of PCs)"
    if platform.machine() == "aarch64":  # there is no wheel for it
        return "not needed: `cg3d-export BUNDLE --trt` makes engines for TensorRT itself"
    return "pip uninstall -y onnxruntime && pip install 'cg3d-sdk[gpu]'"


def _tensorrt(gpu: bool) -> Finding:
    if not gpu:
        return Finding("tensorrt", _NO_DEVICE, False)
    tried = probe("trt")
    if tried.works:
        return Finding("tensorrt", tried.said)
    fix = "pip install 'cg3d-sdk[trt]'"
    if jetson_linux() is not None:
        fix = "sudo apt install nvidia-jetpack, in an environment with --system-site-packages"
    return Finding("tensorrt", tried.said, False, fix=fix)


def _driver() -> str:
    if jetson_linux() is not None:
        return (
            "in a container: start it with --runtime nvidia; else sudo apt install nvidia-jetpack"
        )
    return "install NVIDIA's driver; in a container: start it with --gpus all"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
