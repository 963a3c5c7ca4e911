"""A TensorRT plan that is loaded: its tensors, the memory they live in, and its contexts.

Written against the Python API that TensorRT 10.0 to 11.x share: named tensors, strongly typed.
"""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.engines.cuda_memory import CudaStream
from cg3d_runtime.engines.machine import version_numbers
from cg3d_runtime.engines.sidecar import PlanInfo
from cg3d_runtime.engines.tensorrt_messages import messages_of
from cg3d_runtime.errors import EngineError

#: Batch sizes that get a context and a CUDA graph of their own; any others share one context.
GRAPHS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tensor:
    """An input or output, in the memory that was allocated for it once.

    Attributes:
        name: of the network's input or output.
        is_input: which of the two.
        dtype: of its elements.
        row: the shape behind the batch.
        pinned: the host's side, flat, uint8, for the largest batch.
        address: the device's side.
    """

    name: str
    is_input: bool
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    pinned: NDArray[np.uint8]
    address: int

    def bytes(self, batch: int) -> int:
        """How many bytes a batch of this size has."""
        return batch * math.prod(self.row) * self.dtype.itemsize

    def host(self, batch: int) -> NDArray[Any]:
        """The host's side as an array (batch, *row)."""
        return self.pinned[: self.bytes(batch)].view(self.dtype).reshape(batch, *self.row)


