"""Which engine runs a network on this machine, and why the others do not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from cg3d_runtime.bundle.manifest import ENGINES
from cg3d_runtime.bundle.reader import Bundle
from cg3d_runtime.engines.cuda import cuda_device_count
from cg3d_runtime.engines.engine import AbsentError, Engine
from cg3d_runtime.engines.onnx_providers import OrtDevice
from cg3d_runtime.engines.onnx_runtime import OnnxRuntimeEngine
from cg3d_runtime.engines.place import rebuild_command
from cg3d_runtime.errors import BundleError, Cg3dError, DependencyError, EngineError, short

if TYPE_CHECKING:
    from cg3d_runtime.engines.sidecar import Part

#: What a caller may ask for.
EngineChoice = Literal["auto", "cpu", "cuda", "tensorrt", "ort-tensorrt", "ort-tensorrt-rtx"]

#: Plans of these precisions, first the one to prefer. All have passed the export's comparison, so
#: speed decides; of the two halves fp16 is the closer one, and int8 is last among the short ones.
_PREFERRED = ("fp16", "bf16", "int8", "fp32")

_ORT: dict[str, OrtDevice] = {
    "cpu": "cpu",
    "cuda": "cuda",
    "ort-tensorrt": "tensorrt",
    "ort-tensorrt-rtx": "tensorrt-rtx",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """An engine that was tried or considered, and not taken.

    Attributes:
        engine: which, e.g. "cuda" or "tensorrt sm87-trt10.3.0-fp16".
        reason: why not, and what to do about it.
    """

    engine: str
    reason: str

    def __str__(self) -> str:
        return f"{self.engine}: {self.reason}"


@dataclass(frozen=True)
class Opened:
    """An engine that is ready, and those before it that were not taken."""

    engine: Engine
    refusals: tuple[Refusal, ...]


_Candidate = tuple[str, Callable[[], Engine]]


def open_engine(model: bytes, engine: EngineChoice = "auto", threads: int | None = None) -> Engine:
    """Load a network from the bytes of an ONNX file.

    Args:
        model: the bytes.
        engine: one of ONNX Runtime's (see `open_part`), or "auto", which takes CUDA if it really
            runs the network here, and the CPU otherwise.
        threads: CPU threads that share one run; None takes every core.

    Raises:
        DependencyError: no ONNX Runtime is installed.
        EngineError: the choice is unknown, or the network does not run where it was asked to.
    """
    _check_choice(engine)
    if engine == "tensorrt":
        raise EngineError(
            "engine='tensorrt' runs the plans of a bundle, not an ONNX file. Open the bundle, or "
            "use engine='ort-tensorrt'."
        )
    names = ("cuda", "cpu") if engine == "auto" else (engine,)
    return _first(_on_onnxruntime(lambda: model, name, threads) for name in names).engine


def open_part(
    bundle: Bundle, part: Part, engine: EngineChoice = "auto", threads: int | None = None
) -> Opened:
    """Load one of a bundle's networks.

    Args:
        bundle: an opened bundle.
        part: "encoder" or "text_encoder".
        engine:
            "cpu": ONNX Runtime on the CPU.
            "cuda": ONNX Runtime on CUDA.
            "tensorrt": a plan of the bundle, made by `cg3d-export BUNDLE --trt`.
            "ort-tensorrt": ONNX Runtime on TensorRT, which builds its engine at every start.
            "ort-tensorrt-rtx": the same on TensorRT-RTX, which is quick about it.
            "auto": "tensorrt", else "cuda", else "cpu". A plan was tuned for this machine and
            loads at once; the two that build at every start are never chosen unasked.
        threads: CPU threads that share one run; None takes every core.

    Raises:
        BundleError: the bundle lacks the network, or it is damaged.
        DependencyError: the engine's package is not installed.
        EngineError: the choice is unknown, or the network does not run where it was asked to.
    """
    _check_choice(engine)
    model = partial(_model, bundle, part)
    if engine == "auto":
        candidates = [
            *_on_plans(bundle, part),
            _on_onnxruntime(model, "cuda", threads),
            _on_onnxruntime(model, "cpu", threads),
        ]
    elif engine == "tensorrt":
        candidates = list(_on_plans(bundle, part))
    else:
        candidates = [_on_onnxruntime(model, engine, threads)]
    return _first(candidates)


def _first(candidates: Iterable[_Candidate]) -> Opened:
    """The first candidate that works; faults of those before it are logged."""
    refusals: list[Refusal] = []
    faults: list[Refusal] = []
    last: Cg3dError | None = None
    for name, load in candidates:
        try:
            engine = load()
        except (BundleError, DependencyError, EngineError) as error:
            refusals.append(Refusal(name, str(error)))
            if not isinstance(error, AbsentError):
                faults.append(refusals[-1])
            last = error
        else:
            for fault in faults:
                _log.warning("%s runs the network instead of %s", engine.name, fault)
            return Opened(engine, tuple(refusals))
    assert last is not None, "there is always a candidate"
    others = [str(fault) for fault in faults if fault.reason != refusals[-1].reason]
    if not others:
        raise last
    raise type(last)(f"{last} Tried before: {'; '.join(others)}") from last


def _on_onnxruntime(model: Callable[[], bytes], engine: str, threads: int | None) -> _Candidate:
    device = _ORT[engine]

    def load() -> Engine:
        if device != "cpu" and not cuda_device_count():
            raise AbsentError(
                f"engine={engine!r} needs an NVIDIA driver and a CUDA device; this machine has "
                "none. engine='cpu' runs everywhere."
            )
        return OnnxRuntimeEngine(model(), device, threads)

    return engine, load


def _on_plans(bundle: Bundle, part: Part) -> Iterator[_Candidate]:
    if not (bundle.root / ENGINES).is_dir():
        yield "tensorrt", partial(_no_plan, bundle, part)
        return
    # Imported here because few bundles have plans, and the others need not wait for it.
    from cg3d_runtime.engines.plan import plan_folders, plan_parts

    tags = [tag for tag in plan_folders(bundle) if part in plan_parts(bundle, tag)]
    if not tags:
        yield "tensorrt", partial(_no_plan, bundle, part)
    elif not cuda_device_count():
        yield "tensorrt", _no_device
    else:
        for tag in sorted(tags, key=lambda tag: _PREFERRED.index(tag.rpartition("-")[2])):
            yield f"tensorrt {tag}", partial(_load_plan, bundle, tag, part)


def _load_plan(bundle: Bundle, tag: str, part: Part) -> Engine:
    from cg3d_runtime.engines.plan import read_plan
    from cg3d_runtime.engines.tensorrt import TensorRTEngine

    info, plan = read_plan(bundle, tag, part)
    return TensorRTEngine(plan, info, rebuild_command(bundle))


def _no_plan(bundle: Bundle, part: Part) -> Engine:
    raise AbsentError(
        f"the bundle has no plan of its part {part!r}. To make one for this machine: "
        f"{rebuild_command(bundle)}"
    )


def _no_device() -> Engine:
    raise AbsentError(
        "the bundle's plans need an NVIDIA driver and a CUDA device; this machine has none. "
        "engine='cpu' runs everywhere."
    )


def _model(bundle: Bundle, part: Part) -> bytes:
    if part == "encoder":
        return bundle.bytes(bundle.manifest.encoder.file)
    if part == "text_encoder" and bundle.manifest.text.encoder is not None:
        return bundle.bytes(bundle.manifest.text.encoder.file)
    raise BundleError(f"{bundle.root}: the bundle has no ONNX file of the part {part!r}.")


def _check_choice(engine: str) -> None:
    if not isinstance(engine, str) or engine not in get_args(EngineChoice):
        raise EngineError(
            f"engine={short(engine)} should be one of {', '.join(get_args(EngineChoice))}"
        )
