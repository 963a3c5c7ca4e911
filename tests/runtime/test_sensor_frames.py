"""Transforms and axes, held against scipy's rotations and trimesh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cg3d_runtime.errors import InputError
from cg3d_runtime.sensors import OPTICAL_TO_BODY, as_transform, pose, to_body, transform_points

finite = st.floats(-100, 100)
quaternions = st.tuples(*[st.floats(-1, 1)] * 4)


@settings(max_examples=150, deadline=None)
@given(st.tuples(finite, finite, finite), quaternions)
def test_a_pose_is_scipys(translation: tuple[float, ...], quaternion: tuple[float, ...]) -> None:
    assume(np.linalg.norm(quaternion) > 1e-3)
    matrix = pose(translation, quaternion)
    np.testing.assert_allclose(
        matrix[:3, :3], Rotation.from_quat(quaternion).as_matrix(), atol=1e-9
    )
    points = np.random.default_rng(0).normal(size=(5, 3))
    points[2] = np.nan
    np.testing.assert_allclose(
        transform_points(points, matrix), trimesh.transform_points(points, matrix), atol=1e-9
    )
    np.testing.assert_array_equal(as_transform(matrix[:3]), matrix)
    single = transform_points(points.astype(np.float32), matrix)
    assert single.dtype == np.float32


def test_axes_of_a_camera() -> None:
    # A point 2 m before the camera, 1 m to the right, 0.5 m down.
    point = np.array([[1.0, 0.5, 2.0]], np.float32)
    body = to_body(point, "optical")
    np.testing.assert_array_equal(body, [[2.0, -1.0, -0.5]])
    np.testing.assert_array_equal(body, transform_points(point, OPTICAL_TO_BODY))
    assert to_body(point, "body") is point
    with pytest.raises(InputError, match="'body' "):
        to_body(point, "camera")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.eye(3), r"shape \(4, 4\), not \(3, 3\)"),
        ("four", "array of numbers"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.diag([2.0, 2, 2, 1]), "scales, shears or mirrors"),
        (np.diag([1.0, 1, -1, 1]), "scales, shears or mirrors"),
        (np.diag([1e200, 1, 1, 1]), "scales"),
        (pose([1, 2, 3], [0, 0, 0, 1]).T, "transposed"),
    ],
)
def test_matrices_that_are_no_transform(matrix: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        as_transform(matrix)


@pytest.mark.parametrize(
    ("translation", "quaternion"),
    [([0, 0], [0, 0, 0, 1]), ([0, 0, 0], [0, 0, 0, 0]), ([0, 0, np.nan], [0, 0, 0, 1])],
)
def test_poses_without_a_direction(translation: list[float], quaternion: list[float]) -> None:
    with pytest.raises(InputError, match="pose"):
        pose(translation, quaternion)


def test_points_of_another_shape() -> None:
    with pytest.raises(InputError, match=r"\(n, 3\), not \(2, 4\)"):
        transform_points(np.ones((2, 4)), np.eye(4))
