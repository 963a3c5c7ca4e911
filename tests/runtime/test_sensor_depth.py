"""Depth images to points, held against projecting the points back and against trimesh's camera."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.sensors import OPTICAL_TO_BODY, Intrinsics, depth_to_points

CAMERA = Intrinsics(fx=50.0, fy=52.0, cx=3.5, cy=2.25, width=8, height=6)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.uint16, (6, 8)),
    st.tuples(st.floats(1, 2000), st.floats(1, 2000), st.floats(-9, 20), st.floats(-9, 20)),
)
def test_points_project_back_onto_their_pixels(
    depth: NDArray[np.uint16], k: tuple[float, float, float, float]
) -> None:
    camera = Intrinsics(*k, width=8, height=6)
    matrix = np.array([[k[0], 0, k[2]], [0, k[1], k[3]], [0, 0, 1]])

    cloud = depth_to_points(depth, camera, unit="mm")

    measured = (depth > 0) & (depth < 65535)
    assert cloud.invalid == depth.size - measured.sum()
    assert cloud.points.dtype == np.float32
    u, v, w = matrix @ cloud.points.astype(np.float64).T
    tolerance = 1e-3 * (1 + np.abs(k[2]) + np.abs(k[3]))
    np.testing.assert_allclose(u / w, cloud.pixels % 8, atol=tolerance)
    np.testing.assert_allclose(v / w, cloud.pixels // 8, atol=tolerance)
    np.testing.assert_allclose(w * 1000, depth.reshape(-1)[cloud.pixels], rtol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(measured), cloud.pixels)


def test_against_the_rays_of_trimesh() -> None:
    camera = trimesh.scene.Camera(resolution=(8, 6), focal=(50, 52))
    rays, _ = camera.to_rays()  # along -z with y up, through the middles of the pixels
    slopes = np.unique(np.round(rays[:, :2] / -rays[:, 2:], 5), axis=0)
    depth = np.random.default_rng(0).uniform(0.5, 4, (6, 8)).astype(np.float32)

    points = depth_to_points(depth, Intrinsics(50, 52, 3.5, 2.5, 8, 6), unit="m").points

    ours = points[:, :2].astype(np.float64) / points[:, 2:] * [1, -1]
    np.testing.assert_allclose(np.unique(np.round(ours, 5), axis=0), slopes, atol=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_pixels_without_a_depth(bad: float) -> None:
    depth = np.ones((6, 8), np.float32)
    depth[2, 3] = bad
    cloud = depth_to_points(depth, CAMERA, unit="m")
    assert (len(cloud.points), cloud.invalid) == (47, 1)
    assert 2 * 8 + 3 not in cloud.pixels


def test_range_colour_and_frame() -> None:
    depth = np.linspace(0.1, 4.8, 48, dtype=np.float32).reshape(6, 8)
    rgb = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    cloud = depth_to_points(
        depth, CAMERA, unit="m", near=1.0, far=2.0, rgb=rgb, transform=OPTICAL_TO_BODY
    )
    assert cloud.rgb is not None
    np.testing.assert_array_equal(cloud.rgb, rgb.reshape(-1, 3)[cloud.pixels])
    assert 1.0 <= cloud.points[:, 0].min() <= cloud.points[:, 0].max() <= 2.0  # x is forward
    left = cloud.pixels % 8 < CAMERA.cx
    above = cloud.pixels // 8 < CAMERA.cy
    assert (cloud.points[left, 1] > 0).all()  # y is left
    assert (cloud.points[above, 2] > 0).all()  # z is up


def test_millimetres_and_metres_agree() -> None:
    depth = np.arange(1, 49, dtype=np.uint16).reshape(6, 8) * 100
    one = depth_to_points(depth, CAMERA, unit="mm").points
    other = depth_to_points((depth / 1000).astype(np.float32), CAMERA, unit="m").points
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("depth", "change", "reason"),
    [
        (np.ones((6, 8), np.uint16), {"unit": "m"}, "unit='mm'"),
        (np.ones((6, 8), np.uint16), {"unit": "cm"}, "'mm' or 'm'"),
        (np.full((6, 8), 1.25), {"unit": "mm"}, r"nothing beyond 1\.25 mm\?.*unit='m'"),
        (np.ones((6, 8)), {"unit": "m", "far": -1.0}, r"near=0\.0 and far=-1\.0"),
        (np.ones((6, 8)), {"unit": "m", "near": 2, "far": 1}, "near=2 and far=1"),
        (np.ones((6, 8)), {"unit": "m", "far": np.nan}, "far=nan"),
        (np.ones((8, 6)), {"unit": "m"}, r"is \(8, 6\) \(height, width\), the intrinsics"),
        (np.ones((6, 8, 1)), {"unit": "m"}, r"not \(6, 8, 1\)"),
        (np.ones((6, 8), complex), {"unit": "m"}, "complex"),
        (np.ones((6, 8)), {"unit": "m", "rgb": np.ones((6, 8, 4), np.uint8)}, "picture is"),
        (np.ones((6, 8)), {"unit": "m", "rgb": np.ones((6, 8, 3))}, "picture is"),
        (np.ones((6, 8)), {"unit": "m", "transform": np.zeros((4, 4))}, "transform"),
    ],
)
def test_what_is_refused(depth: NDArray[Any], change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        depth_to_points(depth, CAMERA, **change)


def test_camera_info_of_ros_1_and_2() -> None:
    k = [50.0, 0, 3.5, 0, 52.0, 2.25, 0, 0, 1]
    assert Intrinsics.from_message(SimpleNamespace(k=np.array(k), width=8, height=6)) == CAMERA
    assert Intrinsics.from_message(SimpleNamespace(K=k, width=8, height=6)) == CAMERA
    with pytest.raises(InputError, match="CameraInfo"):
        Intrinsics.from_message(SimpleNamespace(width=8, height=6))
    with pytest.raises(InputError, match="not calibrated"):
        Intrinsics.from_message(SimpleNamespace(k=[0.0] * 8 + [1.0], width=8, height=6))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fx": np.nan}, "finite"),
        ({"fy": -1.0}, "positive"),
        ({"width": 0}, "0 x 6 pixels"),
        ({"width": 10**9, "height": 10**9}, "no image has"),
    ],
)
def test_intrinsics_that_no_camera_has(change: dict[str, Any], reason: str) -> None:
    sound = {"fx": 50.0, "fy": 52.0, "cx": 3.5, "cy": 2.25, "width": 8, "height": 6}
    with pytest.raises(InputError, match=reason):
        Intrinsics(**{**sound, **change})


def test_a_skewed_matrix_is_refused() -> None:
    with pytest.raises(InputError, match="skew"):
        Intrinsics.from_matrix([[50, 3, 4], [0, 52, 3], [0, 0, 1]], 8, 6)
    with pytest.raises(InputError, match="3 x 3"):
        Intrinsics.from_matrix([1, 2, 3], 8, 6)
