"""Pictures: outlines, depth, order, colours and orientation, against rays and formulas."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from cg3d_runtime.errors import InputError
from cg3d_training.render import (
    Camera,
    ColouredMesh,
    Lighting,
    ViewSettings,
    fitting_camera,
    random_camera,
    random_lighting,
    render,
    render_views,
)
from cg3d_training.render.normals import corner_normals
from cg3d_training.render.rasterise import rasterise

FLAT = Lighting(1.0, np.array([[0.0, 1.0, 0.0]]), np.zeros(1))  # shows colours as they are
SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
TWO = np.array([[0, 1, 2], [0, 2, 3]])


def straight(distance: float = 5.0, opening: float = 40.0) -> Camera:
    """Looks from +z at the origin, x to the right."""
    return Camera(np.array([0, 0, distance]), np.diag([1.0, 1.0, -1.0]), opening)


def test_sphere_silhouette_and_depth_are_those_of_the_formula() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=4)
    size, distance = 200, 4.0
    camera = straight(distance)
    hits = rasterise(camera.project(sphere.vertices, size), np.asarray(sphere.faces), size)
    middle = (np.arange(size) + 0.5 - size / 2) / (size / 2) * np.tan(np.radians(20))
    x, y = np.meshgrid(middle, -middle)
    # The line eye + t (x, y, -1) meets the unit sphere where this quadratic has its first root.
    a, b, c = x**2 + y**2 + 1, -2 * distance, distance**2 - 1
    root = b**2 - 4 * a * c
    seen = np.zeros(size * size, bool)
    seen[hits.pixel] = True
    assert (seen.reshape(size, size) != (root > 0)).mean() < 0.003  # flat faces cut the rim
    exact = ((-b - np.sqrt(root.clip(0))) / (2 * a)).reshape(-1)[hits.pixel]
    inner = root.reshape(-1)[hits.pixel] > 2
    assert inner.sum() > 4000
    np.testing.assert_allclose(hits.depth[inner], exact[inner], atol=0.003)


def test_same_faces_and_depths_as_ray_casting() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(-1, 1, (40, 1, 3)) + rng.uniform(-0.5, 0.5, (40, 3, 3))
    vertices, faces = corners.reshape(-1, 3), np.arange(120).reshape(-1, 3)
    size, camera = 48, fitting_camera(vertices, azimuth=200.0, elevation=30.0)
    hits = rasterise(camera.project(vertices, size), faces, size)
    # Every ray against every triangle (Moeller and Trumbore, 1997), without our projection.
    half = np.tan(np.radians(camera.field_of_view / 2))
    pixels = np.arange(size * size)
    across = ((pixels % size + 0.5) / size * 2 - 1) * half
    up = (1 - (pixels // size + 0.5) / size * 2) * half
    rays = np.stack([across, up, np.ones(len(pixels))], 1) @ camera.axes
    a, one, two = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = np.cross(rays[:, None], two[None])
    determinant = (p * one).sum(-1)
    offset = camera.eye - a
    u = (p * offset).sum(-1) / determinant
    q = np.cross(offset, one)
    v = (rays @ q.T) / determinant
    t = (q * two).sum(-1)[None] / determinant
    t[(u < 0) | (v < 0) | (u + v > 1)] = np.inf
    expected = t.min(axis=1)
    assert hits.pixel.tolist() == np.flatnonzero(np.isfinite(expected)).tolist()
    np.testing.assert_allclose(hits.depth, expected[hits.pixel], rtol=1e-9)
    assert hits.face.tolist() == t.argmin(axis=1)[hits.pixel].tolist()
    place = np.einsum("nk,nkd->nd", hits.weights, corners[hits.face])
    np.testing.assert_allclose(place, camera.eye + rays[hits.pixel] * hits.depth[:, None])


def test_no_gap_between_neighbours() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 2), -1).reshape(-1, 2)
    grid += rng.normal(0, 0.02, grid.shape)
    vertices = np.concatenate([grid, np.zeros((144, 1))], axis=1)
    cell = np.arange(144).reshape(12, 12)[:-1, :-1].reshape(-1, 1)
    faces = np.concatenate([cell + np.array(row) for row in ([0, 1, 13], [0, 13, 12])])
    hits = rasterise(straight(3.0).project(vertices, 300), faces, 300)
    seen = np.zeros((300, 300), bool)
    seen.reshape(-1)[hits.pixel] = True
    assert seen[60:240, 60:240].all()


def test_the_nearer_is_seen_whatever_the_order() -> None:
    vertices = np.concatenate([SQUARE, SQUARE * 0.5 + [0, 0, 1]])
    for faces in (np.concatenate([TWO, TWO + 4]), np.concatenate([TWO + 4, TWO])):
        red = (faces[:, :1] >= 4)[..., None]
        colours = np.where(red, [1.0, 0, 0], [0, 0, 1.0]).repeat(3, axis=1)
        picture = render(ColouredMesh.plain(vertices, faces, colours), straight(), FLAT, 64, 1)
        assert picture[32, 32].tolist() == [255, 0, 0]
        assert picture[32, 16].tolist() == [0, 0, 255]
        assert picture[1, 1].tolist() == [255, 255, 255]


def textured(picture: np.ndarray) -> ColouredMesh:
    plain = ColouredMesh.plain(SQUARE, TWO, (1.0, 1.0, 1.0))
    uv = ((SQUARE[:, :2] + 1) / 2).astype(np.float32)
    zero = np.zeros(2, np.int32)
    return ColouredMesh(plain.vertices, TWO, plain.colours, uv[TWO], zero, (picture,))


def test_a_texture_stands_upright_and_is_not_mirrored() -> None:
    quarters = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
    texture = quarters.repeat(32, 0).repeat(32, 1)
    opening = 2 * np.degrees(np.arctan(1 / 5))  # the square fills the picture
    picture = render(textured(texture), straight(5.0, opening), FLAT, 64, 1)
    assert picture[8, 8].tolist() == [255, 0, 0]
    assert picture[8, 56].tolist() == [0, 255, 0]
    assert picture[56, 8].tolist() == [0, 0, 255]
    np.testing.assert_array_equal(picture, texture)  # texel for pixel


def test_textures_are_in_perspective() -> None:
    """A floor seen from above: a stripe in its middle is not in the middle of the picture."""
    texture = np.zeros((256, 256, 3), np.uint8)
    texture[:128] = 255
    mesh = textured(texture)
    lying = ColouredMesh(
        mesh.vertices[:, [0, 2, 1]] * [1, 1, -1], TWO, mesh.colours, mesh.uv, mesh.texture,
        mesh.textures,
    )  # fmt: skip
    camera = fitting_camera(lying.vertices, azimuth=0.0, elevation=20.0)
    size = 300
    picture = render(lying, camera, FLAT, size, 1, background=(255, 0, 0))
    column = picture[:, size // 2]
    white = np.flatnonzero((column == 255).all(axis=1))
    edge = camera.project(np.zeros((1, 3)), size)[0, 1]
    assert abs(white.max() - edge) < 2
    assert (column == 0).all(axis=1).sum() > 1.2 * len(white)


def test_holes_of_a_texture_show_what_is_behind() -> None:
    holed = np.full((8, 8, 4), 255, np.uint8)
    holed[:, :4, 3] = 0
    picture = render(textured(holed), straight(), FLAT, 64, 1, background=(0, 0, 9))
    assert picture[32, 24].tolist() == [0, 0, 9]
    assert picture[32, 40].tolist() == [255, 255, 255]


def test_light_follows_lamberts_law_on_both_sides() -> None:
    light = Lighting(0.1, np.array([[0.0, 0.0, 1.0]]), np.array([0.5]))
    for faces in (TWO, TWO[:, ::-1]):
        mesh = ColouredMesh.plain(SQUARE, faces, (1.0, 1.0, 1.0))
        picture = render(mesh, straight(), light, 32, 1)
        assert picture[16, 16, 0] == round(255 * 0.6 ** (1 / 2.2))
    behind = Lighting(0.1, np.array([[0.0, 0.0, -1.0]]), np.array([0.5]))
    assert render(mesh, straight(), behind, 32, 1)[16, 16, 0] == round(255 * 0.1 ** (1 / 2.2))


def test_normals_are_smooth_on_spheres_and_sharp_on_boxes() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    smooth = corner_normals(ball.vertices, np.asarray(ball.faces))
    aligned = (smooth * ball.vertices[ball.faces]).sum(-1)
    assert aligned.min() > 0.999
    box = trimesh.creation.box()
    sharp = corner_normals(np.asarray(box.vertices), np.asarray(box.faces))
    np.testing.assert_allclose(sharp, np.repeat(box.face_normals[:, None], 3, 1), atol=1e-6)


def test_cameras_hold_the_object_just_so() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        points = rng.normal(size=(50, 3)) * rng.uniform(0.02, 3, 3) + rng.normal(size=3) * 10
        camera = random_camera(points, rng, (-20, 60))
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)
        across, down, depth = camera.project(points, 100).T
        assert depth.min() > 0
        assert across.min() > 0
        assert down.min() > 0
        assert max(across.max(), down.max()) < 100
        reach = np.abs(np.stack([across, down]) - 50).max()
        assert 25 < reach <= 46 + 1e-9  # 46: the margin; less for thin things seen from the end
        top = camera.project(np.array([[0, 1.0, 0], [0, 0, 0]]) + points.mean(axis=0), 100)
        assert top[0, 1] < top[1, 1]


def test_the_same_seed_gives_the_same_pictures() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    mesh = ColouredMesh.plain(ball.vertices, ball.faces, np.abs(ball.vertices))
    settings = ViewSettings(views=3, size=64)
    one, again, other = (render_views(mesh, settings, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert all(p.shape == (64, 64, 3) and p.dtype == np.uint8 for p in one)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])


def test_antialiasing_is_the_mean_of_the_finer_picture() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    mesh = ColouredMesh.plain(ball.vertices, ball.faces)
    rng = np.random.default_rng(0)
    camera = random_camera(mesh.vertices, rng, (0, 30))
    light = random_lighting(rng, camera)
    fine = render(mesh, camera, light, 128, 1).astype(float)
    coarse = render(mesh, camera, light, 64, 2)
    assert np.abs(fine.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3)) - coarse).max() <= 1


def test_what_cannot_be_pictured_is_refused() -> None:
    with pytest.raises(InputError, match="one place"):
        fitting_camera(np.ones((4, 3)), 0, 0)
    with pytest.raises(InputError, match="finite"):
        fitting_camera(np.full((4, 3), np.nan), 0, 0)
    with pytest.raises(InputError, match="outside the 4"):
        ColouredMesh.plain(SQUARE, TWO + 1)
    with pytest.raises(InputError, match="colours of shape"):
        ColouredMesh.plain(SQUARE, TWO, np.zeros((2, 3)))
