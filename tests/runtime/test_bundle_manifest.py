"""manifest.json: what is written reads back, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bundles import content, manifest_fields

from cg3d_runtime.bundle.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    decode_manifest,
    encode_manifest,
    file_info,
)
from cg3d_runtime.bundle.parts import ImageEncoderInfo, ScenesInfo
from cg3d_runtime.errors import BundleError
from cg3d_runtime.text.phrasing import Phrasing

MANIFEST = Manifest(
    **manifest_fields(), files={name: file_info(data) for name, data in content().items()}
)
ENCODED = encode_manifest(MANIFEST)


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(ENCODED)
    change(value)
    return json.dumps(value).encode()


def test_reads_back_what_was_written() -> None:
    assert decode_manifest(ENCODED) == MANIFEST


def with_image(**changes: Any) -> Manifest:
    values = {"size": 224, "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.3, 0.4), "prompts": 5}
    image = ImageEncoderInfo(**{**values, "record": {"slip": "x"}, **changes})
    return replace(MANIFEST, image=image, files={**MANIFEST.files, image.file: file_info(b"i")})


def test_an_image_encoder_is_said_where_there_is_one() -> None:
    assert b'"image"' not in ENCODED  # bundles from before there was one keep their digest
    assert decode_manifest(encode_manifest(with_image())) == with_image()


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"mean": (0.5,)}, {"std": (0.5, 0.0, 0.5)}, {"std": ()}, {"prompts": -1}],
    ids=str,
)
def test_an_image_encoder_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=rf"image\.{next(iter(wrong))} should be"):
        encode_manifest(with_image(**wrong))
    with pytest.raises(BundleError, match=r"image\.file names the file"):
        encode_manifest(replace(with_image(), files=MANIFEST.files))


def test_phrasing_and_scenes_are_said_where_they_are_known() -> None:
    assert b'"phrasing"' not in ENCODED
    assert b'"scenes"' not in ENCODED
    said = replace(
        MANIFEST,
        text=replace(MANIFEST.text, phrasing=Phrasing(("a {}", "the {}."), "unit")),
        scenes=ScenesInfo(0.07, 0.5, {"rooms": 40}),
    )
    assert decode_manifest(encode_manifest(said)) == said


@pytest.mark.parametrize("templates", [(), ("a cup",), ("{} {}",), ("{}" + "x" * 1000,)])
def test_templates_that_are_none(templates: tuple[str, ...]) -> None:
    text = replace(MANIFEST.text, phrasing=Phrasing(templates))
    with pytest.raises(BundleError, match=r"text\.phrasing\.templates.* should be"):
        encode_manifest(replace(MANIFEST, text=text))


def test_a_threshold_that_is_no_share() -> None:
    with pytest.raises(BundleError, match=r"scenes\.found should be between 0 and 1"):
        encode_manifest(replace(MANIFEST, scenes=ScenesInfo(1.5, 0.0, {})))


def test_same_manifest_same_bytes() -> None:
    reordered = Manifest(**manifest_fields(), files=dict(reversed(MANIFEST.files.items())))
    assert encode_manifest(reordered) == ENCODED


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.update(format=2), "format is 2"),
        (lambda m: m.update(format="1"), "format is '1'"),
        (lambda m: m.update(format=True), "format is True"),
        (lambda m: m.pop("format"), "format is None"),
        (lambda m: m.pop("licence"), "'licence' is missing"),
        (lambda m: m["encoder"].pop("file"), "encoder: the field 'file' is missing"),
        (lambda m: m.update(colour="red"), "unknown field 'colour'"),
        (lambda m: m["text"]["encoder"].update(x=1), "text.encoder: unknown field 'x'"),
        (lambda m: m.update(name=3), "name should be text, not 3"),
        (lambda m: m["encoder"].update(opset=18.0), "encoder.opset should be a whole number"),
        (lambda m: m["encoder"].update(opset=True), "encoder.opset should be a whole number"),
        (lambda m: m["encoder"].update(precision="fp64"), "encoder.precision should be 'fp32' or"),
        (lambda m: m["encoder"].update(embedding_dim=0), "encoder.embedding_dim should be"),
        (lambda m: m["preprocess"].update(up="z"), "preprocess.up should be 'y'"),
        (lambda m: m["preprocess"].update(points=-1), "preprocess.points should be"),
        (lambda m: m["preprocess"].update(candidates=8), "preprocess.candidates should be"),
        (lambda m: m["text"].update(logit_scale="14"), "text.logit_scale should be a number"),
        (lambda m: m["text"].update(logit_scale=-1.0), "text.logit_scale should be above 0"),
        (lambda m: m["text"].update(encoder=[]), "text.encoder should be an object"),
        (lambda m: m["text"].update(mean="text/other.npy"), "text.mean names the file"),
        (lambda m: m.update(parity=[1]), "parity should be an object"),
        (lambda m: m.update(created="yesterday"), "created should be a date"),
        (lambda m: m.update(files={}), "encoder.file names the file"),
        (lambda m: m["files"]["encoder.onnx"].update(bytes=-1), "bytes is -1"),
        (lambda m: m["files"]["encoder.onnx"].update(bytes=1 << 40), "bytes is 1099511627776"),
        (lambda m: m["files"]["encoder.onnx"].update(sha256="0" * 63), "sha256 should be 64"),
        (lambda m: m.pop("digest"), "digest does not match"),
        (lambda m: m.update(digest=None), "digest does not match"),
        (lambda m: m.update(name="another"), "digest does not match"),
        (lambda m: m["parity"].update(mean_cosine=1.0), "digest does not match"),
    ],
)
def test_names_the_faulty_field(change: Callable[[dict[str, Any]], object], named: str) -> None:
    with pytest.raises(BundleError) as caught:
        decode_manifest(edited(change))
    assert named in str(caught.value)
    assert "manifest.json" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../b", "C:\\x", "a\\b", "", "a//b", "./a", "a/", ".hidden",
     "a\0b", "manifest.json", "ü", "a" * 300],
)  # fmt: skip
def test_refuses_file_names_that_leave_the_bundle(name: str) -> None:
    def add(value: dict[str, Any]) -> None:
        value["files"][name] = {"sha256": "0" * 64, "bytes": 1}

    with pytest.raises(BundleError, match="not a file name that a bundle may hold"):
        decode_manifest(edited(add))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b"[" * 100_000,
        b'{"format":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"format": ' + b"9" * 10_000 + b"}",
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_refuses_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        decode_manifest(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b" ", b"\t"),  # the same JSON in another text
        (b'"', b"'"),
        (b"p", b"\\u0070"),
        (b'"name"', b'"name" '),
        (b"\n", b"\r\n"),
        (b"200", b"2e2"),
        (b"null", b"1e999"),
        (b"null", b'"\\ud800"'),
        (b"null", b"[" * 400 + b"]" * 400),
    ],
)
def test_notices_changes_that_mean_nothing_or_too_much(old: bytes, new: bytes) -> None:
    changed = ENCODED.replace(old, new, 1)
    assert changed != ENCODED
    with pytest.raises(BundleError, match=r"manifest\.json"):
        decode_manifest(changed)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_mutation_gets_through(data: st.DataObject) -> None:
    """Any change of the bytes is a BundleError: never accepted, never another exception."""
    start = data.draw(st.integers(0, len(ENCODED) - 1))
    length = data.draw(st.integers(0, 6))
    token = st.sampled_from([b"{", b"[", b'"', b"null", b"-1", b"1e99", b"true", b'"\\ud800"'])
    new = data.draw(st.binary(max_size=4) | token)
    changed = ENCODED[:start] + new + ENCODED[start + length :]
    if changed != ENCODED:
        with pytest.raises(BundleError):
            decode_manifest(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_value_in_any_field_crashes(data: st.DataObject) -> None:
    """A field with any JSON value is read or refused; with its old digest it is refused."""
    value = json.loads(ENCODED)
    node, key = value, data.draw(st.sampled_from(sorted(value)))
    while isinstance(node[key], dict) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node)))
    old = node[key]
    node[key] = data.draw(JSON)
    if json.dumps(node[key]) != json.dumps(old):
        with pytest.raises(BundleError):
            decode_manifest(json.dumps(value, indent=1, sort_keys=True).encode())


def test_refuses_to_write_what_json_has_no_form_for() -> None:
    with pytest.raises(BundleError, match="no form for"):
        encode_manifest(Manifest(**{**manifest_fields(), "parity": {"cosine": float("nan")}},
                                 files=MANIFEST.files))  # fmt: skip
