"""Plans and their sidecars: nothing in them is trusted, and a mismatch names itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_bundles import content, make_bundle
from made_plans import ENCODER, ORIN, TAG, VERSION, make_plan, plan_bytes, plan_info

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.fields import sealed
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.engines import sidecar
from cg3d_runtime.engines.cuda import CudaDevice
from cg3d_runtime.engines.plan import (
    PARTS,
    PlanHeader,
    Profile,
    check_machine,
    decode_plan_info,
    encode_plan_info,
    plan_folders,
    plan_header,
    plan_parts,
    plan_sources,
    plan_tag,
    read_plan,
    write_plan,
)
from cg3d_runtime.errors import BundleError, EngineError


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "my bundle")


@pytest.mark.parametrize("part", PARTS)
def test_what_is_written_is_read(bundle: Bundle, part: Any) -> None:
    assert plan_folders(bundle) == ()
    make_plan(bundle, part)
    assert plan_folders(bundle) == (TAG,)
    assert plan_parts(bundle, TAG) == (part,)
    assert read_plan(bundle, TAG, part) == (plan_info(bundle, part), plan_bytes())
    assert list(bundle.root.glob("engines/*/.*")) == []


def test_the_plan_itself_is_untouched(bundle: Bundle) -> None:
    assert make_plan(bundle).read_bytes() == plan_bytes()


def test_writing_again_replaces(bundle: Bundle) -> None:
    make_plan(bundle)
    other = plan_bytes(body=b"another")
    make_plan(bundle, plan=other, device="Orin NX")
    info, data = read_plan(bundle, TAG, "encoder")
    assert (data, info.device) == (other, "Orin NX")


def test_only_folders_of_plans_are_listed(bundle: Bundle) -> None:
    make_plan(bundle)
    for name in ("old", "sm87-trt10.3.0-fp4", "sm\u0668\u0667-trt10.3.0-fp16", f".{TAG}.new"):
        (bundle.root / "engines" / name).mkdir()
    assert plan_folders(bundle) == (TAG,)


@pytest.mark.parametrize("tag", ["..", "../..", "sm87-trt10.3.0-fp16/..", "", "/", "sm87\n"])
def test_a_tag_is_no_path(bundle: Bundle, tag: str) -> None:
    with pytest.raises(BundleError, match="no name of a folder of plans"):
        read_plan(bundle, tag, "encoder")


@pytest.mark.parametrize("part", ["../encoder", "encoders", ""])
def test_a_part_is_no_path(bundle: Bundle, part: Any) -> None:
    make_plan(bundle)
    with pytest.raises(BundleError, match="no part of a bundle"):
        read_plan(bundle, TAG, part)


def test_sources_name_everything_that_a_plan_depends_on(bundle: Bundle) -> None:
    bank = {"text/labels.json", "text/vectors.npy", "text/mean.npy", "manifest.json"}
    assert set(plan_sources(bundle, "encoder")) == {"encoder.onnx"}
    assert set(plan_sources(bundle, "text_encoder")) == {"text/encoder.onnx"}
    assert set(plan_sources(bundle, "bank")) == bank
    assert set(plan_sources(bundle, "recognizer")) == bank | {"encoder.onnx"}
    for part in PARTS:
        for name, sha256 in plan_sources(bundle, part).items():
            assert file_info((bundle.root / name).read_bytes()).sha256 == sha256


@pytest.mark.parametrize("part", ["encoder", "recognizer"])
def test_a_plan_of_another_bundle_is_refused(tmp_path: Path, bundle: Bundle, part: Any) -> None:
    make_plan(bundle, part)
    other = make_bundle(tmp_path / "other", {**content(), "encoder.onnx": b"another encoder"})
    shutil.copytree(bundle.root / "engines", other.root / "engines")
    with pytest.raises(EngineError, match=r"the graph differs.*'encoder\.onnx'.*--trt"):
        read_plan(other, TAG, part)


def test_another_factor_on_cosines_is_another_graph(tmp_path: Path, bundle: Bundle) -> None:
    make_plan(bundle, "bank")
    text = replace(bundle.manifest.text, logit_scale=99.0)
    other = make_bundle(tmp_path / "other", text=text)
    shutil.copytree(bundle.root / "engines", other.root / "engines")
    with pytest.raises(EngineError, match=r"the graph differs.*'manifest\.json'"):
        read_plan(other, TAG, "bank")


@pytest.mark.parametrize(
    "sources", [{"text/mean.npy": None}, {"encoder.onnx": "ab" * 32}, {"/etc/passwd": "ab" * 32}]
)
def test_sources_must_be_the_bundles(bundle: Bundle, sources: dict[str, Any]) -> None:
    known = {name: info.sha256 for name, info in bundle.manifest.files.items()}
    make_plan(bundle, sources={name: sha or known[name] for name, sha in sources.items()})
    with pytest.raises(EngineError, match="the graph differs"):
        read_plan(bundle, TAG, "encoder")


def test_the_error_names_a_command_that_a_shell_takes(bundle: Bundle) -> None:
    plan = make_plan(bundle)
    plan.write_bytes(plan_bytes()[:-1] + b"x")
    with pytest.raises(BundleError) as caught:
        read_plan(bundle, TAG, "encoder")
    assert f"Build it again: cg3d-export '{bundle.root}' --trt" in str(caught.value)


def test_faults_of_the_files(bundle: Bundle, tmp_path: Path) -> None:
    plan = make_plan(bundle)
    beside = plan.with_name("encoder.plan.json")
    sound = beside.read_bytes()

    plan.write_bytes(plan_bytes()[:-1])
    with pytest.raises(BundleError, match="changed or cut short"):
        read_plan(bundle, TAG, "encoder")
    plan.write_bytes(plan_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="SHA-256 is not the one"):
        read_plan(bundle, TAG, "encoder")
    plan.unlink()
    with pytest.raises(BundleError, match="is missing"):
        read_plan(bundle, TAG, "encoder")
    (tmp_path / "elsewhere").write_bytes(plan_bytes())
    plan.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="link that leaves the bundle"):
        read_plan(bundle, TAG, "encoder")
    plan.unlink()
    plan.write_bytes(plan_bytes())

    beside.write_bytes(sound.replace(b"Orin", b"Thor"))
    with pytest.raises(BundleError, match="digest does not match"):
        read_plan(bundle, TAG, "encoder")
    beside.write_bytes(b" " * (sidecar.MAX_SIDECAR_BYTES + 1))
    with pytest.raises(BundleError, match="larger than"):
        read_plan(bundle, TAG, "encoder")
    beside.unlink()
    with pytest.raises(BundleError, match="is missing"):
        read_plan(bundle, TAG, "encoder")
    beside.write_bytes(sound)
    assert read_plan(bundle, TAG, "encoder")[1] == plan_bytes()

    for name in ("encoder.plan", "encoder.plan.json"):
        (plan.parent / name).rename(plan.parent / name.replace("encoder", "bank"))
    with pytest.raises(BundleError, match="it was renamed"):
        read_plan(bundle, TAG, "bank")


def test_a_sidecar_that_contradicts_the_plans_header(bundle: Bundle) -> None:
    make_plan(bundle, plan=plan_bytes("10.13.3.9"))
    with pytest.raises(BundleError, match=r"built by TensorRT 10\.13\.3\.9, but .* says 10\.3"):
        read_plan(bundle, TAG, "encoder")


def test_writing_refuses_what_cannot_be_read(bundle: Bundle, tmp_path: Path) -> None:
    info = plan_info(bundle)
    with pytest.raises(BundleError, match="not about this plan"):
        write_plan(bundle.root / "engines" / TAG, "bank", plan_bytes(), info)
    with pytest.raises(BundleError, match="not about this plan"):
        write_plan(bundle.root / "engines" / TAG, "encoder", plan_bytes(body=b""), info)
    with pytest.raises(BundleError, match="no TensorRT plan"):
        write_plan(bundle.root / "engines" / TAG, "encoder", b"ONNX" * 9, info)
    with pytest.raises(BundleError, match="no name of a folder"):
        write_plan(tmp_path / "anywhere", "encoder", plan_bytes(), info)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="could not be written"):
        write_plan(tmp_path / "file" / TAG, "encoder", plan_bytes(), info)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": "head"}, "part should be 'encoder'"),
        ({"precision": "fp8"}, "precision should be"),
        ({"format": 2}, "reads format 1"),
        ({"format": True}, "reads format 1"),
        ({"plan": {"sha256": "ab", "bytes": 1}}, "plan.sha256 should be 64"),
        ({"plan": {"sha256": "ab" * 32, "bytes": 1 << 40}}, "plan.bytes is 1099511627776"),
        ({"plan": {"sha256": "ab" * 32, "bytes": -1}}, "plan.bytes is -1"),
        ({"onnx_sha256": "AB" * 32}, "64 hexadecimal"),
        ({"sources": {}}, "at least one file"),
        ({"sources": {"a": "b"}}, "64 hexadecimal"),
        ({"tensorrt": "10"}, "tensorrt should be a version"),
        ({"tensorrt": "10.3.0\n"}, "tensorrt should be a version"),
        ({"compute_capability": "8"}, "compute_capability should be"),
        ({"device": "x" * 300}, "device should be at most"),
        ({"device": "\x1b[31m"}, "device should be at most 200 printable"),
        ({"driver": 12.6}, "driver should be text"),
        ({"profiles": {}}, "profiles should be of at least one input"),
        ({"profiles": {"a": {"minimum": [1], "optimum": [2], "maximum": [1]}}}, "none larger"),
        ({"profiles": {"a": {"minimum": [0], "optimum": [1], "maximum": [1]}}}, "none larger"),
        ({"profiles": {"a": {"minimum": [1], "optimum": [1, 1], "maximum": [1]}}}, "one length"),
        ({"profiles": {"a": {"minimum": [], "optimum": [], "maximum": []}}}, "one length"),
        ({"profiles": {"a": {"minimum": [1], "optimum": [1], "maximum": [1 << 40]}}}, "none lar"),
        ({"profiles": {"a": {"minimum": [1.0], "optimum": [1], "maximum": [1]}}}, "whole number"),
        ({"layer_types": {"Half": -1}}, "numbers of layers"),
        ({"layer_types": {"Half": "41"}}, "whole number"),
        ({"version_compatible": 1}, "true or false"),
        ({"hardware_compatibility": "all"}, "hardware_compatibility should be"),
        ({"created": "today"}, "created should be a date"),
        ({"more": 1}, "unknown field 'more'"),
    ],
)
def test_sidecars_that_break_a_rule(bundle: Bundle, changes: dict, message: str) -> None:
    value = {**json.loads(json.dumps(asdict(plan_info(bundle)))), **changes}
    with pytest.raises(BundleError) as caught:  # the digest is right: the rule must catch it
        decode_plan_info(sealed(value), "x.json")
    assert message in str(caught.value)
    assert "x.json" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_no_sidecars(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"x\.json"):
        decode_plan_info(data, "x.json")


def test_a_missing_field_and_another_spelling(bundle: Bundle) -> None:
    info = plan_info(bundle)
    value = asdict(info)
    del value["driver"]
    with pytest.raises(BundleError, match="'driver' is missing"):
        decode_plan_info(sealed(value), "x.json")
    written = encode_plan_info(info)
    assert decode_plan_info(written, "x.json") == info
    with pytest.raises(BundleError, match="digest does not match"):
        decode_plan_info(written.replace(b'"Orin"', b'"\\u004frin"'), "x.json")
    with pytest.raises(BundleError):
        encode_plan_info(replace(info, profiles={"points": Profile((2,), (1,), (1,))}))


def test_headers() -> None:
    assert plan_header(plan_bytes("11.4.0.106")) == PlanHeader("ftrt", "11.4.0.106")
    assert plan_header(plan_bytes("1.7.1.116", b"vtrt")) == PlanHeader("vtrt", "1.7.1.116")
    for data in (b"", b"ftrt", b"ftrt" * 7, b"ONNX" * 9, b"\x00" * 99):
        with pytest.raises(BundleError, match="no TensorRT plan"):
            plan_header(data)


HOPPER = CudaDevice("NVIDIA H200", "9.0", 139 << 30, "13.0")
TURING = CudaDevice("NVIDIA T4", "7.5", 16 << 30, "13.0")


@pytest.mark.parametrize(
    ("changes", "installed", "device"),
    [
        ({}, VERSION, ORIN),
        ({}, "10.3.0", ORIN),  # what the wheels of some releases say
        ({}, "10.3.0.post1", ORIN),
        ({"version_compatible": True}, "10.3.0.26", ORIN),
        ({"version_compatible": True}, "10.13.3.9", ORIN),
        ({"version_compatible": True}, "11.4.1.2", ORIN),
        ({"hardware_compatibility": "ampere_plus"}, VERSION, HOPPER),
        ({"hardware_compatibility": "same_compute_capability"}, VERSION, replace(ORIN, name="NX")),
        ({"compute_capability": "9.0"}, VERSION, HOPPER),
    ],
)
def test_plans_that_fit(bundle: Bundle, changes: dict, installed: str, device: CudaDevice) -> None:
    check_machine(plan_info(bundle, **changes), PlanHeader("ftrt", VERSION), installed, device)


TENSORRT, DEVICE = "the TensorRT version differs", "the device differs"


@pytest.mark.parametrize(
    ("changes", "installed", "device", "said", "unsaid"),
    [
        ({}, "10.3.0.26", ORIN, ["needs 10.3.0.30, 10.3.0.26 is", TENSORRT], [DEVICE]),
        ({}, "10.13.3.9", ORIN, [TENSORRT], [DEVICE]),
        ({}, "", ORIN, [TENSORRT], [DEVICE]),
        ({}, "10.3", ORIN, [TENSORRT], [DEVICE]),
        ({}, VERSION, HOPPER, [DEVICE, "Orin", "8.7", "NVIDIA H200", "9.0"], [TENSORRT]),
        ({}, "11.4.0.106", HOPPER, [TENSORRT, DEVICE], []),
        ({"version_compatible": True}, "10.2.0.9", ORIN, ["10.3.0.30 or a later one"], [DEVICE]),
        ({"version_compatible": True}, "12.0.0.1", ORIN, [TENSORRT], [DEVICE]),
        ({"version_compatible": True}, "", ORIN, [TENSORRT], [DEVICE]),
        ({"hardware_compatibility": "ampere_plus"}, VERSION, TURING, [DEVICE], [TENSORRT]),
        ({"hardware_compatibility": "same_compute_capability"}, VERSION, HOPPER, [DEVICE], []),
    ],
)
def test_a_mismatch_says_which_of_the_two_differs(
    bundle: Bundle, changes: dict, installed: str, device: CudaDevice, said: list, unsaid: list
) -> None:
    info, header = plan_info(bundle, **changes), PlanHeader("ftrt", VERSION)
    with pytest.raises(EngineError) as caught:
        check_machine(info, header, installed, device)
    message = str(caught.value)
    assert all(words in message for words in said)
    assert not any(words in message for words in unsaid)
    assert "cg3d-export BUNDLE --trt" in message


def test_a_plan_of_tensorrt_rtx_says_so(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="built by TensorRT-RTX"):
        check_machine(plan_info(bundle), PlanHeader("vtrt", "1.7.1.116"), "11.4.0.106", ORIN)


def test_tags() -> None:
    assert plan_tag("8.7", VERSION, "fp16") == TAG
    assert plan_tag("11.0", "10.13.3.9", "fp32") == "sm110-trt10.13.3-fp32"
    with pytest.raises(BundleError, match="no name of a folder"):
        plan_tag("8.7", "10", "fp16")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_of_a_sidecar_passes(place: int, change: int) -> None:
    written = bytearray(SIDECAR)
    written[place % len(written)] ^= change
    with pytest.raises(BundleError):
        decode_plan_info(bytes(written), "x.json")


SIDECAR = encode_plan_info(
    sidecar.PlanInfo(
        "encoder", "fp16", file_info(plan_bytes()), "ab" * 32, {"encoder.onnx": "cd" * 32},
        VERSION, "8.7", "Orin", "12.6", ENCODER, {"Half": 3}, False, "none", "2024-05-06",
    )
)  # fmt: skip
