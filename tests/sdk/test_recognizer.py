"""The Recognizer with the bundle that ships: answers, options, threads and faults."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cg3d_sdk import (
    BundleError,
    Cg3dError,
    Classification,
    DependencyError,
    EngineError,
    InputError,
    Recognizer,
    VocabularyError,
)
from cg3d_sdk.shipped import default_bundle

SAMPLES = sorted(Path(str(resources.files("cg3d_sdk") / "samples")).glob("*.npz"))


def points_of(sample: Path) -> np.ndarray:
    with np.load(sample, allow_pickle=False) as archive:
        return archive["points"].astype(np.float32)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(engine="cpu", threads=1)


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    return points_of(SAMPLES[0])


def test_an_answer_is_whole(recognizer: Recognizer, cloud: np.ndarray) -> None:
    answer = recognizer.classify(cloud)
    assert isinstance(answer, Classification)
    assert (answer.label, answer.score) == (answer.ranking[0].label, answer.ranking[0].score)
    scores = [r.score for r in answer.ranking]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    assert len(answer.ranking) == len(recognizer.vocabulary) > 1600
    assert answer.embedding.dtype == np.float32
    assert np.linalg.norm(answer.embedding) == pytest.approx(1, abs=1e-4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.label = "other"  # type: ignore[misc]


def test_the_same_cloud_has_the_same_answer(recognizer: Recognizer, cloud: np.ndarray) -> None:
    first = recognizer.classify(cloud)
    again = Recognizer(engine="cpu", threads=1).classify(np.asfortranarray(cloud))
    assert first.label == again.label
    np.testing.assert_array_equal(first.embedding, again.embedding)


def test_size_place_and_missing_rows_do_not_matter(
    recognizer: Recognizer, cloud: np.ndarray
) -> None:
    plain = recognizer.classify(cloud)
    moved = recognizer.classify(cloud * 3 + [10, -4, 2])
    assert plain.embedding @ moved.embedding > 0.999
    holes = np.concatenate([cloud, np.full((500, 3), np.nan, np.float32)])
    assert recognizer.classify(holes).dropped == 500
    np.testing.assert_array_equal(recognizer.classify(holes).embedding, plain.embedding)


def test_up_is_an_option_of_the_call_too(recognizer: Recognizer, cloud: np.ndarray) -> None:
    y_up = np.stack([cloud[:, 0], cloud[:, 2], -cloud[:, 1]], axis=1)
    plain = recognizer.classify(cloud)
    turned = recognizer.classify(y_up, up="y")
    np.testing.assert_allclose(turned.embedding, plain.embedding, atol=1e-6)
    assert recognizer.classify(y_up).embedding @ plain.embedding < 0.999
    with pytest.raises(InputError, match="up='x'"):
        Recognizer(up="x")  # type: ignore[arg-type]
    for batch in (0, "8"):
        with pytest.raises(InputError, match=f"batch must be .*, not {batch!r}"):
            Recognizer(batch=batch)  # type: ignore[arg-type]
    for threads in (0, "2", 2.5):
        with pytest.raises(EngineError, match=f"threads={threads!r} should be 1 or more"):
            Recognizer(engine="cpu", threads=threads)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="segmentation='k-means' should be a function"):
        recognizer.scene(cloud, segmentation="k-means")  # type: ignore[arg-type]


def test_many_at_once_are_the_single_answers(recognizer: Recognizer) -> None:
    clouds = [points_of(s) for s in SAMPLES] * 2
    together = recognizer.classify_many(clouds)
    assert len(together) == len(clouds)
    for cloud, answer in zip(clouds, together, strict=True):
        alone = recognizer.classify(cloud)
        assert alone.label == answer.label
        np.testing.assert_allclose(alone.embedding, answer.embedding, atol=1e-5)
    assert recognizer.classify_many([]) == []
    with pytest.raises(InputError, match="cloud 1 of 2"):
        recognizer.classify_many([clouds[0], np.zeros((50, 3))])


def test_embed_takes_one_or_many(recognizer: Recognizer, cloud: np.ndarray) -> None:
    one = recognizer.embed(cloud)
    assert one.shape == (1, 512)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(recognizer.embed(cloud.tolist()), one)
    np.testing.assert_allclose(recognizer.embed([cloud, cloud]), one[[0, 0]], atol=1e-6)
    assert recognizer.embed([]).shape == (0, 512)


def test_labels_choose_from_the_vocabulary(cloud: np.ndarray) -> None:
    some = Recognizer(labels=["Chair", "table", "fridge", "night_stand"])
    assert some.labels == ("Chair", "table", "fridge", "night_stand")
    answer = some.classify(cloud)
    assert {r.label for r in answer.ranking} == set(some.labels)
    assert len(some.vocabulary) > 1600


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["chiar"], "'chair'"),
        (["flux capacitor", "chair"], "flux capacitor"),
        ([], "at least one"),
        ("chair", "list of names"),
        (["chair", "chair"], "given twice"),
        (["cup", "CUP"], "both stand for"),
        ([3], "must be a string"),
    ],
)
def test_labels_that_cannot_be_used(labels: list[str], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Recognizer(labels=labels)


def test_words_lie_in_the_space_of_shapes(recognizer: Recognizer) -> None:
    words = list(recognizer.vocabulary[::40])
    vectors = recognizer.embed_text(words)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    own = (vectors * recognizer.bank.vectors[::40]).sum(axis=1)
    assert own.min() > 0.9
    phrased = recognizer.embed_text("a photo of a chair") @ recognizer.embed_text("chair").T
    assert phrased.item() > 0.9
    with pytest.raises(VocabularyError, match="outside the vocabulary"):
        recognizer.embed_text("something to sit on while reading")


def test_threads_share_one_recognizer(recognizer: Recognizer) -> None:
    clouds = [points_of(s) for s in SAMPLES] * 4
    alone = [recognizer.classify(c) for c in clouds]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(recognizer.classify, clouds))
    for a, b in zip(alone, together, strict=True):
        assert a.label == b.label
        np.testing.assert_array_equal(a.embedding, b.embedding)


@pytest.mark.parametrize(
    "points",
    [
        np.empty((0, 3)), np.full((99, 3), np.nan), np.zeros((99, 2)), np.zeros((1, 3)),
        np.ones((99, 3)), np.random.default_rng(0).random((99, 3)) + 1e9, np.array(["x"]), None,
    ],
    ids=["empty", "NaN", "shape", "one", "equal", "1e9 m", "dtype", "None"],
)  # fmt: skip
def test_bad_points_are_one_clear_error(recognizer: Recognizer, points: object) -> None:
    with pytest.raises(InputError) as caught:
        recognizer.classify(points)  # type: ignore[arg-type]
    assert isinstance(caught.value, Cg3dError)
    assert len(str(caught.value)) > 30


def test_any_changed_byte_of_the_bundle_is_noticed(tmp_path: Path) -> None:
    names = [p for p in default_bundle().rglob("*") if p.is_file()]
    assert len(names) >= 7
    for name in names:
        copy = tmp_path / "bundle"
        shutil.copytree(default_bundle(), copy)
        victim = copy / name.relative_to(default_bundle())
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
        with pytest.raises(BundleError):
            Recognizer(copy).bundle.verify()
        shutil.rmtree(copy)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        Recognizer(tmp_path / "none")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Recognizer(tmp_path)


def test_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="engine='gpu'"):
        Recognizer(engine="gpu")  # type: ignore[arg-type]
    assert "onnxruntime" in Recognizer(engine="auto").engine
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match=r"pip install 'cg3d-sdk\[cpu\]'"):
        Recognizer()


def test_the_report_of_engines() -> None:
    auto, cpu = Recognizer(engine="auto"), Recognizer(engine="cpu")
    assert cpu.engine_report == ()
    reasons = {refusal.engine: refusal.reason for refusal in auto.engine_report}
    assert "has no plan of its part 'encoder'" in reasons["tensorrt"]
    assert ("cuda" in reasons) == ("(CPU)" in auto.engine)
    with pytest.raises(EngineError, match=r"has no plan of its part 'encoder'.*--trt"):
        Recognizer(engine="tensorrt")


def test_the_samples_are_recognised(recognizer: Recognizer) -> None:
    """The demo shows no stranger's luck: most of its clouds get their name among the first five."""
    assert len(SAMPLES) >= 8
    hits = []
    for sample in SAMPLES:
        name = sample.stem.replace("_", " ")
        first = [r.label for r in recognizer.classify(points_of(sample)).ranking[:5]]
        row = recognizer.bank.index(name)
        hits.append(recognizer.vocabulary[row] in first)
    assert np.mean(hits) >= 0.7, json.dumps(dict(zip([s.stem for s in SAMPLES], hits, strict=True)))


def test_shipped_bundle_fits_and_is_documented() -> None:
    files = [p for p in default_bundle().rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 16_000_000
    names = {p.name for p in files}
    assert {"MODEL_CARD.md", "ATTRIBUTION.md", "manifest.json", "encoder.onnx"} <= names
    assert Recognizer().bundle.manifest.licence != "NOASSERTION"


def test_labels_change_while_others_classify(cloud: np.ndarray) -> None:
    recognizer = Recognizer(engine="cpu", threads=1)
    sets = (("chair", "bed"), ("mug", "bowl", "bottle"), recognizer.vocabulary)
    alone = {}
    for labels in sets:
        recognizer.set_labels(None if labels is sets[2] else labels)
        answer = recognizer.classify(cloud)
        alone[frozenset(r.label for r in answer.ranking)] = answer.ranking
    with pytest.raises(VocabularyError, match="zzz"):
        recognizer.set_labels(["chair", "zzz"])
    assert recognizer.labels == sets[2]
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(recognizer.classify, cloud) for _ in range(12)]
        while not all(future.done() for future in answers):
            for labels in sets:
                recognizer.set_labels(labels)
    for future in answers:
        ranking = future.result().ranking
        assert ranking == alone[frozenset(r.label for r in ranking)]
