"""As much of TensorRT's Python API as the SDK calls, on the stand-in for the driver.

A "plan" is a header and a JSON description; its "network" doubles the mean over axis 1 of its
first input, for every output. Work is enqueued on the stream and done when that is synchronised.
What TensorRT asks for and does not check (memory for a context, a run before a capture, a context
for each graph) is checked here.
"""

from __future__ import annotations

import ctypes
import enum
import json
import math
import types
from typing import Any

import numpy as np

WORK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_long)
ILLEGAL_ADDRESS = 700


class Mode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class Strategy(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    def __init__(self) -> None:
        self.ready = True


class FakeTensorRT(types.ModuleType):
    """The module; `failing` makes a function fail, `calls` counts what ran."""

    def __init__(self, driver: ctypes.CDLL) -> None:
        super().__init__("tensorrt")
        self.__version__ = "10.3.0"  # wheels of that version leave the build number out
        self.driver = driver
        self.ILogger, self.TensorIOMode = ILogger, Mode
        self.ExecutionContextAllocationStrategy = Strategy
        self.failing: set[str] = set()
        self.calls: list[str] = []
        self.contexts: list[Context] = []
        self.alive: list[str] = []
        self.kept: list[Any] = []  # what ctypes calls must outlive the calls

    def Runtime(self, logger: Any) -> Runtime:  # noqa: N802
        assert logger.ready
        return Runtime(self, logger)

    @staticmethod
    def nptype(kind: str) -> type:
        if kind == "bfloat16":
            raise TypeError("no such type")
        return np.dtype(kind).type


class Counted:
    """Something of TensorRT's, which must go before the device's memory does."""

    def __init__(self, trt: FakeTensorRT, kind: str) -> None:
        self.trt, self.kind = trt, kind
        trt.alive.append(kind)

    def __del__(self) -> None:
        if not self.trt.driver.fake_context():
            self.trt.calls.append(f"{self.kind} went without a context")
        self.trt.alive.remove(self.kind)


class Runtime(Counted):
    def __init__(self, trt: FakeTensorRT, logger: Any) -> None:
        super().__init__(trt, "runtime")
        self.logger, self.engine_host_code_allowed = logger, False

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        assert self.trt.driver.fake_context(), "no CUDA context"
        self.trt.calls.append("deserialize")
        if "deserialize" in self.trt.failing:
            self.logger.log(ILogger.WARNING, "this is harmless")
            self.logger.log(ILogger.ERROR, "Version tag does not match. Current Version: X")
            return None
        return Engine(self, json.loads(plan[32:]))


class Engine(Counted):
    def __init__(self, runtime: Runtime, spec: dict[str, Any]) -> None:
        super().__init__(runtime.trt, "engine")
        self.runtime, self.spec = runtime, spec
        self.device_memory_size_v2 = spec.get("scratch", 1000)
        self.num_io_tensors = len(spec["tensors"])

    def get_tensor_name(self, index: int) -> str:
        return list(self.spec["tensors"])[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if "profile" in self.spec["tensors"][name] else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return self.spec["tensors"][name]["dtype"]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        assert index == 0
        return self.spec["tensors"][name]["profile"]

    def create_execution_context(self, strategy: Strategy) -> Context | None:
        assert strategy is Strategy.USER_MANAGED
        if "create_execution_context" in self.trt.failing:
            return None
        return Context(self)


class Context(Counted):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.trt, "context")
        self.engine, self.tensors = engine, engine.spec["tensors"]
        self.batch = 0
        self.has_run = False
        self.addresses: dict[str, int] = {}
        self.scratch = (0, 0)
        self.state = {"batch": 0, "alive": True}

    def __del__(self) -> None:
        self.state["alive"] = False
        super().__del__()

    def set_device_memory(self, address: int, size: int) -> None:
        assert address % 256 == 0
        self.scratch = address, size

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.tensors[name]["profile"]
        if "set_input_shape" in self.trt.failing:
            self.engine.runtime.logger.log(ILogger.ERROR, "profile 0: out of range")
            return False
        if len(shape) != len(low) or not all(
            a <= n <= b for a, n, b in zip(low, shape, high, strict=True)
        ):
            return False
        if self.batch != shape[0]:
            self.batch = self.state["batch"] = shape[0]
            self.has_run = False
        return True

    def get_tensor_shape(self, name: str) -> list[int]:
        tensor = self.tensors[name]
        return [self.batch if n == -1 else n for n in tensor["shape"]]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return bool(self.trt.driver.fake_host(address, 1))

    def execute_async_v3(self, stream: int) -> bool:
        capturing = bool(self.trt.driver.fake_capturing())
        self.trt.calls.append("capture" if capturing else "execute")
        if "execute" in self.trt.failing or (capturing and "capture" in self.trt.failing):
            self.engine.runtime.logger.log(ILogger.ERROR, "enqueueV3: no kernel")
            return False
        needed = self.engine.device_memory_size_v2
        assert self.scratch[1] >= needed, "a context without its memory"
        assert self.trt.driver.fake_host(*self.scratch), "its memory is not the device's"
        assert self.has_run or not capturing, "captured before a run"
        self.has_run = True
        work = _work(self.trt, self.state, dict(self.addresses), self.tensors, self.batch)
        self.trt.kept.append(work)
        return self.trt.driver.fake_enqueue(stream, work, 0) == 0


def _work(trt: FakeTensorRT, state: dict, addresses: dict, tensors: dict, batch: int) -> Any:
    """The kernel, for the context as it is now; it must still be so when it runs."""

    def array(name: str) -> np.ndarray:
        shape = [batch if n == -1 else n for n in tensors[name]["shape"]]
        dtype = np.dtype(tensors[name]["dtype"])
        size = math.prod(shape) * dtype.itemsize
        place = trt.driver.fake_host(addresses[name], size)
        if not place:
            raise IndexError(name)
        buffer = (ctypes.c_uint8 * size).from_address(place)
        return np.frombuffer(buffer, dtype).reshape(shape)

    def run(_: int) -> int:
        trt.calls.append("kernel")
        if not state["alive"] or state["batch"] != batch:
            return ILLEGAL_ADDRESS
        try:
            first = array(next(iter(tensors)))
            for name, tensor in tensors.items():
                if "profile" not in tensor:
                    out = array(name)
                    out[...] = (2 * first.mean(axis=1)).reshape(batch, -1)[:, : out.shape[1]]
        except IndexError:
            return ILLEGAL_ADDRESS
        return 0

    return WORK(run)
