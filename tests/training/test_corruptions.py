"""ModelNet-C's corruptions are what was published, and poses are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from cg3d_runtime.errors import InputError
from cg3d_training.evaluation.corruptions import CORRUPTIONS, POINTS, SEVERITIES, clean, corrupt
from cg3d_training.evaluation.poses import TILT, any_rotation, tilt, yaw

Cloud = NDArray[np.float32]


def cloud(seed: int = 0, count: int = 2048) -> Cloud:
    """A dented shell, so that no two directions look alike."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= 0.6 + 0.4 * rng.random((count, 1)) ** 3
    return clean((points * [1, 0.7, 0.4]).astype(np.float32), rng)


def rows(points: Cloud) -> set[bytes]:
    return {row.tobytes() for row in points}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(CORRUPTIONS)), st.sampled_from(SEVERITIES), st.integers(0, 2**32 - 1))
def test_every_corruption_repeats_itself_and_leaves_its_input_alone(
    kind: str, severity: int, seed: int
) -> None:
    whole = cloud()
    before = whole.copy()
    found = corrupt(whole, kind, severity, np.random.default_rng(seed))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(whole, before)
    again = corrupt(whole, kind, severity, np.random.default_rng(seed))
    np.testing.assert_array_equal(found, again)
    count = {
        "drop global": int(POINTS * (1 - [0.25, 0.375, 0.5, 0.625, 0.75][severity - 1])),
        "drop local": POINTS - 100 * severity,
        "add global": POINTS + 10 * severity,
        "add local": POINTS + 100 * severity,
    }.get(kind, POINTS)
    assert len(found) == count
    if kind.startswith("drop"):
        assert rows(found) < rows(whole)
    if kind.startswith("add"):
        np.testing.assert_array_equal(found[:POINTS], whole)
        assert np.linalg.norm(found[POINTS:], axis=1).max() <= 1 + 1e-6


@pytest.mark.parametrize("severity", SEVERITIES)
def test_scale_stretches_every_axis_within_the_published_bounds(severity: int) -> None:
    bound = [1.6, 1.7, 1.8, 1.9, 2.0][severity - 1]
    factors = []
    for seed in range(200):
        found = corrupt(cloud(), "scale", severity, np.random.default_rng(seed))
        assert np.linalg.norm(found, axis=1).max() == pytest.approx(1, abs=1e-5)
        slopes = [np.polyfit(cloud()[:, k], found[:, k], 1) for k in range(3)]
        rest = [found[:, k] - np.polyval(slopes[k], cloud()[:, k]) for k in range(3)]
        assert np.abs(rest).max() < 1e-5
        factors.append([slope for slope, _ in slopes])
    # Only ratios are left after normalising: between 1 / s^2 and s^2.
    ratios = np.array(factors)[:, 0] / np.array(factors)[:, 1]
    assert ratios.max() < bound**2
    assert ratios.min() > bound**-2
    assert ratios.max() > 0.7 * bound**2


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jitter_is_normal(severity: int) -> None:
    noise = corrupt(cloud(), "jitter", severity, np.random.default_rng(1)) - cloud()
    assert kstest(noise.ravel() / (0.01 * severity), "norm").pvalue > 1e-3


@pytest.mark.parametrize("severity", SEVERITIES)
def test_rotation_is_that_of_scipy(severity: int) -> None:
    most = np.pi / 6 / 5 * severity
    found = corrupt(cloud(), "rotate", severity, np.random.default_rng(9))
    angles = np.random.default_rng(9).uniform(-most, most, 3)
    np.testing.assert_allclose(found, Rotation.from_euler("xyz", angles).apply(cloud()), atol=1e-6)


def test_what_drops_locally_was_nearest_to_a_point() -> None:
    whole = cloud()
    # Seeds that drop one cluster: the first number drawn is the number of clusters.
    ones = [s for s in range(30) if np.random.default_rng(s).integers(1, 8) == 1]
    assert ones
    for seed in ones:
        found = corrupt(whole, "drop local", 3, np.random.default_rng(seed))
        left = rows(found)
        gone = np.array([p for p in whole if p.tobytes() not in left])
        assert len(gone) == 300
        kept = cKDTree(found)
        reach = [np.linalg.norm(gone - p, axis=1).max() - kept.query(p)[0] for p in gone]
        assert min(reach) <= 1e-6  # about one of them, all are nearer than any that is left


def test_added_points_fill_the_ball_evenly_or_cluster() -> None:
    whole = cloud()
    spread = np.concatenate([
        corrupt(whole, "add global", 5, np.random.default_rng(s))[POINTS:] for s in range(20)
    ])  # fmt: skip
    assert kstest(np.linalg.norm(spread, axis=1) ** 3, "uniform").pvalue > 1e-3
    assert np.abs(spread.mean(axis=0)).max() < 0.07
    near = corrupt(whole, "add local", 5, np.random.default_rng(0))[POINTS:]
    # About points of the cloud, with a standard deviation of 0.075 to 0.125 in each direction.
    assert cKDTree(near).query(near)[0].max() < 0.5
    assert np.median(cKDTree(near).query(near, k=10)[0][:, -1]) < 0.15
    assert np.median(cKDTree(spread[:50]).query(spread[:50], k=10)[0][:, -1]) > 0.2


def test_what_is_not_defined_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="drop local"):
        corrupt(cloud(), "fog", 1, rng)
    with pytest.raises(InputError, match="severity 0"):
        corrupt(cloud(), "jitter", 0, rng)
    with pytest.raises(InputError, match="too small"):
        corrupt(cloud()[:60], "drop local", 5, rng)


def rotation_of(found: Cloud) -> Rotation:
    turned, off = Rotation.align_vectors(found, cloud())
    assert off < 1e-4
    return turned


def test_poses_turn_as_they_say() -> None:
    up = np.array([0.0, 1.0, 0.0])
    angles, sides, anywhere = [], [], []
    for seed in range(150):
        turned = rotation_of(yaw(cloud(), np.random.default_rng(seed)))
        np.testing.assert_allclose(turned.apply(up), up, atol=1e-5)
        angles.append(np.arctan2(*turned.apply([1.0, 0, 0])[[2, 0]]))
        tipped = rotation_of(tilt(cloud(), np.random.default_rng(seed))).apply(up)
        assert np.rad2deg(np.arccos(tipped[1])) == pytest.approx(TILT, abs=1e-2)
        sides.append(np.arctan2(tipped[2], tipped[0]))
        anywhere.append(rotation_of(any_rotation(cloud(), np.random.default_rng(seed))).apply(up))
    for drawn in (angles, sides):
        assert kstest((np.array(drawn) + np.pi) / (2 * np.pi), "uniform").pvalue > 1e-3
    # Uniform on the sphere: every coordinate of a direction is uniform (Archimedes).
    for k in range(3):
        assert kstest((np.array(anywhere)[:, k] + 1) / 2, "uniform").pvalue > 1e-3
