"""Voxels, components, planes, boxes and k-means, against scipy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, cKDTree

from cg3d_runtime.errors import InputError
from cg3d_runtime.scene.boxes import axis_aligned_box, convex_hull, fitted_box, oriented_box
from cg3d_runtime.scene.kmeans import kmeans
from cg3d_runtime.scene.planes import planes
from cg3d_runtime.scene.voxels import components, connected, spacing, touching, voxels

CLOUDS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 60), st.just(3)),
    elements=st.floats(-4, 4, width=32),
)


@settings(max_examples=40, deadline=None)
@given(CLOUDS, st.floats(0.05, 3))
def test_cubes_hold_their_points_and_touch_as_brute_force_says(cloud: np.ndarray, size: float):
    grid = voxels(cloud, size)
    assert grid.counts.sum() == len(cloud)
    for i in range(len(grid)):
        own = cloud[grid.of_point == i]
        assert len(own) == grid.counts[i]
        np.testing.assert_allclose(grid.centres[i], own.mean(axis=0), atol=1e-4)
        assert (np.ptp(own, axis=0) <= size * 1.001).all()
    apart = np.abs(grid.cells[:, None] - grid.cells[None]).max(axis=2)
    wanted = {(i, j) for i, j in np.argwhere(apart == 1).tolist() if i < j}
    pairs = touching(grid.cells)
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == wanted
    assert len(pairs) == len(wanted)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.data())
def test_components_are_those_of_scipy(count: int, data: st.DataObject) -> None:
    edge = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    pairs = np.array(data.draw(st.lists(edge, max_size=60)), np.int64).reshape(-1, 2)
    ours = components(count, pairs)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    theirs = connected_components(graph, directed=False)[1]
    assert len(set(zip(ours.tolist(), theirs.tolist(), strict=True))) == theirs.max() + 1
    assert ours.max() == theirs.max()


def test_what_is_apart_falls_apart() -> None:
    rng = np.random.default_rng(0)
    balls = np.concatenate([rng.random((300, 3)) + np.array([3 * i, 0, 0]) for i in range(4)])
    grid = voxels(balls, 0.4)
    labels = connected(grid)[grid.of_point].reshape(4, 300)
    assert [len(set(row)) for row in labels.tolist()] == [1, 1, 1, 1]
    assert len(np.unique(labels)) == 4


def test_spacing_is_near_the_distance_of_neighbours() -> None:
    rng = np.random.default_rng(0)
    for side, n in ((1.0, 20000), (12.0, 60000)):
        plane = np.column_stack([side * rng.random((n, 2)), np.zeros(n)])
        # Half of the mean square that belongs to a point, by nearest neighbours.
        nearest = np.median(cKDTree(plane).query(plane, 2)[0][:, 1])
        assert 1.0 < spacing(plane) / nearest < 4.0


def test_stray_points_are_told() -> None:
    cloud = np.random.default_rng(0).random((500, 3)).astype(np.float64)
    cloud[0] = 1e9
    with pytest.raises(InputError, match="stray points"):
        voxels(cloud, 0.01)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 40), st.just(2))))
def test_the_oriented_box_holds_every_point_in_the_least_area(plan: np.ndarray) -> None:
    cloud = np.column_stack([plan, np.arange(len(plan))]).astype(np.float64) / 16
    box = oriented_box(cloud)
    assert -np.pi / 2 <= box.yaw < np.pi / 2
    assert box.size[0] >= box.size[1] >= 0
    way = np.array([[np.cos(box.yaw), np.sin(box.yaw)], [-np.sin(box.yaw), np.cos(box.yaw)]])
    inside = np.abs((cloud[:, :2] - box.centre[:2]) @ way.T)
    assert (inside <= box.size[:2] / 2 + 1e-6).all()
    angles = np.linspace(0, np.pi / 2, 181)
    turned = np.stack([np.cos(angles), np.sin(angles)], 1) @ cloud[:, :2].T
    across = np.stack([-np.sin(angles), np.cos(angles)], 1) @ cloud[:, :2].T
    least = (np.ptp(turned, axis=1) * np.ptp(across, axis=1)).min()
    assert box.size[0] * box.size[1] <= least + 1e-6
    np.testing.assert_allclose(np.abs(box.corners() - box.centre).max(0)[2], box.size[2] / 2)
    straight = axis_aligned_box(cloud)
    np.testing.assert_allclose(straight.corners().max(axis=0), cloud.max(axis=0))
    np.testing.assert_allclose(straight.corners().min(axis=0), cloud.min(axis=0))


def test_the_hull_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    for n in (5, 200, 5000):
        cloud = rng.normal(size=(n, 2))
        ours = convex_hull(cloud)
        theirs = cloud[ConvexHull(cloud).vertices]
        assert {tuple(p) for p in ours} == {tuple(p) for p in theirs}


def test_a_turned_box_is_measured() -> None:
    rng = np.random.default_rng(1)
    local = rng.random((4000, 3)) * [2.0, 0.5, 1.0]
    yaw = 0.4
    turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    cloud = np.column_stack([local[:, :2] @ turn + [100.0, -50.0], local[:, 2]])
    box = oriented_box(cloud)
    np.testing.assert_allclose(box.size, [2.0, 0.5, 1.0], atol=0.03)
    assert box.yaw == pytest.approx(yaw, abs=0.02)


def test_kmeans_finds_blobs_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [5, 5, 2]])
    blobs = np.concatenate([m + 0.3 * rng.normal(size=(200, 3)) for m in middles])
    weights = rng.integers(1, 9, len(blobs))
    labels = kmeans(blobs, weights, 4)
    assert [len(set(row)) for row in labels.reshape(4, 200).tolist()] == [1, 1, 1, 1]
    assert len(set(labels.tolist())) == 4
    np.testing.assert_array_equal(labels, kmeans(blobs, weights, 4))
    assert set(kmeans(blobs[:3], weights[:3], 9).tolist()) <= {0, 1, 2}


def test_planes_of_a_box_room_are_found() -> None:
    rng = np.random.default_rng(0)
    noise = 0.004

    def sheet(axis: int, at: float, size: tuple[float, float, float], n: int) -> np.ndarray:
        points = rng.random((n, 3)) * size
        points[:, axis] = at + noise * rng.normal(size=n)
        return points

    size = (5.0, 4.0, 2.6)
    room = np.concatenate(
        [
            sheet(2, 0.0, size, 20000),
            sheet(2, 2.6, size, 20000),
            sheet(0, 0.0, size, 10000),
            sheet(1, 0.0, size, 13000),
        ]
    ).astype(np.float32)
    grid = voxels(room, 4 * spacing(room))
    found = planes(grid, room)
    flats = sorted(p.offset for p in found if p.kind == "flat" and p.area > 10)
    walls = [p for p in found if p.kind == "wall" and p.area > 6]
    np.testing.assert_allclose(flats, [0.0, 2.6], atol=0.02)
    assert {int(np.abs(p.normal).argmax()) for p in walls} == {0, 1}
    for wall in walls:
        assert abs(wall.offset) < 0.05
        whole = (4.0 if wall.normal[0] ** 2 > 0.5 else 5.0) * 2.6
        # Cubes along the edges hold points of floor and ceiling too, and are not the wall's.
        assert 0.5 < wall.area / whole < 1.05


@settings(max_examples=60, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(0.4, 2.5), st.floats(0.3, 0.95), st.integers(0, 2**32 - 1))
def test_a_box_is_fitted_to_two_faces_of_a_thing(
    yaw: float, length: float, ratio: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    width = length * ratio
    # Two faces at a corner, as a sensor sees them, and nothing of the others.
    one = np.stack([rng.uniform(0, length, 400), np.zeros(400), rng.uniform(0, 1, 400)], axis=1)
    other = np.stack([np.zeros(400), rng.uniform(0, width, 400), rng.uniform(0, 1, 400)], axis=1)
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    place = np.array([120.0, -7.0, 0.4])
    cloud = np.concatenate([one, other]) + rng.normal(0, 0.004, (800, 3))
    box = fitted_box(cloud @ turn.T + place, 0.03)
    middle = turn @ [length / 2, width / 2, 0.5] + place
    np.testing.assert_allclose(box.centre, middle, atol=0.04)
    np.testing.assert_allclose(box.size, [length, width, 1], atol=0.07)
    lower = box.down_to(-1.0)
    assert lower.top == pytest.approx(box.top)
    assert lower.centre[2] - lower.size[2] / 2 == pytest.approx(-1)
    assert box.down_to(9.0).size[2] == pytest.approx(box.size[2])
    assert box.inside(middle[None, :2]).all()
    beyond = turn @ [length * 0.5, width * 1.2 + 0.1, 0.5] + place
    assert not box.inside(beyond[None, :2]).any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_box_is_fitted_to_few_points(count: int) -> None:
    cloud = np.array([[0.0, 0, 0], [1, 1, 1], [0, 1, 0]])[:count]
    box = fitted_box(cloud, 0.03)
    assert np.isfinite(box.corners()).all()
    assert box.size[2] == np.ptp(cloud[:, 2])
