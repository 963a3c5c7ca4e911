"""Calibrations: evidence, familiarity, what lies between two levels, and how bundles keep them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bundles import DIM, content, make_bundle, manifest_fields

from cg3d_runtime.bundle import Bundle, CalibrationInfo, CalibrationLevel
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.manifest import Manifest, decode_manifest, encode_manifest, file_info
from cg3d_runtime.errors import BundleError, InputError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.calibration import SHARES, Calibration


def units(seed: int, rows: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(rows, DIM))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def bank(labels: int) -> TextBank:
    names = tuple(f"thing {i}" for i in range(labels))
    return TextBank(names, ((),) * labels, units(5, labels), 10.0)


def made(**changes: Any) -> Calibration:
    fields: dict[str, Any] = {
        "direction": np.linspace(-1, 1, DIM),
        "labels": (4, 64),
        "logit_scales": (8.0, 32.0),
        "cosine_weights": (6.0, 2.0),
        "quantiles": np.stack([np.linspace(0, 10, 101), np.linspace(20, 40, 101)]),
    }
    return Calibration(**{**fields, **changes})


def test_evidence_by_hand() -> None:
    rows, names = units(1, 7), bank(4)
    found = made().evidence(rows * 3, names)
    for row, evidence in zip(rows, found, strict=True):
        best = max(float(row @ label) for label in names.vectors)
        assert evidence == pytest.approx(float(row @ np.linspace(-1, 1, DIM)) + 6 * best, abs=1e-5)


def test_between_levels_over_the_logarithm() -> None:
    calibration = made()
    # 16 lies half way between 4 and 64 in the logarithm.
    assert calibration.logit_scale(16) == pytest.approx(16.0)
    assert calibration.weighed([0.0], [1.0], 16)[0] == pytest.approx(4.0)
    assert calibration.familiarity([17.5], 16)[0] == pytest.approx(0.5)
    for labels, scale in ((1, 8.0), (4, 8.0), (64, 32.0), (5000, 32.0)):
        assert calibration.logit_scale(labels) == pytest.approx(scale)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(200, 2000), st.floats(0.0, 0.99))
def test_a_bar_costs_the_share_that_was_allowed(seed: int, known: int, reject: float) -> None:
    evidence = np.random.default_rng(seed).gamma(2.0, size=known)
    table = np.quantile(evidence, SHARES)
    calibration = made(
        labels=(10,), logit_scales=(9.0,), cosine_weights=(1.0,), quantiles=table[None]
    )
    lost = (calibration.familiarity(evidence, 10) < reject).mean()
    # numpy's own quantile, of the same numbers, up to a hundredth between two rows of the table.
    assert abs(lost - (evidence < np.quantile(evidence, reject)).mean()) <= 0.011
    assert calibration.familiarity([evidence.min() - 1, evidence.max() + 1], 10).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"direction": np.zeros((2, DIM))}, "one finite row"),
        ({"direction": np.full(DIM, np.nan)}, "one finite row"),
        ({"labels": (4,)}, "for each size"),
        ({"labels": (64, 4)}, "ascend"),
        ({"labels": (0, 4)}, "ascend"),
        ({"logit_scales": (8.0, 0.0)}, "positive"),
        ({"cosine_weights": (np.inf, 0.0)}, "finite"),
        ({"quantiles": np.zeros((2, 100))}, "shape"),
        ({"quantiles": np.linspace(1, 0, 202).reshape(2, 101)}, "descend"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        made(**changes)


def test_embeddings_of_another_model_are_refused() -> None:
    with pytest.raises(InputError, match="different models"):
        made().evidence(np.ones((1, DIM + 1)), bank(4))


INFO = CalibrationInfo(
    (CalibrationLevel(4, 8.0, 6.0), CalibrationLevel(64, 32.0, 2.0)), {"said": "made up"}
)


def files() -> dict[str, bytes]:
    whole = made()
    return {
        **content(),
        INFO.direction: encode_array(whole.direction),
        INFO.quantiles: encode_array(whole.quantiles),
    }


def test_a_bundle_keeps_it(tmp_path: Path) -> None:
    make_bundle(tmp_path / "made", files(), calibration=INFO)
    found = Bundle.open(tmp_path / "made").calibration()
    assert found is not None
    assert (found.labels, found.logit_scales, found.cosine_weights) == (
        (4, 64), (8.0, 32.0), (6.0, 2.0),
    )  # fmt: skip
    np.testing.assert_array_equal(found.quantiles, made().quantiles)
    assert make_bundle(tmp_path / "without").calibration() is None


def test_manifests_from_before_keep_their_digest() -> None:
    plain = Manifest(
        **manifest_fields(), files={name: file_info(data) for name, data in content().items()}
    )
    assert "calibration" not in json.loads(encode_manifest(plain))
    assert decode_manifest(encode_manifest(plain)) == plain


def test_the_digest_covers_it(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "made", files(), calibration=INFO)
    manifest = tmp_path / "made" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    assert decode_manifest(text.encode()) == bundle.manifest
    changed = text.replace('"cosine_weight": 6.0', '"cosine_weight": 7.0')
    assert changed != text
    with pytest.raises(BundleError, match="digest"):
        decode_manifest(changed.encode())


@pytest.mark.parametrize(
    ("levels", "named"),
    [
        ((), "1 to 100 levels"),
        ((CalibrationLevel(64, 8.0, 1.0), CalibrationLevel(4, 8.0, 1.0)), "ascending"),
        ((CalibrationLevel(0, 8.0, 1.0),), "1 to 100 levels"),
        ((CalibrationLevel(4, -1.0, 1.0),), "logit_scale"),
        ((CalibrationLevel(4, 8.0, 1e9),), "cosine_weight"),
    ],
)
def test_levels_that_break_a_rule(
    levels: tuple[CalibrationLevel, ...], named: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=named):
        make_bundle(tmp_path / "made", files(), calibration=replace(INFO, levels=levels))


@pytest.mark.parametrize("name", [INFO.direction, INFO.quantiles])
def test_files_that_do_not_fit(name: str, tmp_path: Path) -> None:
    wrong = {**files(), name: encode_array(np.zeros((2, 3), np.float32))}
    with pytest.raises(BundleError, match="should be"):
        make_bundle(tmp_path / "made", wrong, calibration=INFO)
    missing = {place: data for place, data in files().items() if place != name}
    with pytest.raises(BundleError, match="does not list"):
        make_bundle(tmp_path / "made", missing, calibration=INFO)
    falling = {**files(), INFO.quantiles: encode_array(made().quantiles[:, ::-1].copy())}
    with pytest.raises(BundleError, match="cg3d-train calibrate"):
        make_bundle(tmp_path / "made", falling, calibration=INFO)
