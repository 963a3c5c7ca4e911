"""Partial views: what a camera cannot see is gone, by rays through the very triangles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cg3d_training.data.partial import PartialViews, partial_view, visible
from cg3d_training.shapes import build
from cg3d_training.shapes.mesh import join
from cg3d_training.shapes.sampling import sample_outside

CLEAN = PartialViews(most=1, noise=0.0, holes=0.0, support=0.0, tilt=0.0)


def seen_by_rays(
    camera: NDArray[np.float64], points: NDArray[np.float64], corners: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether no triangle (f, 3, 3) lies between the camera and a point (Moeller, Trumbore)."""
    a, e1, e2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    free = np.ones(len(points), bool)
    for i, ray in enumerate(points - camera):
        h = np.cross(ray, e2)
        det = (e1 * h).sum(1)
        with np.errstate(all="ignore"):
            u = ((camera - a) * h).sum(1) / det
            q = np.cross(camera - a, e1)
            v, t = (q @ ray) / det, (e2 * q).sum(1) / det
            hit = (abs(det) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-6) & (t < 0.98)
        free[i] = not hit.any()
    return free


@pytest.mark.parametrize("kind", ["airplane", "chair", "toilet", "bookcase", "piano"])
def test_hidden_points_are_those_that_rays_do_not_reach(kind: str) -> None:
    parts = build(kind, 3)
    mesh = join(parts)
    points = sample_outside(parts, 2048, np.random.default_rng(0)).astype(np.float64)
    centre = points.mean(axis=0)
    radius = np.linalg.norm(points - centre, axis=1).max()
    points, corners = (points - centre) / radius, (mesh.vertices[mesh.faces] - centre) / radius
    asked = np.random.default_rng(1).permutation(len(points))[:400]
    for camera in np.array([[1.8, 0.0, 2.4], [-2.0, 1.6, 1.5], [0.4, 2.6, -1.5]]):
        truth = seen_by_rays(camera, points[asked], corners)
        rows = visible(points.astype(np.float32), camera)
        found = np.isin(asked, rows)
        assert 0.05 < truth.mean() < 0.95
        assert truth[found].mean() > 0.75  # most of what is kept is in sight
        assert found[truth].mean() > 0.5  # most of what is in sight is kept


def test_a_wall_before_a_wall_hides_it() -> None:
    rng = np.random.default_rng(0)
    front = np.column_stack([rng.uniform(-0.5, 0.5, (1000, 2)), np.full(1000, 0.5)])
    back = np.column_stack([rng.uniform(-0.3, 0.3, (1000, 2)), np.full(1000, -0.5)])
    cloud = np.concatenate([front, back]).astype(np.float32)
    rows = visible(cloud, np.array([0.0, 0.0, 4.0]))
    assert set(range(1000)) <= set(rows)
    assert len(rows) < 1015  # a few are seen through the gaps between random points
    rows = visible(cloud, np.array([0.0, 0.0, -4.0]))
    assert set(range(1000, 2000)) <= set(rows)
    assert set(rows) - set(range(1000, 2000))  # the larger wall shows at the edges


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 300), st.floats(1e-3, 1.0))
def test_any_cloud_gives_a_cloud_in_the_unit_sphere(seed: int, count: int, flat: float) -> None:
    rng = np.random.default_rng(seed)
    cloud = (rng.normal(size=(count, 3)) * [1, flat, 1]).astype(np.float32) + 0.1
    seen = partial_view(cloud, PartialViews(), np.random.default_rng(seed))
    assert seen.dtype == np.float32
    assert np.isfinite(seen).all()
    assert len(seen) >= 1
    assert np.linalg.norm(seen, axis=1).max() <= 1 + 1e-5
    np.testing.assert_array_equal(
        seen, partial_view(cloud, PartialViews(), np.random.default_rng(seed))
    )


def test_without_errors_only_points_of_the_object_are_left() -> None:
    rng = np.random.default_rng(5)
    ball = rng.normal(size=(2048, 3))
    ball = (ball / np.linalg.norm(ball, axis=1, keepdims=True)).astype(np.float32)
    seen = partial_view(ball, CLEAN, rng)
    # Of a ball a camera sees less than half; two opposite ones see more.
    assert 0.25 * 2048 < len(seen) < 0.55 * 2048
    more = [
        len(partial_view(ball, PartialViews(3, noise=0, holes=0, support=0, tilt=0), rng))
        for _ in range(20)
    ]
    assert max(more) > 2 * min(more)
    noisy = PartialViews(most=1, noise=0.1, holes=0.0, support=0.0, tilt=0.0)
    off = [np.linalg.norm(partial_view(ball, noisy, rng), axis=1).std() for _ in range(5)]
    assert max(off) > 0.02
