"""A small bundle for the tests of reading and writing; its networks are no networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cg3d_runtime.bundle import Bundle, EncoderInfo, TextEncoderInfo, TextInfo
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.labels import LabelRow, encode_labels
from cg3d_runtime.bundle.writer import write_bundle
from cg3d_runtime.points.prepare import PreprocessSpec

DIM = 8
LABELS = (LabelRow("chair", ("seat",)), LabelRow("pan (metal container)", ("pan", "pän")))


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(LABELS), DIM)).astype(np.float32)


def content() -> dict[str, bytes]:
    return {
        "encoder.onnx": b"encoder" * 100,
        "text/labels.json": encode_labels(LABELS),
        "text/vectors.npy": encode_array(vectors()),
        "text/mean.npy": encode_array(np.full(DIM, 0.1, np.float32)),
        "text/encoder.onnx": b"text encoder" * 50,
        "text/merges.txt": b"t h\nh e</w>\n",
        "MODEL_CARD.md": b"# Card\n",
    }


def manifest_fields() -> dict[str, Any]:
    return {
        "name": "test bundle",
        "created": "2024-05-06",
        "encoder": EncoderInfo("point_transformer", 12, "fp32", DIM, 18),
        "preprocess": PreprocessSpec(points=512, candidates=2048),
        "text": TextInfo(14.25, TextEncoderInfo(context_length=24, open_vocabulary=False)),
        "parity": {"clouds": 200, "mean_cosine": 0.99999},
        "training": {"recipe": {"epochs": 3}, "sources": ["ä", None, True]},
        "licence": "CC-BY-4.0",
    }


def make_bundle(folder: Path, files: dict[str, bytes] | None = None, **fields: Any) -> Bundle:
    return write_bundle(folder, files or content(), **{**manifest_fields(), **fields})
