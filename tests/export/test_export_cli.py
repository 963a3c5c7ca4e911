"""`cg3d-export` from end to end: a bundle that works, or one clear line and no bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from small_checkpoints import LABELS, small_tower, write_checkpoint, write_clouds

from cg3d_export import export, text_part
from cg3d_export.cli.main import main
from cg3d_export.text_part import load_text_part
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.points.prepare import prepare
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.encoder import TextEncoder
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.tokenizer import Tokenizer
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.text.merges import clip_tokenizer


@pytest.fixture
def exported_once(
    monkeypatch: pytest.MonkeyPatch, encoder_model: onnx.ModelProto, text_model: onnx.ModelProto
) -> None:
    """The graphs of the session in place of new ones, which would take seconds each."""
    monkeypatch.setattr(export, "encoder_graph", lambda encoder: encoder_model)
    monkeypatch.setattr(text_part, "text_graph", lambda tower, length: text_model)


def run(inputs: Path, output: Path, *more: str | Path) -> Result:
    arguments = [
        inputs / "checkpoint.safetensors", "-o", output,
        "--text", inputs / "text.safetensors", "--clouds", inputs / "clouds.npz", *more,
    ]  # fmt: skip
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, dict]:
    """A whole export with nothing replaced, and what it printed."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "card.md").write_text("# Card")
    (folder / "credits.md").write_text("# Credits")
    result = run(
        inputs, folder / "bundle", "--json", "--name", "tiny", "--licence", "CC-BY-4.0",
        "--model-card", str(folder / "card.md"), "--attribution", str(folder / "credits.md"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return Bundle.open(folder / "bundle"), json.loads(result.stdout)


def test_the_bundle_is_whole(made: tuple[Bundle, dict]) -> None:
    bundle, printed = made
    bundle.verify()
    files = {p.relative_to(bundle.root).as_posix() for p in bundle.root.rglob("*") if p.is_file()}
    assert files == {
        "manifest.json", "encoder.onnx", "text/labels.json", "text/vectors.npy", "text/mean.npy",
        "text/encoder.onnx", "text/merges.txt", "MODEL_CARD.md", "ATTRIBUTION.md",
        "report.json", "report.html",
    }  # fmt: skip
    assert bundle.bytes("MODEL_CARD.md") == b"# Card"
    assert printed["bundle"] == str(bundle.root)
    assert printed["bytes"] == sum((bundle.root / f).stat().st_size for f in files) - len(
        (bundle.root / "manifest.json").read_bytes()
    )


def test_the_manifest_says_what_was_done(made: tuple[Bundle, dict], inputs: Path) -> None:
    manifest, printed = made[0].manifest, made[1]
    trained = load_checkpoint(inputs / "checkpoint.safetensors")
    assert (manifest.name, manifest.licence) == ("tiny", "CC-BY-4.0")
    assert manifest.encoder.architecture == "point_transformer"
    assert manifest.encoder.parameters == sum(p.numel() for p in trained.build().parameters())
    assert (manifest.encoder.precision, manifest.encoder.opset) == ("fp16", 18)
    assert (manifest.preprocess.points, manifest.preprocess.candidates) == (64, 256)
    assert manifest.text.logit_scale == 14.25
    assert manifest.training["recipe"] == {"seed": 1}
    assert manifest.training["record"] == {"objects": 7}
    parity = manifest.parity
    assert parity == printed["parity"]
    assert parity["clouds"] == 12
    assert 0.999 < parity["worst_cosine"] <= parity["mean_cosine"] <= 1
    assert parity["top1_agreement"] == 1
    assert parity["text_encoder"]["texts"] == len(LABELS)


def test_the_bundle_answers_as_the_checkpoint_does(made: tuple[Bundle, dict], inputs: Path) -> None:
    """From raw points to scores with the runtime alone, against torch."""
    bundle = made[0]
    trained = load_checkpoint(inputs / "checkpoint.safetensors")
    cloud = np.load(inputs / "clouds.npz")["points"][5]
    prepared = prepare(cloud, bundle.manifest.preprocess, up="y").cloud[None]
    embedding = open_engine(bundle.bytes("encoder.onnx"), "cpu", 1).run({"points": prepared})
    with torch.no_grad():
        expected = trained.build()(torch.from_numpy(prepared)).numpy()
    text = bundle.text()
    space = TextSpace(text.mean)
    np.testing.assert_array_equal(text.mean, trained.text_mean.numpy())
    bank = TextBank(text.labels, text.aliases, space.apply(text.vectors), text.logit_scale)
    np.testing.assert_allclose(bank.score(embedding["embedding"]), bank.score(expected), atol=1e-3)


def test_the_text_encoder_works_from_the_bundle_alone(made: tuple[Bundle, dict]) -> None:
    bundle = made[0]
    text, info = bundle.text(), bundle.manifest.text.encoder
    assert info is not None
    space = TextSpace(text.mean)
    encoder = TextEncoder(
        open_engine(bundle.bytes(info.file), "cpu", 1),
        Tokenizer(bundle.bytes(info.merges).decode()),
        info.context_length,
        TextBank(text.labels, text.aliases, space.apply(text.vectors), text.logit_scale),
        info.open_vocabulary,
    )
    texts = ["chair", "a photo of a table lamp", "a pan"]
    with torch.no_grad():
        expected = small_tower()(torch.from_numpy(clip_tokenizer()(texts, 24))).numpy()
    np.testing.assert_allclose(encoder.embed(texts), expected, rtol=0.01, atol=0.002)


@pytest.mark.usefixtures("exported_once")
def test_fp32_and_plain_output(inputs: Path, tmp_path: Path) -> None:
    result = run(inputs, tmp_path / "exact", "--precision", "fp32")
    assert result.exit_code == 0, result.output
    assert "exact: 1." in result.stdout
    assert "encoder in fp32, 3 labels" in result.stdout
    assert "on 12 clouds: mean cosine 1.0000000" in result.stdout
    assert "same best label for 100.0 %" in result.stdout
    assert Bundle.open(tmp_path / "exact").manifest.name == "exact"


@pytest.mark.usefixtures("exported_once")
def test_int8_is_checked_on_other_clouds_than_it_was_calibrated_on(
    inputs: Path, tmp_path: Path
) -> None:
    write_clouds(tmp_path / "many.npz", 70)
    result = run(inputs, tmp_path / "b", "--precision", "int8", "--clouds", tmp_path / "many.npz")
    assert result.exit_code == 0, result.output
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest.encoder.precision == "int8"
    assert bundle.manifest.parity["clouds"] == 35
    assert bundle.manifest.parity["mean_cosine"] >= 0.99
    report = json.loads(bundle.bytes("report.json"))
    assert {row["type"] for row in report["types"]} >= {"INT8", "FP16", "FP32"}
    assert "35 clouds (many.npz)" in bundle.bytes("report.html").decode()

    result = run(inputs, tmp_path / "c", "--precision", "int8")
    assert_one_clear_line(result, "which are 6 here; it takes 32 at least")


@pytest.mark.usefixtures("exported_once")
def test_kept_modules(inputs: Path, tmp_path: Path) -> None:
    keep = ["--keep", "blocks.blocks.0", "--keep", "projection"]
    assert run(inputs, tmp_path / "b", *keep).exit_code == 0
    rows = json.loads((tmp_path / "b" / "report.json").read_bytes())["types"]
    assert {r["module"] for r in rows if r["type"] == "FP16"} >= {"reduce_dim"}
    assert not [r for r in rows if r["module"] == "projection" and r["type"] == "FP16"]

    result = run(inputs, tmp_path / "c", "--keep", "no.such")
    assert_one_clear_line(result, "'no.such' is no module with products that could be kept")
    result = run(inputs, tmp_path / "c", "--keep", "projection", "--precision", "fp32")
    assert_one_clear_line(result, "with --precision fp32 all of them are")


@pytest.mark.usefixtures("exported_once")
def test_bf16_is_compared_by_emulation(inputs: Path, tmp_path: Path) -> None:
    assert run(inputs, tmp_path / "b", "--precision", "bf16").exit_code == 0
    manifest = Bundle.open(tmp_path / "b").manifest
    assert manifest.encoder.precision == "bf16"
    assert manifest.parity["engine"].endswith("(CPU), BF16 emulated")


@pytest.mark.usefixtures("exported_once")
def test_same_checkpoint_same_bundle(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    manifests = []
    for name in "ab":
        assert run(inputs, tmp_path / name, "--name", "same").exit_code == 0
        manifests.append((tmp_path / name / "manifest.json").read_bytes())
    assert manifests[0] == manifests[1]
    assert Bundle.open(tmp_path / "a").manifest.created == "1970-01-02"


@pytest.mark.usefixtures("exported_once")
def test_words_of_a_real_clip(inputs: Path, tmp_path: Path, tiny_clip: tuple[str, Path]) -> None:
    """Its vectors make the bank; the mean stays the one that the 3D encoder was trained with."""
    (tmp_path / "labels.txt").write_text("armchair\nmug\n")
    source = "open_clip:{}:{}".format(*tiny_clip)
    more = ["--text", source, "--labels", str(tmp_path / "labels.txt"), "--labels-only"]
    result = run(inputs, tmp_path / "clip", *more)
    assert result.exit_code == 0, result.output
    bundle = Bundle.open(tmp_path / "clip")
    assert bundle.manifest.text.encoder is None
    assert set(bundle.manifest.files) == {
        "encoder.onnx", "text/labels.json", "text/vectors.npy", "text/mean.npy", "report.json",
        "report.html",
    }  # fmt: skip
    assert bundle.manifest.training["text"]["open_clip"] == tiny_clip[0]
    text = bundle.text()
    assert text.labels == ("armchair", "mug")
    expected = load_text_part(source, tmp_path / "labels.txt").vectors
    np.testing.assert_allclose(text.vectors, expected, rtol=1e-5, atol=1e-6)
    trained = load_checkpoint(inputs / "checkpoint.safetensors")
    np.testing.assert_array_equal(text.mean, trained.text_mean.numpy())


def assert_one_clear_line(result: Result, message: str) -> None:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)  # not a traceback
    error = result.stderr[result.stderr.index("Error: ") :]
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("exported_once")
def test_below_the_bar_leaves_no_bundle(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(model: onnx.ModelProto, kind: str, keep: tuple[str, ...]) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        (node,) = [n for n in copy.graph.node if n.name == "reduce_dim/MatMul"]
        (tensor,) = [t for t in copy.graph.initializer if t.name in node.input]
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(-values, tensor.name))
        return copy

    assert run(inputs, tmp_path / "b").exit_code == 0
    before = (tmp_path / "b" / "manifest.json").read_bytes()
    monkeypatch.setattr(export, "half_products", spoil)
    for output in ("b", "new"):
        result = run(inputs, tmp_path / output)
        assert_one_clear_line(result, "the exported encoder (fp16) does not say what torch says")
        assert "over 12 inputs the mean cosine is" in result.stderr
        assert "The worst layer is reduce_dim (reduce_dim/MatMul): " in result.stderr
    assert (tmp_path / "b" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.usefixtures("exported_once")
def test_an_fp32_graph_below_the_bar_names_the_module(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_model: onnx.ModelProto
) -> None:
    copy = onnx.ModelProto()
    copy.CopyFrom(encoder_model)
    (node,) = [n for n in copy.graph.node if n.name == "blocks.blocks.0.mlp.fc2/MatMul"]
    (tensor,) = [t for t in copy.graph.initializer if t.name in node.input]
    values = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(-values, tensor.name))
    monkeypatch.setattr(export, "encoder_graph", lambda encoder: copy)
    result = run(inputs, tmp_path / "b", "--precision", "fp32")
    assert_one_clear_line(result, "the exported encoder (fp32) does not say what torch says")
    assert "The worst layer is blocks.blocks.0.mlp.fc2 (blocks.blocks.0" in result.stderr
    assert not (tmp_path / "b").exists()


def test_a_folder_that_is_no_bundle_is_left_alone(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert_one_clear_line(run(inputs, tmp_path), "is not a bundle that may be replaced")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_is_no_checkpoint(inputs: Path, tmp_path: Path) -> None:
    arguments = [str(inputs / "clouds.npz"), "-o", str(tmp_path / "b"), "--text", "x"]
    assert_one_clear_line(CliRunner().invoke(main, arguments), "is not a safetensors file")
    arguments[0] = str(inputs / "text.safetensors")
    assert_one_clear_line(CliRunner().invoke(main, arguments), "is not a checkpoint of cg3d-train")


def test_text_of_another_size(inputs: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "c.safetensors", mean=torch.zeros(33))
    arguments = [str(checkpoint), "-o", str(tmp_path / "b"), "--text"]
    result = CliRunner().invoke(main, [*arguments, str(inputs / "text.safetensors")])
    assert_one_clear_line(result, "they were not trained for each other")


def test_engines_need_a_machine_before_the_export_begins(inputs: Path, tmp_path: Path) -> None:
    result = run(inputs, tmp_path / "b", "--trt")
    assert result.exit_code == 1
    assert f"run there: cg3d-export {tmp_path / 'b'} --trt" in result.stderr
    assert "reading the checkpoints" not in result.stderr
    assert not (tmp_path / "b").exists()


def test_another_number_of_points(inputs: Path, tmp_path: Path) -> None:
    """And plain graphs straight from a checkpoint."""
    result = run(inputs, tmp_path / "graphs", "--points", "48", "--onnx-only", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["parity"]["mean_cosine"] >= 0.999
    graph = onnx.load(tmp_path / "graphs" / "recognizer.onnx").graph
    shape = graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["batch", 48, 3]
    assert not (tmp_path / "graphs" / "manifest.json").exists()
    few = run(inputs, tmp_path / "few", "--points", "15")
    assert_one_clear_line(few, "this encoder samples 16 points of a cloud")


def test_bad_source_date(
    inputs: Path, tmp_path: Path, exported_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "tomorrow")
    assert_one_clear_line(run(inputs, tmp_path / "b"), "SOURCE_DATE_EPOCH='tomorrow'")


def test_missing_package(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert_one_clear_line(run(inputs, tmp_path / "b"), "pip install 'cg3d-sdk[export]'")


def test_torch_is_not_imported_for_help() -> None:
    code = "import sys, cg3d_export.cli.main as _; print({'torch', 'onnx'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
    text = CliRunner().invoke(main, ["--help"]).output
    assert "Examples:" in text
    assert "open_clip:MODEL[:WEIGHTS]" in text
