"""Which engine runs a network on this machine."""

from __future__ import annotations

import logging
from typing import Literal, get_args

from cg3d_runtime.engines.cuda import cuda_device_count
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.engines.onnx_runtime import CUDA, OnnxRuntimeEngine, load_onnxruntime
from cg3d_runtime.errors import EngineError

#: What a caller may ask for.
EngineChoice = Literal["auto", "cpu", "cuda"]

_log = logging.getLogger(__name__)


def open_engine(model: bytes, engine: EngineChoice = "auto", threads: int | None = None) -> Engine:
    """Load a network.

    Args:
        model: the bytes of an ONNX file.
        engine: "cpu"; "cuda", which fails rather than run elsewhere; or "auto", which takes CUDA
            if it really runs the network here, and the CPU otherwise.
        threads: CPU threads that share one run; None takes every core.

    Raises:
        DependencyError: no ONNX Runtime is installed.
        EngineError: the choice is unknown, or the network does not run where it was asked to.
    """
    if engine not in get_args(EngineChoice):
        raise EngineError(f"engine={engine!r} should be one of {', '.join(get_args(EngineChoice))}")
    if engine == "cpu":
        return OnnxRuntimeEngine(model, "cpu", threads)
    if engine == "cuda":
        if not cuda_device_count():
            raise EngineError(
                "engine='cuda', but this machine has no NVIDIA driver or no CUDA device. "
                "Use engine='cpu' or 'auto'."
            )
        return OnnxRuntimeEngine(model, "cuda", threads)
    if cuda_device_count() and CUDA in load_onnxruntime().get_available_providers():
        try:
            return OnnxRuntimeEngine(model, "cuda", threads)
        except EngineError as error:
            _log.warning("CUDA does not run this network here, so the CPU does: %s", error)
    return OnnxRuntimeEngine(model, "cpu", threads)
