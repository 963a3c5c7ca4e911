"""The Triton repository: read with Triton's own schema, run by ONNX Runtime as it declares."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles_with_encoders import POINTS, running_bundle

from cg3d_export.triton import Serving, TritonRepository, write_triton
from cg3d_export.triton.schema import model_config_schema, parse_config
from cg3d_runtime.bundle import Bundle, folders
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.engines.plan import PlanInfo, Profile, plan_sources, write_plan
from cg3d_runtime.errors import BundleError, InputError
from cg3d_runtime.files.read import read_points
from cg3d_runtime.points.prepare import PreprocessSpec, prepare
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk import Recognizer
from cg3d_sdk.shipped import default_bundle

NUMPY = {"TYPE_FP32": np.float32, "TYPE_INT64": np.int64}


@pytest.fixture(scope="module")
def schema() -> Any:
    module = model_config_schema()
    if module is None:
        pytest.skip("needs tritonclient, which has Triton's schema: pip install 'cg3d-sdk[dev]'")
    return module


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> TritonRepository:
    bundle = Bundle.open(default_bundle())
    return write_triton(bundle, tmp_path_factory.mktemp("triton") / "models")


def config(repository: TritonRepository, model: str, schema: Any) -> Any:
    place = repository.folder / model / "config.pbtxt"
    return parse_config(place.read_text(), str(place), schema)


def check_signature(tensors: Any, batch: int, values: Mapping[str, np.ndarray], enum: Any) -> None:
    """What goes in or out is what the config declares, names, types and shapes."""
    assert {tensor.name for tensor in tensors} == set(values)
    for tensor in tensors:
        assert values[tensor.name].shape == (batch, *tensor.dims), tensor.name
        assert values[tensor.name].dtype == NUMPY[enum.Name(tensor.data_type)], tensor.name


def run_network(
    repository: TritonRepository, model: str, inputs: dict[str, np.ndarray], schema: Any
) -> dict[str, np.ndarray]:
    about = config(repository, model, schema)
    assert about.backend == "onnxruntime"
    batch = len(next(iter(inputs.values())))
    check_signature(about.input, batch, inputs, schema.DataType)
    file = repository.folder / model / "1" / about.default_model_filename
    outputs = open_engine(file.read_bytes(), "cpu", 1).run(inputs)
    check_signature(about.output, batch, outputs, schema.DataType)
    return outputs


def run_ensemble(
    repository: TritonRepository, inputs: dict[str, np.ndarray], schema: Any
) -> dict[str, np.ndarray]:
    """The steps in their order, tensors handed on by the two maps of each."""
    about = config(repository, repository.ensemble, schema)
    tensors = dict(inputs)
    for step in about.ensemble_scheduling.step:
        given = {inner: tensors[outer] for inner, outer in step.input_map.items()}
        made = run_network(repository, step.model_name, given, schema)
        for inner, outer in step.output_map.items():
            assert outer not in tensors
            tensors[outer] = made[inner]
    outputs = {tensor.name: tensors[tensor.name] for tensor in about.output}
    batch = len(next(iter(inputs.values())))
    check_signature(about.input, batch, inputs, schema.DataType)
    check_signature(about.output, batch, outputs, schema.DataType)
    return outputs


def test_the_ensemble_answers_as_the_recognizer(shipped: TritonRepository, schema: Any) -> None:
    about = config(shipped, shipped.ensemble, schema)
    spec = PreprocessSpec(about.input[0].dims[0], int(about.parameters["candidates"].string_value))
    samples = sorted((default_bundle().parents[1] / "samples").glob("*.npz"))
    clouds = [read_points(file).points for file in samples]
    points = np.stack([prepare(cloud, spec, "y").cloud for cloud in clouds])
    got = run_ensemble(shipped, {"points": points}, schema)
    recognizer = Recognizer(engine="cpu", up="y", threads=1)
    names = (shipped.folder / shipped.ensemble / "labels.txt").read_text().split("\n")[:-1]
    assert tuple(names) == recognizer.vocabulary
    for i, said in enumerate(recognizer.classify_many(clouds)):
        best = said.ranking[:10]
        assert [names[j] for j in got["top_labels"][i]] == [one.label for one in best]
        np.testing.assert_allclose(got["top_scores"][i], [one.score for one in best], rtol=1e-4)
        np.testing.assert_allclose(got["embedding"][i], said.embedding, atol=2e-6)
        scores = {one.label: one.score for one in said.ranking}
        np.testing.assert_allclose(got["scores"][i], [scores[n] for n in names], rtol=1e-3)


def test_the_text_model_is_the_recognizers(shipped: TritonRepository, schema: Any) -> None:
    recognizer = Recognizer(engine="cpu", threads=1)
    encoder = recognizer._networks.text_encoder(recognizer.bank)
    space = TextSpace(recognizer.bundle.text().mean)
    texts = ["a chair", "a photo of a mug"]
    tokens = encoder.tokenizer(texts, encoder.context_length)
    got = run_network(shipped, f"{shipped.ensemble}_text", {"tokens": tokens}, schema)
    np.testing.assert_allclose(
        space.apply(got["embedding"]), recognizer.embed_text(texts), atol=1e-6
    )


def test_what_triton_demands_beyond_the_schema(shipped: TritonRepository, schema: Any) -> None:
    """The rules of `model_config_utils.cc` in triton-inference-server/core, told again."""
    models = {path.name for path in shipped.folder.iterdir() if path.is_dir()}
    assert models == {shipped.ensemble, *shipped.models}
    for model in models:
        about = config(shipped, model, schema)
        assert about.name == model
        assert (shipped.folder / model / "1").is_dir()
        for output in about.output:
            if output.label_filename:
                labels = (shipped.folder / model / output.label_filename).read_text()
                assert labels.count("\n") == output.dims[0]
        if about.platform == "ensemble":
            assert not about.backend
            assert not about.instance_group
            assert not about.HasField("dynamic_batching")
            continue
        assert (about.backend, about.platform) == ("onnxruntime", "onnxruntime_onnx")
        assert about.HasField("dynamic_batching")
        assert all(
            0 < size <= about.max_batch_size for size in about.dynamic_batching.preferred_batch_size
        )
        assert [group.count for group in about.instance_group] == [1]
    whole = config(shipped, shipped.ensemble, schema)
    made = {tensor.name: tensor for tensor in whole.input}
    for step in whole.ensemble_scheduling.step:
        about = config(shipped, step.model_name, schema)
        assert about.max_batch_size >= whole.max_batch_size
        for inner, outer in step.input_map.items():
            wanted = next(tensor for tensor in about.input if tensor.name == inner)
            assert (wanted.data_type, list(wanted.dims)) == (
                made[outer].data_type, list(made[outer].dims)
            )  # fmt: skip
        made |= {outer: next(t for t in about.output if t.name == inner)
                 for inner, outer in step.output_map.items()}  # fmt: skip
    assert {tensor.name for tensor in whole.output} == set(made) - {"points"}


def test_the_schema_refuses_what_is_wrong(schema: Any) -> None:
    with pytest.raises(BundleError, match=r"a/config\.pbtxt does not fit Triton's schema"):
        parse_config('name: "a" max_batch: 4', "a/config.pbtxt", schema)


def test_settings(tmp_path: Path, schema: Any) -> None:
    bundle = running_bundle(tmp_path / "b", name="Büro 3 (test)")
    serving = Serving(max_batch=32, preferred_batch=(8, 32), queue_delay=0, instances=2)
    made = write_triton(bundle, tmp_path / "models", serving=serving)
    assert made.ensemble == "B-ro-3-test"
    assert made.models == {"B-ro-3-test_encoder": "onnxruntime", "B-ro-3-test_bank": "onnxruntime"}
    assert made.schema_checked
    about = config(made, "B-ro-3-test_encoder", schema)
    assert about.max_batch_size == made.max_batch == 32
    assert list(about.dynamic_batching.preferred_batch_size) == [8, 32]
    assert about.dynamic_batching.max_queue_delay_microseconds == 0
    assert about.instance_group[0].count == 2
    parameters = config(made, "B-ro-3-test", schema).parameters
    assert parameters["bundle"].string_value == "Büro 3 (test)"
    assert write_triton(bundle, tmp_path / "two", "other").ensemble == "other"
    for bad in ("a b", "", "a/b", "..", "x" * 101):
        with pytest.raises(InputError, match="is no name for a Triton model"):
            write_triton(bundle, tmp_path / "three", bad)
    for wrong in ({"max_batch": 0}, {"preferred_batch": (65,)}, {"instances": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Serving(**wrong)


def add_plan(
    bundle: Bundle, part: Any, tensor: str, sizes: tuple[int, int, int], magic: bytes = b"ftrt"
) -> bytes:
    """Not a plan, but what has a plan's header and a sidecar."""
    plan = magic + bytes(20) + bytes([10, 13, 3, 9]) + part.encode() * 50
    rest = (POINTS, 3) if tensor == "points" else (24,)
    info = PlanInfo(
        part=part, precision="fp16", plan=file_info(plan), onnx_sha256="0" * 64,
        sources=plan_sources(bundle, part), tensorrt="10.13.3.9", compute_capability="8.9",
        device="L4", driver="13.0", profiles={tensor: Profile(*((n, *rest) for n in sizes))},
        layer_types={}, version_compatible=False, hardware_compatibility="none",
        created="2026-01-02",
    )  # fmt: skip
    write_plan(bundle.root / "engines" / "sm89-trt10.13.3-fp16", part, plan, info)
    return plan


