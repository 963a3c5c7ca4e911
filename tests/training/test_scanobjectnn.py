"""ScanObjectNN's three variants, in the publisher's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_benchmarks import FILES, write_scans, write_variants

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.labelled import load_labelled

NAMES = "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet"


@pytest.mark.parametrize("name", FILES)
def test_variants(tmp_path: Path, name: str) -> None:
    written = write_variants(tmp_path)
    for split, stem in (("train", "training"), ("test", "test")):
        found = load_labelled(name, tmp_path, split)  # type: ignore[arg-type]
        data, label = written[FILES[name].format(stem)]
        assert found.classes == tuple(NAMES.split())
        np.testing.assert_array_equal(found.clouds, data)
        np.testing.assert_array_equal(found.labels, label)


def test_damage(tmp_path: Path) -> None:
    written = write_variants(tmp_path)
    file = FILES["scanobjectnn"].format("test")
    data, label = written[file]

    def refused(message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            load_labelled("scanobjectnn", tmp_path, "test")

    for values, labels, message in [
        (data[:, :1024], label, r"\(20, 1024, 3\), not \(n, 2048, 3\)"),
        (data[:0], label[:0], r"\(0, 2048, 3\)"),
        (data, np.full(20, 15, "i4"), "row 0 has the label 15"),
        (data, np.full(20, -1, "i4"), "row 0 has the label -1"),
        (data, np.where(label == 11, 0, label), "'pillow' has no cloud"),
    ]:
        write_scans(tmp_path / file, values, labels)
        refused(message)
    write_scans(tmp_path / file, data, label)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    refused(r"test_objectdataset_augmentedrot_scale75\.h5 is not a sound HDF5 file")
    (tmp_path / file).unlink()
    refused(r"test_objectdataset_augmentedrot_scale75\.h5 is missing")
