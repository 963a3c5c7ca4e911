"""Sampling, axes and scale: exact against the official operator and against first principles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from cg3d_runtime.errors import InputError
from cg3d_runtime.points import (
    PreprocessSpec,
    furthest_point_order,
    furthest_point_sample,
    prepare,
    thin,
    unit_sphere,
    upright,
)

OFFICIAL = ["points_1024", "points_2048", "points_8192", "points_edge_1024", "points_8192_fps1024"]


def sphere_cloud(n: int, seed: int = 0) -> np.ndarray:
    return unit_sphere(np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)).xyz


@pytest.mark.parametrize("name", OFFICIAL)
def test_indices_of_the_official_operator(shared: Path, name: str) -> None:
    with np.load(shared / "parity" / "official.npz") as official:
        for points, expected in zip(official[name], official[f"fps512__{name}"], strict=True):
            np.testing.assert_array_equal(furthest_point_sample(points, 512), expected)


def reference(xyz: np.ndarray, m: int) -> list[int]:
    """The operator's rules written down once more, slowly and in other words."""
    n = len(xyz)
    threads = 1
    while threads * 2 <= min(n, 512):
        threads *= 2
    squares = (xyz[:, 0] * xyz[:, 0] + xyz[:, 1] * xyz[:, 1]) + xyz[:, 2] * xyz[:, 2]
    allowed = [k for k in range(n) if squares[k] > np.float32(1e-3)]
    nearest = [np.float32(1e10)] * n
    chosen = [0]
    while len(chosen) < m:
        last = xyz[chosen[-1]]
        for k in allowed:
            d = xyz[k] - last
            nearest[k] = min(nearest[k], (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2])
        best = min(allowed, key=lambda k: (-nearest[k], k % threads, k), default=0)
        chosen.append(best)
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20), st.integers(0, 2**32 - 1), st.booleans())
def test_rules_on_small_clouds_full_of_ties(n: int, m: int, seed: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    # A coarse grid makes equal distances, repeated points and points at the origin common.
    drawn = rng.integers(-2, 3, (n, 3)) / 2 if coarse else rng.normal(size=(n, 3))
    xyz = drawn.astype(np.float32)
    assert furthest_point_sample(xyz, m).tolist() == reference(xyz, m)


def test_each_choice_is_the_furthest_by_scipy() -> None:
    xyz = sphere_cloud(300)
    chosen = furthest_point_sample(xyz, 40)
    distance = cdist(xyz.astype(np.float64), xyz.astype(np.float64))
    for i in range(1, 40):
        to_chosen = distance[:, chosen[:i]].min(axis=1)
        allowed = np.linalg.norm(xyz, axis=1) ** 2 > 1e-3
        assert to_chosen[chosen[i]] == pytest.approx(to_chosen[allowed].max(), rel=1e-5)


def test_a_sample_of_the_ordered_cloud_is_its_prefix() -> None:
    xyz = sphere_cloud(700)
    ordered = xyz[furthest_point_order(xyz, 256)]
    np.testing.assert_array_equal(furthest_point_sample(ordered, 64), np.arange(64))


@given(st.integers(8, 60), st.integers(0, 999))
def test_too_few_points_all_appear_about_equally_often(n: int, seed: int) -> None:
    order = furthest_point_order(sphere_cloud(n, seed), 100)
    counts = np.bincount(order, minlength=n)
    assert order.shape == (100,)
    assert counts.min() >= 100 // n
    assert counts.max() <= -(-100 // n)


def test_thinning_is_the_same_every_time_and_never_repeats() -> None:
    xyz = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    kept = thin(xyz, 200)
    np.testing.assert_array_equal(kept, thin(xyz.copy(), 200))
    assert len(np.unique(kept[:, 0])) == 200
    assert thin(xyz, 1000) is xyz
    # Spread over the whole cloud, not a piece of it.
    assert 0.3 < (kept[:, 0] < 1500).mean() < 0.7


def test_upright_is_a_rotation_that_takes_z_to_y() -> None:
    axes = np.eye(3, dtype=np.float32)
    turned = upright(axes, "z")
    np.testing.assert_array_equal(turned[2], [0, 1, 0])
    assert np.linalg.det(turned) == pytest.approx(1.0)
    np.testing.assert_array_equal(upright(axes, "y"), axes)
    with pytest.raises(InputError, match="up='x'"):
        upright(axes, "x")  # type: ignore[arg-type]


@given(st.floats(1e-3, 1e3), st.tuples(*[st.floats(-100, 100)] * 3))
def test_size_and_place_do_not_matter(scale: float, place: tuple[float, float, float]) -> None:
    xyz = np.random.default_rng(5).normal(size=(50, 3))
    moved = unit_sphere(xyz * scale + np.array(place))
    np.testing.assert_allclose(moved.xyz, unit_sphere(xyz).xyz, atol=1e-5)
    assert moved.radius == pytest.approx(unit_sphere(xyz).radius * scale, rel=1e-4)


def test_prepare_says_where_the_cloud_was() -> None:
    xyz = np.random.default_rng(2).normal(loc=[1.0, 2.0, 3.0], size=(400, 3))
    prepared = prepare(xyz, PreprocessSpec(32, 1000), up="z")
    np.testing.assert_allclose(prepared.centroid, upright(xyz.mean(axis=0)[None], "z")[0])
    assert prepared.cloud.shape == (32, 3)
    np.testing.assert_array_equal(prepared.cloud, prepare(xyz, PreprocessSpec(32, 1000)).cloud)
