"""Opening bundles that are missing, damaged or hostile: one clear error each."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bundles import LABELS, content, make_bundle, vectors

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.arrays import decode_array, encode_array
from cg3d_runtime.bundle.labels import LabelRow, decode_labels, encode_labels
from cg3d_runtime.bundle.manifest import encode_manifest, file_info
from cg3d_runtime.errors import BundleError


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


def forge(bundle: Bundle, name: str, data: bytes) -> Bundle:
    """A bundle whose manifest vouches for another content of one file."""
    (bundle.root / name).write_bytes(data)
    files = {**bundle.manifest.files, name: file_info(data)}
    manifest = encode_manifest(replace(bundle.manifest, files=files))
    (bundle.root / "manifest.json").write_bytes(manifest)
    return Bundle.open(bundle.root)


def test_gives_what_was_written(bundle: Bundle) -> None:
    text = bundle.text()
    assert bundle.bytes("encoder.onnx") == content()["encoder.onnx"]
    assert text.labels == tuple(row.label for row in LABELS)
    assert text.aliases == tuple(row.aliases for row in LABELS)
    np.testing.assert_array_equal(text.vectors, vectors())
    assert text.mean.shape == (8,)
    assert not text.vectors.flags.writeable
    assert bundle.path("text/merges.txt").read_bytes() == content()["text/merges.txt"]
    bundle.verify()


def test_opens_through_a_link_to_the_folder(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bundle.root)
    Bundle.open(tmp_path / "link").verify()


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere does not exist.*cg3d-export"):
        Bundle.open(tmp_path / "nowhere")


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx is a file"):
        Bundle.open(tmp_path / "model.onnx")


def test_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        Bundle.open(tmp_path)


def test_unknown_file(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no file 'x'; it has MODEL_CARD\.md, encoder\.onnx"):
        bundle.bytes("x")


@pytest.mark.parametrize("name", [*content(), "manifest.json"])
def test_missing_file(bundle: Bundle, name: str) -> None:
    (bundle.root / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle.root).verify()


@pytest.mark.parametrize("name", [*content(), "manifest.json"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_changed_byte(bundle: Bundle, name: str, where: str) -> None:
    data = bytearray((bundle.root / name).read_bytes())
    at = {"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[where]
    data[at] ^= 1
    (bundle.root / name).write_bytes(data)
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle.root).verify()


@pytest.mark.parametrize("name", [*content(), "manifest.json"])
@pytest.mark.parametrize("change", [-1, 1])
def test_changed_size(bundle: Bundle, name: str, change: int) -> None:
    data = (bundle.root / name).read_bytes()
    (bundle.root / name).write_bytes(data[:-1] if change < 0 else data + b"x")
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle.root).verify()


def test_change_between_two_reads_is_noticed(bundle: Bundle) -> None:
    data = bundle.bytes("encoder.onnx")
    (bundle.root / "encoder.onnx").write_bytes(data[::-1])
    with pytest.raises(BundleError, match="changed after the export"):
        bundle.bytes("encoder.onnx")


def test_link_that_leaves_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(content()["encoder.onnx"])
    (bundle.root / "encoder.onnx").unlink()
    (bundle.root / "encoder.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="link that leaves the bundle"):
        bundle.bytes("encoder.onnx")


def test_folder_link_that_leaves_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    shutil.move(bundle.root / "text", tmp_path / "text")
    (bundle.root / "text").symlink_to(tmp_path / "text")
    with pytest.raises(BundleError, match="link that leaves the bundle"):
        bundle.text()


def test_manifest_link_that_leaves_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    shutil.move(bundle.root / "manifest.json", tmp_path / "manifest.json")
    (bundle.root / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(BundleError, match="link that leaves the bundle"):
        Bundle.open(bundle.root)


def test_links_in_a_circle(bundle: Bundle) -> None:
    (bundle.root / "encoder.onnx").unlink()
    (bundle.root / "encoder.onnx").symlink_to("encoder.onnx")
    with pytest.raises(BundleError, match=r"encoder\.onnx"):
        bundle.bytes("encoder.onnx")


def test_link_inside_the_bundle_is_fine(bundle: Bundle) -> None:
    (bundle.root / "encoder.onnx").rename(bundle.root / "real.onnx")
    (bundle.root / "encoder.onnx").symlink_to("real.onnx")
    assert bundle.bytes("encoder.onnx") == content()["encoder.onnx"]


def test_folder_in_place_of_a_file(bundle: Bundle) -> None:
    (bundle.root / "encoder.onnx").unlink()
    (bundle.root / "encoder.onnx").mkdir()
    with pytest.raises(BundleError, match=r"encoder\.onnx"):
        bundle.bytes("encoder.onnx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipe_in_place_of_a_file_does_not_hang(bundle: Bundle) -> None:
    (bundle.root / "encoder.onnx").unlink()
    os.mkfifo(bundle.root / "encoder.onnx")
    with pytest.raises(BundleError, match="not a plain file"):
        bundle.bytes("encoder.onnx")


def test_manifest_of_gigabytes_is_not_read(bundle: Bundle) -> None:
    with (bundle.root / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading it would fill the memory
    with pytest.raises(BundleError, match="is larger than"):
        Bundle.open(bundle.root)


def test_file_of_gigabytes_is_not_read(bundle: Bundle) -> None:
    with (bundle.root / "encoder.onnx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=r"1099511627776 bytes where manifest\.json says 700"):
        bundle.bytes("encoder.onnx")


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (npy(vectors())[:-4], "promises 64 bytes of numbers, the file holds 60"),
        (npy(vectors()) + b"x", "promises 64 bytes of numbers, the file holds 65"),
        (npy(vectors())[:20], "not a usable .npy"),
        (b"", "not a usable .npy"),
        (b"PK\x03\x04", "not a usable .npy"),
        (npy(np.array([{"a": 1}, None], object), allow_pickle=True), "not numbers"),
        (npy(np.array(["a", "b"])), "not numbers"),
        (npy(np.zeros(2, [("a", "f4")])), "not numbers"),
        (header("(1000000000000, 512)"), "promises 2048000000000000 bytes"),
        (header("(-2, -8)") + bytes(64), "negative"),
        (header("(" * 500 + ")" * 500), "not a usable .npy"),
        (header("(2, 8)", "__import__('os')"), "not a usable .npy"),
        (header("'x'"), "not a usable .npy"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "not a usable .npy"),
        (npy(vectors().astype(np.float64)), "should be (2, 8) float32"),
        (npy(vectors().astype(">f4")), "should be (2, 8) float32"),
        (npy(vectors()[:1]), "should be (2, 8) float32"),
        (npy(vectors().T), "should be (2, 8) float32"),
        (npy(np.full((2, 8), np.nan, np.float32)), "NaN"),
    ],
)
def test_bad_vectors_with_a_matching_hash(bundle: Bundle, data: bytes, fault: str) -> None:
    forged = forge(bundle, "text/vectors.npy", data)
    with pytest.raises(BundleError) as caught:
        forged.text()
    assert fault in str(caught.value)
    assert "vectors.npy" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not valid JSON"),
        (b"{}", "should be a list"),
        (b"[]", "holds no labels"),
        (b'["chair"]', "should be an object"),
        (b'[{"label": "chair"}]', "'aliases' is missing"),
        (b'[{"label": "chair", "aliases": "seat"}]', "should be a list"),
        (b'[{"label": "chair", "aliases": [1]}]', "should be text"),
        (b'[{"label": " ", "aliases": []}]', "the label of row 0 is empty"),
        (encode_labels(LABELS[:1]), "should be (1, 8) float32 to fit the labels"),
    ],
)
def test_bad_labels_with_a_matching_hash(bundle: Bundle, data: bytes, fault: str) -> None:
    forged = forge(bundle, "text/labels.json", data)
    with pytest.raises(BundleError) as caught:
        forged.text()
    assert fault in str(caught.value)


ROWS = st.builds(
    LabelRow, st.text(min_size=1).filter(str.strip), st.lists(st.text(), max_size=2).map(tuple)
)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_any_labels_come_back(rows: list[LabelRow]) -> None:
    assert decode_labels(encode_labels(rows), "labels.json") == tuple(rows)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_npy_never_crashes(data: st.DataObject) -> None:
    """Read as some array whose bytes are all in the file, or refused with a BundleError."""
    original = encode_array(vectors())
    start = data.draw(st.integers(0, 130))
    new = data.draw(st.binary(max_size=6) | st.sampled_from([b"(", b"}", b"'O'", b"9" * 30]))
    changed = original[:start] + new + original[start + len(new) :]
    try:
        array = decode_array(changed, "x.npy")
    except BundleError:
        return
    assert array.nbytes <= len(changed)


def test_array_bytes_are_numpys_own() -> None:
    for array in (vectors(), vectors().T, np.arange(3), np.zeros((0, 4), np.float16)):
        np.testing.assert_array_equal(np.load(io.BytesIO(encode_array(array))), array)
        np.testing.assert_array_equal(decode_array(npy(array), "x.npy"), array)
