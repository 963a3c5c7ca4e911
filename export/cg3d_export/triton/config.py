"""config.pbtxt: what Triton is told about a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.errors import InputError

#: The file of names beside a config; Triton gives them out with a classification.
LABELS = "labels.txt"

#: What Triton calls each kind of model, and the file it looks for.
_BACKENDS = {
    "onnxruntime": ("onnxruntime_onnx", "model.onnx"),
    "tensorrt": ("tensorrt_plan", "model.plan"),
}

Backend = Literal["onnxruntime", "tensorrt"]


@dataclass(frozen=True)
class Serving:
    """How a model is served.

    Attributes:
        max_batch: the most clouds that Triton puts into one run.
        preferred_batch: sizes of a run that are worth waiting for; none lets Triton take what is
            there.
        queue_delay: microseconds that a cloud may wait for others.
        instances: copies of each network on each GPU, or on the CPU where there is none.

    Raises:
        InputError: a number that Triton would refuse.
    """

    max_batch: int = 64
    preferred_batch: tuple[int, ...] = ()
    queue_delay: int = 500
    instances: int = 1

    def __post_init__(self) -> None:
        for name, least in (("max_batch", 1), ("queue_delay", 0), ("instances", 1)):
            if (value := getattr(self, name)) < least:
                raise InputError(f"{name} of a Triton model is {value}; give {least} or more")
        for size in self.preferred_batch:
            if not 1 <= size <= self.max_batch:
                raise InputError(
                    f"preferred_batch of a Triton model holds {size}, not between 1 and its "
                    f"max_batch, {self.max_batch}"
                )


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: in the graph.
        kind: Triton's name of its type, e.g. "TYPE_FP32".
        dims: without the batch.
        labelled: whether its numbers belong to the labels, one each.
    """

    name: str
    kind: str
    dims: tuple[int, ...]
    labelled: bool = False


@dataclass(frozen=True)
class Step:
    """A network of a bundle as a model: what goes in, what comes out."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def encoder_step(bundle: Bundle, name: str) -> Step:
    """Clouds, prepared as `cg3d_runtime.points.prepare` does, to unit embeddings."""
    return Step(name, (_points(bundle),), (_embedding(bundle),))


def bank_step(bundle: Bundle, name: str, labels: int, top: int) -> Step:
    """Unit embeddings to scores and the best labels."""
    outputs = (
        Tensor("scores", "TYPE_FP32", (labels,), labelled=True),
        Tensor("top_scores", "TYPE_FP32", (top,)),
        Tensor("top_labels", "TYPE_INT64", (top,)),
    )
    return Step(name, (_embedding(bundle),), outputs)


def text_step(bundle: Bundle, name: str, context_length: int) -> Step:
    """Tokens to raw text vectors."""
    tokens = Tensor("tokens", "TYPE_INT64", (context_length,))
    return Step(name, (tokens,), (_embedding(bundle),))


def network_config(step: Step, backend: Backend, serving: Serving) -> str:
    """The config.pbtxt of one network."""
    platform, file = _BACKENDS[backend]
    batching: dict[str, Any] = {"max_queue_delay_microseconds": serving.queue_delay}
    if serving.preferred_batch:
        batching = {"preferred_batch_size": list(serving.preferred_batch), **batching}
    return _text(
        {
            "name": step.name,
            "backend": backend,
            "platform": platform,
            "default_model_filename": file,
            "max_batch_size": serving.max_batch,
            **_signature(step),
            "dynamic_batching": batching,
            # On the GPUs where there are some, else on the CPU.
            "instance_group": [{"count": serving.instances, "kind": _Word("KIND_AUTO")}],
        }
    )


def ensemble_config(
    name: str, steps: Sequence[Step], max_batch: int, parameters: Mapping[str, str]
) -> str:
    """The config.pbtxt of networks run one after the other.

    Tensors of the same name are the same tensor: the first step's inputs are the ensemble's, and
    every output of every step is an output of the ensemble.

    Args:
        name: of the model.
        steps: in the order of running.
        max_batch: of each of them.
        parameters: strings for clients to read.
    """
    outputs = tuple(tensor for step in steps for tensor in step.outputs)
    whole = Step(name, steps[0].inputs, outputs)
    return _text(
        {
            "name": name,
            "platform": "ensemble",
            "max_batch_size": max_batch,
            **_signature(whole),
            "ensemble_scheduling": {
                "step": [
                    {
                        "model_name": step.name,
                        "model_version": -1,  # the newest
                        "input_map": [_entry(t.name, t.name) for t in step.inputs],
                        "output_map": [_entry(t.name, t.name) for t in step.outputs],
                    }
                    for step in steps
                ]
            },
            "parameters": [_entry(k, {"string_value": v}) for k, v in parameters.items()],
        }
    )


def model_file(backend: Backend) -> str:
    """What Triton looks for in a version's folder."""
    return _BACKENDS[backend][1]


class _Word(str):
    """An enumerated value: written without quotes."""

    __slots__ = ()


def _points(bundle: Bundle) -> Tensor:
    return Tensor("points", "TYPE_FP32", (bundle.manifest.preprocess.points, 3))


def _embedding(bundle: Bundle) -> Tensor:
    return Tensor("embedding", "TYPE_FP32", (bundle.manifest.encoder.embedding_dim,))


def _signature(step: Step) -> dict[str, Any]:
    return {
        "input": [_tensor(tensor) for tensor in step.inputs],
        "output": [_tensor(tensor) for tensor in step.outputs],
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    about = {
        "name": tensor.name,
        "data_type": _Word(tensor.kind),
        "dims": list(tensor.dims),
    }
    return about | ({"label_filename": LABELS} if tensor.labelled else {})


def _entry(key: str, value: Any) -> dict[str, Any]:
    """One entry of a protobuf map."""
    return {"key": key, "value": value}


def _text(message: Mapping[str, Any]) -> str:
    return "\n".join(_lines(message, "")) + "\n"


def _lines(message: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Protobuf's text format; a list of messages repeats its field."""
    for key, value in message.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key} {{"
            yield from _lines(value, indent + "  ")
            yield f"{indent}}}"
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                yield from _lines({key: item}, indent)
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, _Word):
        return str(value)
    return json.dumps(value)
