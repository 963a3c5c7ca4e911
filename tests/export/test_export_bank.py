"""The bank's graph against the Recognizer, and against the formula in FP64."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles_with_encoders import POINTS, plain_encoder, running_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from cg3d_export.bank import OUTPUTS, bank_graph, fused_graph
from cg3d_export.operators import TENSORRT, operator_table, refused
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.errors import BundleError, InputError
from cg3d_runtime.files.read import read_points
from cg3d_runtime.points.prepare import prepare
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.space import TextSpace, unit_rows
from cg3d_sdk import Recognizer
from cg3d_sdk.shipped import default_bundle


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return open_engine(model.SerializeToString(), "cpu", 1).run(inputs)


def by_formula(bundle: Bundle, embeddings: np.ndarray) -> np.ndarray:
    """(n, L) float64 scores, written out here from the format's definition."""
    text = bundle.text()
    rows = text.vectors.astype(np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) - text.mean
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return softmax(text.logit_scale * embeddings.astype(np.float64) @ rows.T, axis=1)


@pytest.mark.parametrize("labels", [1, 2, 9, 10, 11, 4000])
def test_scores_and_ranking(tmp_path: Path, labels: int) -> None:
    rng = np.random.default_rng(labels)
    bundle = running_bundle(tmp_path / "b", rng.standard_normal((labels, 24)))
    embeddings = unit_rows(rng.standard_normal((5, 24)), "rows")
    got = run(bank_graph(bundle), embedding=embeddings)
    assert tuple(got) == OUTPUTS
    text = bundle.text()
    bank = TextBank(
        text.labels, text.aliases, TextSpace(text.mean).apply(text.vectors), text.logit_scale
    )
    np.testing.assert_allclose(got["scores"], by_formula(bundle, embeddings), rtol=2e-5)
    np.testing.assert_allclose(got["scores"], bank.score(embeddings), rtol=2e-5)
    best = np.argsort(-got["scores"], axis=1, kind="stable")[:, : min(labels, 10)]
    np.testing.assert_array_equal(got["top_labels"], best)
    np.testing.assert_array_equal(
        got["top_scores"], np.take_along_axis(got["scores"], best, axis=1)
    )
    assert (got["top_labels"].dtype, got["scores"].dtype) == (np.int64, np.float32)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 14),
    st.floats(0.1, 1000),
    st.integers(0, 2**32 - 1),
)
def test_whatever_the_size_and_temperature(
    tmp_path_factory: pytest.TempPathFactory, labels: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("bank")
    bundle = running_bundle(folder / "b", rng.standard_normal((labels, 5)), scale)
    embeddings = unit_rows(rng.standard_normal((3, 5)), "rows")
    got = run(bank_graph(bundle), embedding=embeddings)
    # What FP32 loses of a cosine is multiplied by the temperature.
    np.testing.assert_allclose(got["scores"], by_formula(bundle, embeddings), atol=1e-6 * scale)
    np.testing.assert_allclose(got["scores"].sum(axis=1), 1, atol=1e-5)
    assert (np.diff(got["top_scores"], axis=1) <= 0).all()


def test_equal_scores_keep_the_order_of_the_labels(tmp_path: Path) -> None:
    """As the Recognizer's stable sort does."""
    vectors = np.random.default_rng(2).standard_normal((4, 8))[[0, 1, 0, 2, 0, 3, 1]]
    bundle = running_bundle(tmp_path / "b", vectors)
    bank = TextSpace(bundle.text().mean).apply(vectors)
    got = run(bank_graph(bundle), embedding=bank[[0, 1]])
    assert got["top_labels"][0, :3].tolist() == [0, 2, 4]
    assert got["top_labels"][1, :2].tolist() == [1, 6]
    # Most of a thousand scores are exactly zero at this temperature.
    cold = running_bundle(tmp_path / "c", np.eye(1000, 1000) - 0.5, 1e4)
    got = run(bank_graph(cold), embedding=np.eye(1, 1000, 7, dtype=np.float32))
    assert got["top_labels"].tolist() == [[7, 0, 1, 2, 3, 4, 5, 6, 8, 9]]


def test_same_bundle_same_bytes(tmp_path: Path) -> None:
    """So that a plan made yesterday fits the graph that is made today."""
    one, two = (running_bundle(tmp_path / name) for name in "ab")
    for graph in (bank_graph, fused_graph):
        first, second = (
            graph(bundle).SerializeToString(deterministic=True) for bundle in (one, two)
        )
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    other = running_bundle(tmp_path / "c", logit_scale=14.4)
    assert bank_graph(one) != bank_graph(other)


def test_the_fused_graph_is_the_recognizer_of_the_shipped_bundle() -> None:
    bundle = Bundle.open(default_bundle())
    samples = sorted((default_bundle().parents[1] / "samples").glob("*.npz"))[:4]
    clouds = [read_points(file).points for file in samples]
    recognizer = Recognizer(engine="cpu", up="y", threads=1)
    said = recognizer.classify_many(clouds)
    points = np.stack([prepare(c, bundle.manifest.preprocess, "y").cloud for c in clouds])
    got = run(fused_graph(bundle), points=points)
    assert set(got) == {"embedding", *OUTPUTS}
    for i, one in enumerate(said):
        np.testing.assert_allclose(got["embedding"][i], one.embedding, atol=2e-6)
        assert [recognizer.labels[j] for j in got["top_labels"][i]] == [
            r.label for r in one.ranking[:10]
        ]
        np.testing.assert_allclose(
            got["top_scores"][i], [r.score for r in one.ranking[:10]], rtol=1e-4
        )
    apart = run(bank_graph(bundle), embedding=got["embedding"])
    for name in OUTPUTS:
        np.testing.assert_array_equal(apart[name], got[name])


def test_any_batch_and_types(tmp_path: Path) -> None:
    bundle = running_bundle(tmp_path / "b")
    model = fused_graph(bundle)
    rng = np.random.default_rng(0)
    for batch in (1, 2, 7):
        points = rng.standard_normal((batch, POINTS, 3)).astype(np.float32)
        got = run(model, points=points)
        assert {name: value.shape for name, value in got.items()} == {
            "embedding": (batch, 24), "scores": (batch, 12),
            "top_scores": (batch, 10), "top_labels": (batch, 10),
        }  # fmt: skip
    assert {v.type.tensor_type.shape.dim[0].dim_param for v in model.graph.output} == {"batch"}
    kinds = {t.data_type for t in bank_graph(bundle).graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_every_tensorrt_takes_it() -> None:
    bundle = Bundle.open(default_bundle())
    for model in (bank_graph(bundle), fused_graph(bundle)):
        rows = operator_table(model)
        assert {version: refused(rows, version) for version in TENSORRT} == dict.fromkeys(
            TENSORRT, ()
        )


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    taken = plain_encoder(24)
    taken.graph.node[0].name = "bank/MatMul"
    with pytest.raises(BundleError, match="a value called 'bank/MatMul', which is the bank's"):
        fused_graph(running_bundle(tmp_path / "a", encoder=taken))
    swapped = plain_encoder(24)
    swapped.graph.output[0].name = swapped.graph.node[-1].output[0] = "vector"
    with pytest.raises(BundleError, match="goes from points to vector"):
        fused_graph(running_bundle(tmp_path / "b", encoder=swapped))
    broken = plain_encoder(24)
    del broken.graph.node[0]
    with pytest.raises(BundleError, match="is not an ONNX graph"):
        fused_graph(running_bundle(tmp_path / "c", encoder=broken))
    with pytest.raises(InputError, match="row 1 is zero"):
        bank_graph(running_bundle(tmp_path / "d", np.eye(3, 24) * [[1], [0], [1]]))
