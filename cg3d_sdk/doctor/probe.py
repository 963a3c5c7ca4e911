"""Tries one of ONNX Runtime's providers, or TensorRT, in a process of its own.

Libraries for GPUs may end the process that loads them, or hang. `python -m cg3d_sdk.doctor.probe
cuda` is what the doctor runs; its last line is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

#: Seconds. TensorRT may build for a while even for so little.
_PATIENCE = 180


@dataclass(frozen=True)
class Probe:
    """What came of a try.

    Attributes:
        works: whether it ran a network and the numbers were right; of TensorRT, whether it loads.
        said: what ran, or what went wrong.
    """

    works: bool
    said: str


def probe(what: str) -> Probe:
    """Try a provider of ONNX Runtime ("cpu", "cuda", ...), or "trt", TensorRT itself."""
    command = [sys.executable, "-m", __name__, what]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return Probe(False, f"it did not answer within {_PATIENCE} s")
    except OSError as error:
        return Probe(False, f"it could not be tried: {error}")
    try:
        return Probe(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        last = (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
        return Probe(False, f"it ended its process with {how}: {last}")


def try_here(what: str) -> Probe:
    """The same in this process."""
    from cg3d_runtime.errors import Cg3dError

    try:
        return Probe(True, _version() if what == "trt" else _run(what))
    except Cg3dError as error:
        return Probe(False, str(error))


def _version() -> str:
    from cg3d_runtime.engines.tensorrt_session import load_tensorrt

    return str(load_tensorrt().__version__)


def _run(device: Any) -> str:
    import numpy as np

    from cg3d_runtime.engines.onnx_runtime import OnnxRuntimeEngine
    from cg3d_runtime.errors import EngineError
    from cg3d_sdk.doctor.tiny_graph import tiny_graph

    engine = OnnxRuntimeEngine(tiny_graph(), device, threads=1)
    x = np.array([[1, 2], [3, 4]], np.float32)
    found = engine.run({"x": x})["y"]
    if not np.allclose(found, x @ x + x, rtol=1e-2):
        raise EngineError(f"{engine.name} computes nonsense: {found.tolist()}")
    return engine.name


if __name__ == "__main__":
    print(json.dumps(asdict(try_here(sys.argv[1]))))  # noqa: T201 - what the other side reads