def test_plans_are_served_where_there_are_some(tmp_path: Path, schema: Any) -> None:
    bundle = running_bundle(tmp_path / "b")
    tag = "sm89-trt10.13.3-fp16"
    with pytest.raises(BundleError, match="has no plans of its networks in engines/sm89"):
        write_triton(bundle, tmp_path / "models", engines=tag)
    plan = add_plan(bundle, "encoder", "points", (1, 8, 16))
    made = write_triton(bundle, tmp_path / "models", engines=tag)
    assert made.models == {"small_encoder": "tensorrt", "small_bank": "onnxruntime"}
    assert (made.folder / "small_encoder" / "1" / "model.plan").read_bytes() == plan
    about = config(made, "small_encoder", schema)
    assert (about.backend, about.platform) == ("tensorrt", "tensorrt_plan")
    assert (about.max_batch_size, made.max_batch) == (16, 16)
    assert list(about.dynamic_batching.preferred_batch_size) == [8]
    assert config(made, "small", schema).max_batch_size == 16
    assert config(made, "small_bank", schema).max_batch_size == 64
    add_plan(bundle, "bank", "embedding", (4, 8, 16))
    with pytest.raises(BundleError, match=r"does not take a single cloud.*--batch 1:OPT:MAX"):
        write_triton(bundle, tmp_path / "models", engines=tag)
    add_plan(bundle, "bank", "embedding", (1, 8, 16), b"vtrt")
    with pytest.raises(BundleError, match="was built by TensorRT-RTX, which Triton does not have"):
        write_triton(bundle, tmp_path / "models", engines=tag)


