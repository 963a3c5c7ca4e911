"""What counts as a cloud, and the errors for what does not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cg3d_runtime.errors import Cg3dError, InputError
from cg3d_runtime.points import PreprocessSpec, as_points, prepare


def cloud(n: int = 100, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3))


@pytest.mark.parametrize("dtype", "f2 f4 f8 >f4 >f8 i1 i2 i4 i8 u1 u2".split())
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_number_type_and_memory_order(dtype: str, order: str) -> None:
    points = np.asarray(np.abs(cloud()) * 30, dtype=dtype, order=order)
    checked = as_points(points)
    assert checked.xyz.flags.c_contiguous
    assert checked.xyz.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(checked.xyz, points.astype(np.float64))


def test_further_columns_and_strided_views_are_fine() -> None:
    wide = np.random.default_rng(1).normal(size=(60, 7)).astype(np.float32)
    np.testing.assert_array_equal(as_points(wide).xyz, wide[:, :3])
    np.testing.assert_array_equal(as_points(wide[::2, 1:]).xyz, wide[::2, 1:4])
    np.testing.assert_array_equal(as_points(wide.tolist()).xyz, wide[:, :3])


def test_rows_with_nan_or_infinity_are_dropped_and_counted() -> None:
    points = cloud()
    points[3, 0], points[10, 2], points[50, 1] = np.nan, np.inf, -np.inf
    checked = as_points(points)
    assert checked.dropped == 3
    np.testing.assert_array_equal(checked.xyz, np.delete(points, [3, 10, 50], axis=0))


def test_nan_in_a_further_column_does_not_drop_the_row() -> None:
    points = np.column_stack([cloud(), np.full(100, np.nan)])
    assert as_points(points).dropped == 0


def test_a_cloud_in_map_coordinates_keeps_its_shape() -> None:
    shape = cloud(600) * 0.05
    far = shape + np.array([500_000.0, 5_400_000.0, 300.0])
    spec = PreprocessSpec(64, 600)
    np.testing.assert_allclose(prepare(far, spec).cloud, prepare(shape, spec).cloud, atol=1e-6)


class OnGpu:
    """An array as torch has them on a GPU."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("copy it to the host first.")


BAD = {
    "empty": (np.empty((0, 3)), "empty"),
    "only NaN": (np.full((50, 3), np.nan), r"0 finite points left \(50 of 50"),
    "one point": (np.ones((1, 3)), "1 finite point left"),
    "all equal": (np.ones((50, 3)), "all 50 points are equal"),
    "1e9 m": (cloud() + 1e9, "coordinate is 1e"),
    "too wide": (cloud() * 2e6, "from side to side"),
    "flat array": (np.ones(30), r"not \(30,\)"),
    "two columns": (np.ones((30, 2)), r"not \(30, 2\)"),
    "transposed": (cloud().T, r"points\.T"),
    "organised": (np.ones((4, 5, 3)), "organised cloud or a batch"),
    "text": (np.array([["a", "b", "c"]] * 9), "dtype <U1"),
    "objects": (np.array([[None] * 3] * 9), "dtype object"),
    "bool": (np.ones((9, 3), bool), "dtype bool"),
    "complex": (np.ones((9, 3), complex), "dtype complex"),
    "ragged": ([[1, 2, 3], [4, 5]], "not an array"),
    "structured": (np.zeros(9, [("x", "f4"), ("y", "f4"), ("z", "f4")]), "structured"),
    "nothing": (None, "points are one NoneType, not an array"),
    "a path": (Path("scan.pcd"), r"'scan\.pcd', not an array: read it first"),
    "a path as text": ("scan.pcd", r"'scan\.pcd', not an array: read it first"),
    "a mask": (np.ma.masked_greater(cloud(), 1), r"points\.filled\(np\.nan\)"),
    "a cloud of another library": (SimpleNamespace(points=cloud()), r"np\.asarray\(x\.points\)"),
    "on a GPU": (OnGpu(), "not an array: copy it to the host first. Pass an"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(name: str) -> None:
    points, message = BAD[name]
    with pytest.raises(InputError, match=message):
        as_points(points)


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int32, np.uint8]),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=40),
    )
)
def test_any_array_is_prepared_or_refused(points: np.ndarray) -> None:
    try:
        prepared = prepare(points, PreprocessSpec(16, 32))
    except Cg3dError:
        return
    assert prepared.cloud.shape == (16, 3)
    assert prepared.cloud.dtype == np.float32
    assert np.isfinite(prepared.cloud).all()
    assert np.linalg.norm(prepared.cloud, axis=1).max() <= 1 + 1e-5
