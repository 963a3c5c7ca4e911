"""The text bank as a graph: from an embedding to ranked labels in one call of an engine.

It is made from a bundle alone, without torch, and the same bundle gives the same bytes, so it need
not lie in the bundle: engines and model repositories are built from it where they are wanted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.errors import BundleError, first_line
from cg3d_runtime.text.space import TextSpace

#: How many of the best labels come out. TensorRT's TopK ends at 3840; people read ten.
TOP = 10

#: What the bank gives, in order.
OUTPUTS = ("scores", "top_scores", "top_labels")

_BATCH = "batch"

#: Of the opset that encoders are exported in; ONNX Runtime has read it since 1.14.
_OPSET, _IR_VERSION = 18, 8

#: Every name inside starts with it, so that the bank fits behind any encoder.
_PREFIX = "bank/"


def bank_graph(bundle: Bundle) -> onnx.ModelProto:
    """The bank of a bundle: similarity, temperature, softmax and the best labels, all in FP32.

    Input "embedding" (batch, d) float32 unit rows, as the encoder gives them. Outputs "scores"
    (batch, L) float32, softmax(logit_scale * cosine) as `TextBank.score` has it; "top_scores"
    (batch, K) float32, the best of them in falling order; "top_labels" (batch, K) int64, their
    rows in text/labels.json. K is 10, or L where there are fewer labels. Of equal scores the
    earlier row comes first.

    Raises:
        BundleError: the bundle's text files are damaged or do not fit each other.
        InputError: a vector of the bank is zero or is the mean itself.
    """
    text = bundle.text()
    vectors = TextSpace(text.mean).apply(text.vectors)
    model = helper.make_model(
        helper.make_graph(
            _nodes(),
            "bank",
            [_value("embedding", TensorProto.FLOAT, vectors.shape[1])],
            _outputs(len(vectors)),
            _constants(vectors, bank_scale(bundle, len(vectors))),
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="cg3d-sdk",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def bank_scale(bundle: Bundle, labels: int) -> float:
    """What cosines are multiplied by for so many labels, as the Recognizer does it.

    Raises:
        BundleError: the bundle's calibration is damaged.
    """
    calibration = bundle.calibration()
    return calibration.logit_scale(labels) if calibration else bundle.text().logit_scale


def fused_graph(bundle: Bundle, encoder: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """Encoder and bank in one: input "points", outputs "embedding" and those of `bank_graph`.

    Args:
        bundle: whose bank it is.
        encoder: the encoder's graph; the bundle's encoder.onnx, node by node, where None.

    Raises:
        BundleError: the encoder is no ONNX graph from "points" to "embedding", or as `bank_graph`.
        InputError: as `bank_graph`.
    """
    model = onnx.ModelProto()
    model.CopyFrom(encoder_graph_of(bundle) if encoder is None else encoder)
    bank = bank_graph(bundle)
    names = {name for node in model.graph.node for name in (node.name, *node.output)}
    names |= {tensor.name for tensor in model.graph.initializer}
    if clash := sorted(name for name in names if name.startswith(_PREFIX) or name in OUTPUTS):
        raise BundleError(
            f"{bundle.root / bundle.manifest.encoder.file} has a value called {clash[0]!r}, which "
            "is the bank's name. Export the bundle again."
        )
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    for output in bank.graph.output:
        output.type.tensor_type.shape.dim[0].CopyFrom(batch)
    model.graph.node.extend(bank.graph.node)
    model.graph.initializer.extend(bank.graph.initializer)
    model.graph.output.extend(bank.graph.output)
    model.graph.name = "recognizer"
    onnx.checker.check_model(model, full_check=True)
    return model


def encoder_graph_of(bundle: Bundle) -> onnx.ModelProto:
    """The graph in a bundle's encoder.onnx.

    Raises:
        BundleError: the file is damaged, or is no ONNX graph from "points" to "embedding".
    """
    where = bundle.root / bundle.manifest.encoder.file
    try:
        model: onnx.ModelProto = onnx.load_model_from_string(
            bundle.bytes(bundle.manifest.encoder.file)
        )
        onnx.checker.check_model(model)
    except BundleError:
        raise
    except Exception as error:  # protobuf's and the checker's errors share no other base
        raise BundleError(
            f"{where} is not an ONNX graph ({first_line(error)}). Export the bundle again."
        ) from error
    given = [value.name for value in model.graph.input]
    made = [value.name for value in model.graph.output]
    if given != ["points"] or made != ["embedding"]:
        raise BundleError(
            f"{where} goes from {', '.join(given)} to {', '.join(made)}; an encoder goes from "
            "points to embedding. Export the bundle again."
        )
    return model


def _nodes() -> list[onnx.NodeProto]:
    def node(kind: str, inputs: list[str], outputs: list[str], **more: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, outputs, name=f"{_PREFIX}{kind}", **more)

    cosines, logits = f"{_PREFIX}cosines", f"{_PREFIX}logits"
    return [
        node("MatMul", ["embedding", f"{_PREFIX}vectors"], [cosines]),
        node("Mul", [cosines, f"{_PREFIX}logit_scale"], [logits]),
        node("Softmax", [logits], ["scores"], axis=-1),
        # TensorRT takes sorted=1 alone.
        node("TopK", ["scores", f"{_PREFIX}top"], list(OUTPUTS[1:]), axis=-1, largest=1, sorted=1),
    ]


def _constants(vectors: NDArray[np.float32], logit_scale: float) -> list[onnx.TensorProto]:
    values: dict[str, NDArray[Any]] = {
        "vectors": np.ascontiguousarray(vectors.T),
        "logit_scale": np.array(logit_scale, np.float32),
        "top": np.array([min(TOP, len(vectors))], np.int64),
    }
    return [numpy_helper.from_array(value, _PREFIX + name) for name, value in values.items()]


def _outputs(labels: int) -> list[onnx.ValueInfoProto]:
    top = min(TOP, labels)
    return [
        _value("scores", TensorProto.FLOAT, labels),
        _value("top_scores", TensorProto.FLOAT, top),
        _value("top_labels", TensorProto.INT64, top),
    ]


def _value(name: str, kind: int, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [_BATCH, width])
