"""Labelled sets: one interface, strict about what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.labelled import LabelledClouds, load_labelled


def write_set(folder: Path) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(6, 50, 6))
    (folder / "classes.txt").write_text("chair\nnight_stand\n")
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", points=points, labels=np.array([0, 1, 0, 1, 1, 0]))
    return points


def test_npz(tmp_path: Path) -> None:
    points = write_set(tmp_path)
    found = load_labelled("npz", tmp_path, "train")
    assert found.classes == ("chair", "night_stand")
    np.testing.assert_array_equal(found.clouds, points[..., :3].astype(np.float32))
    assert found.labels.tolist() == [0, 1, 0, 1, 1, 0]


def test_household(household: Path) -> None:
    train = load_labelled("household", household, "train")
    test = load_labelled("household", household, "test")
    assert train.classes == test.classes == ("table",)
    assert (len(train), len(test)) == (12, 3)
    assert np.abs(train.clouds).max() <= 1


def test_household_for_real(shared: Path) -> None:
    train = load_labelled("household", shared / "data" / "household", "train")
    test = load_labelled("household", shared / "data" / "household", "test")
    assert (len(train), len(test)) == (831, 219)
    assert train.classes == test.classes
    assert "night_stand" in train.classes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": np.zeros((2, 9, 3))}, "labels"),
        ({"points": np.zeros((2, 9, 2)), "labels": np.zeros(2, int)}, r"\(n, N, 3\)"),
        ({"points": np.zeros((2, 9, 3)), "labels": np.zeros(3, int)}, "2 clouds"),
        ({"points": np.zeros((2, 9, 3)), "labels": np.full(2, 7)}, "0 classes|2 classes"),
        ({"points": np.zeros((2, 9, 3)), "labels": np.zeros(2)}, "labels float64"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    write_set(tmp_path)
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(TrainingError, match=message):
        load_labelled("npz", tmp_path, "test")


def test_missing_files_and_unknown_sets(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"classes\.txt"):
        load_labelled("npz", tmp_path, "train")
    write_set(tmp_path)
    (tmp_path / "train.npz").write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"train\.npz"):
        load_labelled("npz", tmp_path, "train")
    with pytest.raises(TrainingError, match="'household'"):
        load_labelled("houshold", tmp_path, "train")


def test_labels_must_name_classes() -> None:
    with pytest.raises(TrainingError, match="there are 1 classes"):
        LabelledClouds(("a",), np.zeros((1, 9, 3), np.float32), np.array([1]))