class Session:
    """A plan with a stream of its own. Not thread-safe; `stream.current()` must hold.

    Every batch size that is met gets a context and, after its first run, a CUDA graph: TensorRT
    asks for one context a graph. The contexts share their scratch memory, because they run one at
    a time. Where capturing fails, all sizes share one context that runs without a graph.

    Attributes:
        stream: where everything runs.
        minimum, maximum: the batch sizes of the plan's profile.
        tensors: all inputs and outputs.
        no_graphs: why there are no CUDA graphs; "" while there are.
    """

    def __init__(self, trt: Any, stream: CudaStream) -> None:
        self.stream = stream
        self.minimum = self.maximum = 0
        self.tensors: tuple[Tensor, ...] = ()
        self.no_graphs = ""
        self._trt, self._messages = trt, messages_of(trt)
        self._runtime: Any = None
        self._engine: Any = None
        self._shared: Any = None
        self._scratch = (0, 0)
        self._graphs: dict[int, tuple[Any, int]] = {}

    def load(self, plan: bytes, info: PlanInfo) -> None:
        """Load a plan, allocate all that it needs, and run it once.

        Raises:
            EngineError: TensorRT refuses the plan, the plan is not one of ours, there is not
                enough memory for it, or it does not run.
        """
        self._runtime = self._trt.Runtime(self._messages.logger)
        # A plan for later versions brings the code of its own runtime.
        self._runtime.engine_host_code_allowed = info.version_compatible
        self._messages.clear()
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError(
                f"TensorRT {self._trt.__version__} refuses the plan: {self._messages.summary()}"
            )
        self.minimum, self.maximum, rows = self._profile()
        self._scratch = self._scratch_memory()
        self._shared = self._context(self.maximum, rows)
        self.tensors = tuple(self._tensor(name) for name in self._names())
        self._bind(self._shared)
        for tensor in self.inputs:
            tensor.pinned[:] = 0
        # Kernels that do not fit the device show at the first run, which is the slowest as well.
        self.run(self.minimum)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors to fill before `run`."""
        return tuple(tensor for tensor in self.tensors if tensor.is_input)

    def run(self, batch: int) -> None:
        """Run on what lies in the inputs' host side; the results lie in the outputs' after it.

        Raises:
            EngineError: TensorRT or CUDA failed.
        """
        if batch in self._graphs:
            self.stream.launch(self._graphs[batch][1])
            self.stream.synchronize()
            return
        self._messages.clear()
        own = not self.no_graphs and len(self._graphs) < GRAPHS
        context = self._own_context(batch) if own else self._reshaped(batch)
        self._enqueue(context, batch)
        self.stream.synchronize()
        if own:
            self._capture(context, batch)

    def close(self) -> None:
        """Give everything back: contexts before the engine, the engine before the memory."""
        with suppress(EngineError), self.stream.current():
            self._drop()
        self._drop()  # where the driver has gone already
        self.stream.close()

    def _drop(self) -> None:
        self._graphs.clear()
        self._shared = None
        self._engine = None
        self._runtime = None

    def _capture(self, context: Any, batch: int) -> None:
        """Record the run that has just been done; TensorRT asks for one before."""
        try:
            graph = self.stream.capture(lambda: self._enqueue(context, batch))
        except EngineError as error:
            self.no_graphs = str(error)
            _log.warning("TensorRT runs without CUDA graphs, which is slower: %s", error)
        else:
            self._graphs[batch] = context, graph

    def _enqueue(self, context: Any, batch: int) -> None:
        for tensor in self.inputs:
            self.stream.to_device(tensor.address, tensor.pinned, tensor.bytes(batch))
        if not context.execute_async_v3(self.stream.handle):
            raise EngineError(f"TensorRT failed to run: {self._messages.summary()}")
        for tensor in self.tensors:
            if not tensor.is_input:
                self.stream.to_host(tensor.pinned, tensor.address, tensor.bytes(batch))

    def _own_context(self, batch: int) -> Any:
        context = self._context(batch, {tensor.name: tensor.row for tensor in self.inputs})
        self._bind(context)
        return context

    def _reshaped(self, batch: int) -> Any:
        for tensor in self.inputs:
            self._set_shape(self._shared, tensor.name, (batch, *tensor.row))
        return self._shared

    def _context(self, batch: int, rows: dict[str, tuple[int, ...]]) -> Any:
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise EngineError(f"TensorRT could not prepare the plan: {self._messages.summary()}")
        address, size = self._scratch
        if hasattr(context, "set_device_memory"):
            context.set_device_memory(address, size)
        else:  # TensorRT 10.0
            context.device_memory = address
        for name, row in rows.items():
            self._set_shape(context, name, (batch, *row))
        return context

    def _set_shape(self, context: Any, name: str, shape: tuple[int, ...]) -> None:
        if not context.set_input_shape(name, shape):
            raise EngineError(
                f"TensorRT does not take the shape {shape} for {name!r}: {self._messages.summary()}"
            )

    def _bind(self, context: Any) -> None:
        for tensor in self.tensors:
            if not context.set_tensor_address(tensor.name, tensor.address):
                raise EngineError(f"TensorRT refuses memory for {tensor.name!r}")

    def _names(self) -> list[str]:
        return [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]

    def _is_input(self, name: str) -> bool:
        return bool(self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT)

    def _profile(self) -> tuple[int, int, dict[str, tuple[int, ...]]]:
        """The smallest and largest batch, and the shape behind it of every input."""
        rows: dict[str, tuple[int, ...]] = {}
        batches = set()
        for name in filter(self._is_input, self._names()):
            shapes = self._engine.get_tensor_profile_shape(name, 0)
            low, _, high = [tuple(map(int, shape)) for shape in shapes] or [()] * 3
            if not high or low[1:] != high[1:]:
                raise EngineError(
                    f"the plan's input {name!r} goes from {low} to {high}; only the first "
                    "dimension, the batch, may vary. Build it again."
                )
            rows[name] = high[1:]
            batches.add((low[0], high[0]))
        if len(batches) != 1:
            raise EngineError(
                f"the plan's inputs have the batches {sorted(batches)}; there should be one, the "
                "same for all. Build it again."
            )
        return (*batches.pop(), rows)

    def _scratch_memory(self) -> tuple[int, int]:
        size = getattr(self._engine, "device_memory_size_v2", None)
        if size is None:  # TensorRT 10.0
            size = self._engine.device_memory_size
        return self.stream.device_memory(size), max(1, size)

    def _tensor(self, name: str) -> Tensor:
        shape = tuple(map(int, self._shared.get_tensor_shape(name)))
        if not shape or shape[0] != self.maximum or min(shape) < 1:
            raise EngineError(
                f"the plan's {name!r} has the shape {shape} for a batch of {self.maximum}; "
                "its first dimension should be the batch, and none may be open. Build it again."
            )
        kind = self._engine.get_tensor_dtype(name)
        try:
            dtype = np.dtype(self._trt.nptype(kind))
        except TypeError as error:
            raise EngineError(
                f"the plan's {name!r} has the type {kind}, which numpy lacks. Build it again."
            ) from error
        size = math.prod(shape) * dtype.itemsize
        pinned = self.stream.pinned_memory(size)
        address = self.stream.device_memory(size)
        return Tensor(name, self._is_input(name), dtype, shape[1:], pinned, address)


def load_tensorrt() -> Any:
    """The package `tensorrt`, 10.0 or later.

    Raises:
        DependencyError: it is not installed.
        EngineError: it is too old, or broken.
    """
    try:
        trt = require("tensorrt", "trt", "Running a TensorRT plan")
    except OSError as error:  # a library of its own that does not load
        raise EngineError(f"TensorRT is installed and does not load ({error})") from error
    if version_numbers(str(trt.__version__)) < (10,):
        raise EngineError(
            f"TensorRT {trt.__version__} is installed; 10.0 or later is needed (JetPack 6.1)."
        )
    return trt
