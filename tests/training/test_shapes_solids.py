"""Solids, and which points of them are hidden, against geometry that is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull, Delaunay

from cg3d_training.shapes import primitives
from cg3d_training.shapes.mesh import Mesh, join, mirrored
from cg3d_training.shapes.sampling import inside, sample_outside


def volume(mesh: Mesh) -> float:
    """Signed: positive where all faces look outwards."""
    return float(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume)


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (primitives.box(2, 3, 4), 24.0),
        (primitives.cylinder(1.0, 2.0, 128), 2 * np.pi),
        (primitives.frustum(1.0, 0.0, 3.0, 128), np.pi),
        (primitives.frustum(1.0, 1.0, 3.0, 4), 6.0),
        (primitives.ball(1.0), 4 / 3 * np.pi),
        (primitives.cushion(2, 2, 2, 1.0), 4 / 3 * np.pi),
        (primitives.bar((0, 0, 0), (0, 0, 5), 1.0), 5 * np.pi),
        (primitives.beam((0, 0, 0), (3, 4, 0), 2.0, 1.0), 10.0),
        (primitives.prism([(0, 0), (2, 0), (2, 1), (0, 1)], 3.0), 6.0),
        (primitives.slab(primitives.rounded_rectangle(2, 3, 0.0001), 0.5), 3.0),
        (
            primitives.tube(
                [(np.cos(a), 0, np.sin(a)) for a in np.linspace(0, 2 * np.pi, 60)[:-1]],
                0.1,
                closed=True,
            ),
            2 * np.pi * np.pi * 0.01,
        ),
    ],
)
def test_volumes(mesh: Mesh, expected: float) -> None:
    assert abs(volume(mesh)) == pytest.approx(expected, rel=0.09)
    merged = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    faces = np.sort(merged.faces, axis=1)
    merged.update_faces((np.diff(faces, axis=1) > 0).all(axis=1))  # at poles corners coincide
    assert merged.is_watertight


def test_solids_sit_on_the_floor() -> None:
    for mesh in (
        primitives.box(1, 2, 3),
        primitives.ball(2),
        primitives.cushion(1, 2, 3),
        primitives.cylinder(1, 2),
        primitives.slab([(0, 0), (1, 0), (0, 1)], 2),
    ):
        assert mesh.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-9)


def test_turning_is_right_handed() -> None:
    point = Mesh(np.array([[1.0, 2.0, 3.0]]), np.empty((0, 3), np.int64))
    for axis, vector in (("x", [1, 0, 0]), ("y", [0, 1, 0]), ("z", [0, 0, 1])):
        matrix = trimesh.transformations.rotation_matrix(np.radians(40), vector)[:3, :3]
        turned = point.turned(axis, 40).vertices  # type: ignore[arg-type]
        np.testing.assert_allclose(turned[0], matrix @ [1, 2, 3])


def test_mirroring_keeps_faces_outwards() -> None:
    here, there = mirrored([primitives.box(1, 1, 1).moved(x=3)])
    assert volume(here) == pytest.approx(volume(there))
    assert there.vertices[:, 0].max() < -2


def test_inside_agrees_with_scipy_on_convex_bodies() -> None:
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(40, 3))
    hull = ConvexHull(corners)
    # Faces of a hull are not wound alike; trimesh turns them.
    solid = trimesh.Trimesh(corners, hull.simplices, process=True)
    solid.fix_normals()
    points = rng.normal(size=(3000, 3))
    expected = Delaunay(corners).find_simplex(points) >= 0
    found = inside(Mesh(np.asarray(solid.vertices), np.asarray(solid.faces)), points)
    np.testing.assert_array_equal(found, expected)
    assert 100 < expected.sum() < 2900


def test_inside_knows_the_hollow_of_a_ring() -> None:
    ring = primitives.tube(
        [(np.cos(a), 0, np.sin(a)) for a in np.linspace(0, 2 * np.pi, 40)[:-1]], 0.2, closed=True
    )
    points = np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 0, -1.0], [1.0, 0.25, 0], [5.0, 0, 0]])
    np.testing.assert_array_equal(inside(ring, points), [False, True, True, False, False])


def test_points_hidden_in_another_part_are_not_sampled() -> None:
    leg = primitives.box(0.2, 1.0, 0.2)
    seat = primitives.box(1.0, 0.5, 1.0).moved(y=0.6)
    points = sample_outside([leg, seat], 4000, np.random.default_rng(0)).astype(np.float64)
    assert points.shape == (4000, 3)
    within = (np.abs(points[:, [0, 2]]) < 0.499).all(axis=1)
    within &= (points[:, 1] > 0.601) & (points[:, 1] < 1.099)
    assert not within.any()
    # Even over the area: the leg shows 4 sides of 0.6 x 0.2 and its foot, the seat the rest.
    shown = (4 * 0.6 * 0.2 + 0.04) / (4 * 0.6 * 0.2 + 0.04 + 2 * 1.0 - 0.04 + 4 * 0.5)
    assert (points[:, 1] < 0.5999).mean() == pytest.approx(shown, abs=0.025)


def test_joining_keeps_faces_apart() -> None:
    both = join([primitives.box(1, 1, 1), primitives.box(1, 1, 1).moved(x=4)])
    assert both.faces.max() == len(both.vertices) - 1
    assert abs(volume(both)) == pytest.approx(2.0)
