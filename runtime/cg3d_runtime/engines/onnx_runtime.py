"""ONNX Runtime as an engine, on any of its providers, and never on another one quietly."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.cores import usable_cores
from cg3d_runtime.dependencies import require
from cg3d_runtime.engines.forks import ForkGuard
from cg3d_runtime.engines.onnx_providers import (
    PROVIDERS,
    OrtDevice,
    create_session,
    placement,
)
from cg3d_runtime.errors import DependencyError, EngineError, first_line

#: ONNX Runtime's names of the types that networks here take.
_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(int64)": np.dtype(np.int64),
}

#: ONNX Runtime's level of logging; its warnings are about optimisations of its own.
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class _Input:
    """An input of the network; a dimension of any length is its name."""

    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"({', '.join(str(length) for length in self.shape)}) {self.dtype}"

    def takes(self, array: NDArray[Any]) -> bool:
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(
                found > 0 if isinstance(wanted, str) else found == wanted
                for found, wanted in zip(array.shape, self.shape, strict=True)
            )
        )

    def zeros(self) -> NDArray[Any]:
        return np.zeros([n if isinstance(n, int) else 1 for n in self.shape], self.dtype)


class OnnxRuntimeEngine:
    """A network in an ONNX Runtime session. Thread-safe; in a forked child it is an error.

    On the CPU no more runs go on at once than there are cores for: others wait. More would not be
    faster, and its memory grows with the most runs that have ever met, whenever that is.

    Args:
        model: the bytes of an ONNX file without external data.
        device: where it runs; on a GPU that is the first one, and ONNX Runtime gives operators
            that the provider lacks to the next one, which `name` says.
        threads: CPU threads that share one run; None lets ONNX Runtime take every core.

    Raises:
        DependencyError: ONNX Runtime is not installed.
        EngineError: the model cannot be loaded, or not on this device.
    """

    def __init__(self, model: bytes, device: OrtDevice = "cpu", threads: int | None = None) -> None:
        ort = load_onnxruntime()
        title = f"onnxruntime {ort.__version__}"
        self.name = f"{title} ({PROVIDERS[device].title})"
        try:
            self._session = create_session(ort, model, device, _options(ort, threads))
        except EngineError:
            raise
        except Exception as error:  # its errors share no other base
            advice = (
                "Check the bundle with `cg3d info`, or export it again."
                if device == "cpu"
                else "engine='cpu' tells whether it is the network or this provider's libraries."
            )
            if "NOT_IMPLEMENTED" in str(error):  # how it speaks of types that it lacks, as BF16
                advice = (
                    "It has no such operator in that type. A bundle in bf16 needs TensorRT; export "
                    "it again with --precision fp16 for ONNX Runtime."
                )
            raise EngineError(
                f"{self.name} could not load the network: {first_line(error, 300)}. {advice}"
            ) from error
        self._guard = ForkGuard(self._session)
        self._turns: AbstractContextManager[Any] = (
            threading.Semaphore(max(1, usable_cores() // (threads or 1)))
            if device == "cpu"
            else nullcontext()
        )
        self.device = device
        self.name = f"{title} ({placement(self._session, device)})"
        self._inputs = {entry.name: _describe(entry) for entry in self._session.get_inputs()}
        self._outputs = [entry.name for entry in self._session.get_outputs()]
        if device != "cpu":
            # Kernels that do not fit the device show at the first run, not before.
            self.run({name: entry.zeros() for name, entry in self._inputs.items()})

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the network once; see `Engine.run`."""
        self._guard.check(self.name)
        self._check(inputs)
        try:
            with self._turns:
                outputs = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # its errors share no other base
            raise EngineError(f"{self.name} failed to run: {first_line(error, 300)}") from error
        return dict(zip(self._outputs, outputs, strict=True))

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        if inputs.keys() != self._inputs.keys():
            wanted = ", ".join(f"{name!r} {entry}" for name, entry in self._inputs.items())
            raise EngineError(
                f"the network takes {wanted}; it was given {', '.join(map(repr, inputs)) or 'none'}"
            )
        for name, array in inputs.items():
            if not isinstance(array, np.ndarray):
                raise EngineError(
                    f"input {name!r} should be a numpy array {self._inputs[name]}, "
                    f"not {type(array).__name__}"
                )
            if not self._inputs[name].takes(array):
                raise EngineError(
                    f"input {name!r} should be {self._inputs[name]}, not {array.shape} "
                    f"{array.dtype}"
                )


def load_onnxruntime() -> Any:
    """The package `onnxruntime`, which two wheels provide.

    Newer wheels (1.31 does) report to their maker, from a thread that starts at the import and
    makes forked children hang at their exit. A robot has no use for that, so it is off, unless
    ORT_DISABLE_TELEMETRY is already set.

    Raises:
        DependencyError: neither is installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    try:
        return require("onnxruntime", "cpu", "Running a bundle")
    except DependencyError as error:
        raise DependencyError(
            f"{error} (or, with an NVIDIA GPU, pip install 'cg3d-sdk[gpu]'; never both)"
        ) from error


def _options(ort: Any, threads: int | None) -> Any:
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise EngineError(f"threads={threads!r} should be 1 or more, or None for every core")
    options = ort.SessionOptions()
    # All optimisations: for a 2 M parameter transformer in FP16 they cost 10 ms at the start and
    # win them back within 20 runs; lower levels keep casting the weights at every run.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return options


def _describe(entry: Any) -> _Input:
    dtype = _DTYPES.get(entry.type)
    if dtype is None:
        raise EngineError(
            f"the network's input {entry.name!r} has the type {entry.type}, which no encoder of "
            "cg3d-sdk has. Export the bundle again."
        )
    shape = (n if isinstance(n, int) else str(n or "any") for n in entry.shape)
    return _Input(dtype, tuple(shape))
