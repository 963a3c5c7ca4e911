"""What this machine has to build engines with: TensorRT, a CUDA device, or neither."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from cg3d_runtime.engines.cuda import CudaDevice, cuda_device
from cg3d_runtime.errors import DependencyError, EngineError, first_line

#: The oldest version that has strongly typed networks, named tensors and progress monitors.
OLDEST = (10, 0)


@dataclass(frozen=True)
class Machine:
    """TensorRT and the device of this machine.

    Attributes:
        tensorrt: version of TensorRT, e.g. "10.3.0"; None where it does not import.
        device: the first CUDA device; None without one.
        fault: why TensorRT cannot be used, where it cannot.
    """

    tensorrt: str | None
    device: CudaDevice | None
    fault: str = ""

    def tag(self, precision: str) -> str:
        """The name of a folder of engines, e.g. "sm87-trt10.3.0-fp16"."""
        capability = self.device.compute_capability.replace(".", "") if self.device else "??"
        version = ".".join(re.findall(r"\d+", self.tensorrt)[:3]) if self.tensorrt else "??"
        return f"sm{capability}-trt{version}-{precision}"


def find_machine() -> Machine:
    """What is here. TensorRT is imported, but nothing of it is called: without a driver its
    objects crash the process."""
    try:
        version = str(load_tensorrt().__version__)
    except DependencyError as error:
        return Machine(None, cuda_device(), str(error))
    return Machine(version, cuda_device())


def load_tensorrt() -> Any:
    """The package `tensorrt` with its builder.

    Raises:
        DependencyError: it does not import, is older than 10.0, or is the lean runtime alone.
    """
    try:
        trt = importlib.import_module("tensorrt")
        version = str(trt.__version__)
    except Exception as error:  # a broken installation raises anything, OSError among others
        raise DependencyError(f"TensorRT does not import ({first_line(error)})") from error
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        raise DependencyError(
            f"TensorRT here is {version}; building engines needs 10.0 or newer (JetPack 6.1 or "
            "newer on a Jetson)"
        )
    if not hasattr(trt, "Builder") or not hasattr(trt, "OnnxParser"):
        raise DependencyError(
            f"TensorRT {version} here is a lean runtime, without the builder and the ONNX parser"
        )
    return trt


def require_machine(machine: Machine, bundle: str) -> None:
    """Refuse to go on where engines cannot be built.

    Args:
        machine: of `find_machine`.
        bundle: the bundle's folder as the user wrote it, for the message.

    Raises:
        EngineError: it lacks TensorRT or a CUDA device, with the ways forward.
    """
    if machine.tensorrt and machine.device:
        return
    lacks = [machine.fault] if machine.fault else []
    if machine.device is None:
        lacks.append("there is no CUDA device (or no driver for it)")
    here = ""
    if machine.device is not None:
        here = (
            "\n  0. install TensorRT here: on a Jetson it comes with JetPack, and a virtual "
            "environment sees it with --system-site-packages; elsewhere: "
            "pip install 'cg3d-sdk[build,trt]'"
        )
    raise EngineError(
        f"engines cannot be built here: {'; '.join(lacks)}. An engine is made for the device and "
        f"the TensorRT that build it. Ways forward:{here}\n"
        f"  1. copy {bundle} to the robot and run there: cg3d-export {bundle} --trt\n"
        f"  2. use the bundle as it is: ONNX Runtime runs it on any CPU, and on GPUs with "
        "cg3d-sdk[gpu]\n"
        "With --dry-run this command shows what would be built."
    )
