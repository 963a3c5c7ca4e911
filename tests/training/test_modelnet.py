"""ModelNet in its three published layouts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_benchmarks import (
    TETRAHEDRON,
    text_cloud,
    write_h5,
    write_hdf5,
    write_off,
    write_text,
)

from cg3d_runtime.errors import DependencyError, TrainingError
from cg3d_training.data.labelled import load_labelled
from cg3d_training.data.modelnet import CLASSES_10, CLASSES_40


def test_meshes(tmp_path: Path) -> None:
    write_off(tmp_path)
    train, test = (load_labelled("modelnet10", tmp_path, s) for s in ("train", "test"))
    assert train.classes == test.classes == CLASSES_10
    assert train.labels.tolist() == [c for c in range(10) for _ in range(2)]
    assert (train.clouds.shape, test.clouds.shape) == ((20, 8192, 3), (10, 8192, 3))
    np.testing.assert_array_equal(train.clouds[0], train.clouds[1])  # both headers
    # The z of the file, 5 high, points up; x stays and y goes to the back.
    x, y, z = train.clouds[0].astype(np.float64).T
    assert (np.array([x, y, z]).max(axis=1) > [0.95, 4.7, -0.001]).all()
    assert (np.array([x, y, z]).min(axis=1) > [-0.001, -0.001, -2.001]).all()
    on_a_side = np.min([abs(x), abs(y), abs(z), abs(x + y / 5 - z / 2 - 1)], axis=0)
    assert on_a_side.max() < 1e-5


def test_the_ten_are_read_from_the_meshes_of_the_forty(tmp_path: Path) -> None:
    write_off(tmp_path, CLASSES_40)
    assert len(load_labelled("modelnet40", tmp_path, "test")) == 40
    assert load_labelled("modelnet10", tmp_path, "test").classes == CLASSES_10


def test_text(tmp_path: Path) -> None:
    write_text(tmp_path)
    test = load_labelled("modelnet10", tmp_path, "test")
    assert test.classes == CLASSES_10
    assert test.labels.tolist() == list(range(10))
    np.testing.assert_array_equal(test.clouds[6], text_cloud(1)[:, :3].astype(np.float32))
    np.testing.assert_array_equal(test.clouds[7], text_cloud(0)[:, :3].astype(np.float32))


def test_hdf5(tmp_path: Path) -> None:
    expected = write_hdf5(tmp_path)
    for split in ("train", "test"):
        found = load_labelled("modelnet40", tmp_path, split)  # type: ignore[arg-type]
        assert found.classes == CLASSES_40
        np.testing.assert_array_equal(found.clouds, expected[f"{split}_data"])
        np.testing.assert_array_equal(found.labels, expected[f"{split}_label"])


def test_the_ten_are_read_from_the_hdf5_of_the_forty(tmp_path: Path) -> None:
    expected = write_hdf5(tmp_path)
    found = load_labelled("modelnet10", tmp_path, "train")
    names = [CLASSES_40[label] for label in expected["train_label"]]
    rows = [i for i, name in enumerate(names) if name in CLASSES_10]
    assert [found.classes[label] for label in found.labels] == [names[i] for i in rows]
    np.testing.assert_array_equal(found.clouds, expected["train_data"][rows])


def test_an_unknown_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    looked_for = r"modelnet40_shape_names\.txt.*shape_names\.txt.*airplane/train/\*\.off"
    with pytest.raises(TrainingError, match=looked_for):
        load_labelled("modelnet40", tmp_path, "train")
    with pytest.raises(TrainingError, match="is no folder"):
        load_labelled("modelnet40", tmp_path / "absent", "train")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hdf5(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DependencyError, match=r"cg3d-sdk\[hdf5\]"):
        load_labelled("modelnet40", tmp_path, "train")


OFF_DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda f: f.write_text("OFF\n" + TETRAHEDRON[:-9]),
        r"promises 4 vertices and 4 faces, 7 lines",
    ),
    (lambda f: f.write_text("OFF" + TETRAHEDRON[:30]), r"sofa_0001\.off"),
    (lambda f: f.write_text(""), "empty"),
    (lambda f: f.write_bytes(b"\x80\x04pickled"), r"sofa_0001\.off"),
    (lambda f: f.write_text("OFF\n" + TETRAHEDRON.replace("3 1 2 3", "3 1 2 9")), "outside"),
    (lambda f: f.write_text("OFF\n1 1 0\n0 0 0\n3 0 0 0\n"), "without area"),
    (lambda f: f.unlink(), r"sofa/test has no \.off"),
]


@pytest.mark.parametrize(("damage", "message"), OFF_DAMAGE)
def test_damaged_meshes(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    write_off(tmp_path)
    damage(tmp_path / "sofa" / "test" / "sofa_0001.off")
    with pytest.raises(TrainingError, match=message):
        load_labelled("modelnet10", tmp_path, "test")


def test_damaged_text(tmp_path: Path) -> None:
    write_text(tmp_path)
    file, listing = tmp_path / "bathtub" / "bathtub_0107.txt", tmp_path / "modelnet10_test.txt"
    whole, entries = file.read_text(), listing.read_text()

    def refused(message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            load_labelled("modelnet10", tmp_path, "test")

    for text, message in [
        (whole[: len(whole) // 2 + 5], r"bathtub_0107\.txt is not lines of x,y,z"),
        (whole[: whole.index("\n", len(whole) // 2) + 1], "not 10000 of 6"),
        (whole.replace(whole[:8], "nan", 1), "NaN"),
        (whole.replace("\n", ",0\n"), "7 numbers, not 10000 of 6"),
        (whole.replace(whole[:8], "'''", 1), "not lines of x,y,z"),
        (whole * 11, "too many for a cloud"),
    ]:
        file.write_text(text)
        refused(message)
    file.unlink()
    refused(r"modelnet10_test\.txt, line 1: .*bathtub_0107\.txt is missing")
    file.write_text(whole)
    for text, message in [
        (entries.replace("desk_0107", "../desk_0107"), "line 4: '../desk_0107' is not a class"),
        (entries.replace("desk_0107", "chair_0107"), "'desk' has no cloud"),
        (entries.replace("desk_0107", ""), "line 4: is blank"),
        ("", "is empty"),
    ]:
        listing.write_text(text)
        refused(message)
    (tmp_path / "modelnet10_shape_names.txt").write_text("chair\nbanana\n")
    refused("not the class list of ModelNet10: 'bathtub' is missing")


def test_damaged_hdf5(tmp_path: Path) -> None:
    expected = write_hdf5(tmp_path)
    data, label = expected["test_data"], expected["test_label"]
    file, listing = tmp_path / "ply_data_test0.h5", tmp_path / "test_files.txt"

    def refused(message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            load_labelled("modelnet40", tmp_path, "test")

    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(r"ply_data_test0\.h5 is not a sound HDF5 file")
    file.write_bytes(b"x" * 5000)
    refused("not a sound HDF5 file")
    for values, labels, message in [
        (data, np.where(label == 7, 40, label), r"row \d+ has the label 40"),
        (data, np.where(label == 7, 8, label), "'car' has no cloud"),
        (data, label[:-1], "80 clouds, but 'label'"),
        (data, label.astype("f4"), "'label' holds float32, not integers"),
        (data[..., :2], label, r"\(80, 16, 2\), not \(n, N, 3\)"),
        (data.astype("i4"), label, "'data' holds int32, not floating"),
        (np.where(data == data[3, 1, 1], np.nan, data), label, "row 3 holds NaN"),
    ]:
        write_h5(file, values, labels)
        refused(message)
    write_h5(tmp_path / "other.h5", data[:, :9], label)
    write_h5(file, data, label)
    listing.write_text("ply_data_test0.h5\nother.h5\n")
    refused("clouds of 9 points")
    listing.write_text("ply_data_test0.h5\nply_data_test1.h5\n")
    refused(r"test_files\.txt, line 2: .*ply_data_test1\.h5 is missing")
    (tmp_path / "shape_names.txt").write_text("\n".join(["chair", *CLASSES_40]))
    refused("stands in it twice")


def test_hdf5_does_not_reach_out_of_the_file_or_lie_about_sizes(tmp_path: Path) -> None:
    """HDF5 can refer to other files and can claim terabytes in a few hundred bytes."""
    write_hdf5(tmp_path)
    file = tmp_path / "ply_data_test0.h5"
    layout = h5py.VirtualLayout(shape=(40, 16, 3), dtype="f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "ply_data_train0.h5"), "data", (40, 16, 3))
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(40 * 16 * 3 * 4))
    writers: list[tuple[Callable[[h5py.File], object], str]] = [
        (lambda out: out.__setitem__("data", h5py.ExternalLink("x.h5", "data")), "link"),
        (lambda out: out.__setitem__("data", h5py.SoftLink("/label")), "link"),
        (lambda out: out.create_virtual_dataset("data", layout), "another file"),
        (
            lambda out: out.create_dataset(
                "data", (40, 16, 3), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
            ),
            "another file",
        ),
        (
            lambda out: out.create_dataset("data", (10**9, 2048, 3), "f4", chunks=(64, 2048, 3)),
            "claims 24576000000000 bytes, but 0 are stored",
        ),
        (lambda out: out.create_group("data"), "is a group"),
        (lambda out: None, "no data set 'data', only label"),
    ]
    for write, message in writers:
        with h5py.File(file, "w") as out:
            out["label"] = np.arange(40)
            write(out)
        with pytest.raises(TrainingError, match=message):
            load_labelled("modelnet40", tmp_path, "test")
