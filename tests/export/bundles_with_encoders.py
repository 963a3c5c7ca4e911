"""Small bundles that really run, made without torch: an encoder of a few operators and a bank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cg3d_runtime.bundle import Bundle, EncoderInfo, TextInfo
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.labels import LabelRow, encode_labels
from cg3d_runtime.bundle.writer import write_bundle
from cg3d_runtime.points.prepare import PreprocessSpec

POINTS = 16


def plain_encoder(dim: int) -> onnx.ModelProto:
    """Points times random weights, the largest over the points, made unit rows."""
    weight = np.random.default_rng(1).standard_normal((3, dim)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["points", "weight"], ["features"], name="lift"),
        helper.make_node("ReduceMax", ["features", "axis"], ["pooled"], name="pool", keepdims=0),
        helper.make_node("ReduceL2", ["pooled", "last"], ["length"], name="length", keepdims=1),
        helper.make_node("Div", ["pooled", "length"], ["embedding"], name="unit"),
    ]
    constants = {"weight": weight, "axis": np.array([1]), "last": np.array([-1])}
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", POINTS, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def running_bundle(
    folder: Path,
    vectors: np.ndarray | None = None,
    logit_scale: float = 14.3,
    encoder: onnx.ModelProto | None = None,
    name: str = "small",
    labels: bytes | None = None,
) -> Bundle:
    """A bundle of the plain encoder with these raw text vectors (L, d); 12 random ones by default.

    The labels are "thing 0", "thing 1" and so on, or the content of labels.json that is given.
    """
    if vectors is None:
        vectors = np.random.default_rng(0).standard_normal((12, 24))
    count, dim = vectors.shape
    model = encoder or plain_encoder(dim)
    files = {
        "encoder.onnx": model.SerializeToString(deterministic=True),
        "text/labels.json": labels
        or encode_labels([LabelRow(f"thing {i}", ()) for i in range(count)]),
        "text/vectors.npy": encode_array(vectors.astype(np.float32)),
        "text/mean.npy": encode_array(np.full(dim, 0.02, np.float32)),
    }
    return write_bundle(
        folder,
        files,
        name=name,
        created="2026-01-02",
        encoder=EncoderInfo("plain", 3 * dim, "fp32", dim, 18),
        preprocess=PreprocessSpec(points=POINTS, candidates=4 * POINTS),
        text=TextInfo(logit_scale),
        parity={},
        training={},
        licence="CC0-1.0",
    )
