"""TensorRT as an engine: runs a plan that was built for this machine."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.engines.cuda import cuda_device
from cg3d_runtime.engines.cuda_memory import CudaStream
from cg3d_runtime.engines.forks import ForkGuard
from cg3d_runtime.engines.machine import check_machine, plan_header
from cg3d_runtime.engines.place import REBUILD
from cg3d_runtime.engines.sidecar import PlanInfo
from cg3d_runtime.engines.tensorrt_session import Session, Tensor, load_tensorrt
from cg3d_runtime.errors import EngineError

_log = logging.getLogger(__name__)


class TensorRTEngine:
    """A plan on the first CUDA device. Thread-safe: one run at a time.

    All memory is allocated once, for the largest batch of the plan's profile; larger batches are
    run in pieces. Every batch size has its CUDA graph from its second run on.

    Args:
        plan: the bytes of a plan, checked by `read_plan`.
        info: its sidecar.
        rebuild: the command that builds it anew, for errors.

    Raises:
        DependencyError: TensorRT is not installed.
        EngineError: there is no device, the plan does not fit the machine, or TensorRT refuses it.
    """

    def __init__(self, plan: bytes, info: PlanInfo, rebuild: str = REBUILD) -> None:
        # Without a driver even making a `tensorrt.Runtime` crashes the process.
        device = cuda_device()
        if device is None:
            raise EngineError(
                "TensorRT needs an NVIDIA driver and a CUDA device; this machine has none. "
                "engine='cpu' runs everywhere."
            )
        trt = load_tensorrt()
        check_machine(info, plan_header(plan), trt.__version__, device, rebuild)
        if device.name != info.device:
            _log.warning(
                "the plan was built on %s and runs on %s: both have compute capability %s, but it "
                "was not tuned for this one. To tune it: %s",
                info.device, device.name, device.compute_capability, rebuild,
            )  # fmt: skip
        self._lock = threading.Lock()
        self._title = f"tensorrt {trt.__version__} ({device.name}, {info.precision}"
        self._session = _open(trt, plan, info, rebuild)
        self._close = weakref.finalize(self, self._session.close)
        self._guard = ForkGuard(self._session, self._close.detach)

    @property
    def name(self) -> str:
        """What runs the network and where, for people."""
        return f"{self._title}{', without CUDA graphs' if self._session.no_graphs else ''})"

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the network; see `Engine.run`."""
        self._guard.check(self.name)
        with self._lock:
            if not self._close.alive:
                raise EngineError("the engine was closed; open it again")
            batch = self._check(inputs)
            outputs = {
                tensor.name: np.empty((batch, *tensor.row), tensor.dtype)
                for tensor in self._session.tensors
                if not tensor.is_input
            }
            with self._session.stream.current():
                start = 0
                for size in batch_sizes(batch, self._session.minimum, self._session.maximum):
                    self._run_rows(size, slice(start, start + size), inputs, outputs)
                    start += size
        return outputs

    def close(self) -> None:
        """Free the device's memory; a run after it is an error. May be called again."""
        with self._lock:
            self._close()

    def _run_rows(
        self,
        size: int,
        rows: slice,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
    ) -> None:
        for tensor in self._session.inputs:
            tensor.host(size)[...] = inputs[tensor.name][rows]
        self._session.run(size)
        for tensor in self._session.tensors:
            if not tensor.is_input:
                outputs[tensor.name][rows] = tensor.host(size)

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        """The batch of the inputs, which must be the network's."""
        tensors = {tensor.name: tensor for tensor in self._session.inputs}
        if inputs.keys() != tensors.keys():
            wanted = ", ".join(f"{name!r} {self._shown(t)}" for name, t in tensors.items())
            raise EngineError(
                f"the network takes {wanted}; it was given {', '.join(map(repr, inputs)) or 'none'}"
            )
        for name, array in inputs.items():
            tensor = tensors[name]
            if not isinstance(array, np.ndarray):
                raise EngineError(
                    f"input {name!r} should be a numpy array {self._shown(tensor)}, "
                    f"not {type(array).__name__}"
                )
            if (
                array.dtype != tensor.dtype
                or array.shape[1:] != tensor.row
                or array.ndim != len(tensor.row) + 1
                or len(array) < self._session.minimum
            ):
                raise EngineError(
                    f"input {name!r} is {array.shape} {array.dtype}, outside of the plan's "
                    f"profile, {self._shown(tensor)}"
                )
        lengths = {len(array) for array in inputs.values()}
        if len(lengths) > 1:
            raise EngineError(f"the inputs have different batches: {sorted(lengths)}")
        return lengths.pop()

    def _shown(self, tensor: Tensor) -> str:
        """A shape with its batches, e.g. "(1..64, 1024, 3) float32"."""
        low, high = self._session.minimum, self._session.maximum
        batch = str(low) if low == high else f"{low}..{high}"
        return f"({', '.join([batch, *map(str, tensor.row)])}) {tensor.dtype}"


def batch_sizes(batch: int, minimum: int, maximum: int) -> list[int]:
    """The sizes in which a batch is run: as large as may be, none smaller than `minimum`.

    Raises:
        EngineError: no sum of allowed sizes gives the batch.
    """
    pieces = -(-batch // maximum)
    spare = batch - pieces * minimum
    if spare < 0:
        raise EngineError(
            f"a batch of {batch} cannot be run in pieces of {minimum} to {maximum}, the plan's "
            "profile"
        )
    sizes = []
    for _ in range(pieces):
        more = min(spare, maximum - minimum)
        sizes.append(minimum + more)
        spare -= more
    return sizes


def _open(trt: Any, plan: bytes, info: PlanInfo, rebuild: str) -> Session:
    session = Session(trt, CudaStream())
    try:
        with session.stream.current():
            session.load(plan, info)
    except BaseException as error:
        session.close()
        if isinstance(error, EngineError):
            raise EngineError(f"{error}. To build it again: {rebuild}") from error
        raise
    return session