def test_only_its_own_is_replaced(tmp_path: Path) -> None:
    bundle = running_bundle(tmp_path / "b")
    models = tmp_path / "models"
    write_triton(bundle, models)
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    write_triton(bundle, models)
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before
    write_triton(bundle, models, "renamed")
    assert not (models / "small").exists()

    tuned = models / "renamed_bank" / "config.pbtxt"
    tuned.write_text(tuned.read_text().replace("count: 1", "count: 4"))
    with pytest.raises(BundleError, match=r"'renamed_bank/config\.pbtxt' was changed or added"):
        write_triton(bundle, models)
    assert "count: 4" in tuned.read_text()
    tuned.write_text(tuned.read_text().replace("count: 4", "count: 1"))
    (models / "mine").mkdir()
    (models / "mine" / "config.pbtxt").write_text("")
    with pytest.raises(BundleError, match=r"'mine/config\.pbtxt' was changed or added"):
        write_triton(bundle, models)

    for record in (None, "{}", "[]", '{"format": 1, "files": 3}', "no JSON"):
        other = tmp_path / f"other-{record}"
        other.mkdir()
        (other / "thesis.txt").write_text("years of work")
        if record is not None:
            (other / "cg3d-triton.json").write_text(record)
        with pytest.raises(BundleError, match="is not a model repository of cg3d-export"):
            write_triton(bundle, other)
    with pytest.raises(BundleError, match="is not a model repository"):
        write_triton(bundle, bundle.root)


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = running_bundle(tmp_path / "b")
    write = folders._write

    def full(path: Path, data: bytes) -> None:
        if path.name == "model.onnx" and "bank" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(folders, "_write", full)
    with pytest.raises(BundleError, match="No space left on device"):
        write_triton(bundle, tmp_path / "models")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_label_of_two_lines_is_refused(tmp_path: Path) -> None:
    bundle = running_bundle(tmp_path / "b")
    labels = json.dumps([{"aliases": [], "label": f"two\nlines {i}"} for i in range(12)])
    other = running_bundle(tmp_path / "c", labels=labels.encode())
    assert write_triton(bundle, tmp_path / "fine")
    with pytest.raises(BundleError, match="is more than one line"):
        write_triton(other, tmp_path / "models")
