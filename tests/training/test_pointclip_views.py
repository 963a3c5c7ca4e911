"""Depth maps of PointCLIP and of the official renderer, against pixel by pixel loops."""

from __future__ import annotations

import numpy as np
import pytest

from cg3d_runtime.errors import InputError
from cg3d_runtime.points import unit_sphere
from cg3d_training.render.pointclip import DISTANCE, pointclip_sides, pointclip_views
from cg3d_training.render.splats import VIEWS, splat_views


def shapes() -> dict[str, np.ndarray]:
    """A ball, a box, a stair whose steps hide each other, and noise; in the unit sphere."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(1500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    box = rng.uniform(-1, 1, (1500, 3)) * [1, 0.5, 0.25]
    face = rng.integers(3, size=1500)
    box[np.arange(1500), face] = (
        np.sign(box[np.arange(1500), face]) * np.array([1, 0.5, 0.25])[face]
    )
    steps = rng.uniform(-1, 1, (1500, 3))
    steps[:, 1] = np.floor(steps[:, 2] * 3) / 3 + rng.uniform(0, 0.01, 1500)
    clouds = {"ball": ball, "box": box, "stair": steps, "noise": rng.uniform(-1, 1, (800, 3))}
    return {name: unit_sphere(cloud).xyz for name, cloud in clouds.items()}


def euler(x: float, y: float, z: float) -> np.ndarray:
    """The matrix of three angles as PointCLIP composes it, X Y Z; written out."""
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.array(about_x) @ np.array(about_y) @ np.array(about_z)


QUARTER = np.pi / 2
#: The angles of PointCLIP's zero-shot views.
ANGLES = [(k * QUARTER, 0, QUARTER) for k in range(4)]
ANGLES += [(0, -QUARTER, QUARTER), (0, QUARTER, QUARTER)]


@pytest.mark.parametrize("name", ["ball", "box", "stair", "noise"])
def test_pixels_are_those_of_a_z_buffer(name: str) -> None:
    """A z-buffer that visits one point after the other, for every view."""
    cloud, size = shapes()[name], 128
    nearest = pointclip_views(cloud, "nearest")
    harmonic = pointclip_views(cloud)
    assert nearest.shape == (6, size, size)
    for view, angles in enumerate(ANGLES):
        # The six rotations hold noughts and ones alone; cos(pi / 2) is not quite nought.
        turn = np.round(euler(*angles))
        buffer, shares = np.zeros((size, size)), {}
        for point in cloud.astype(np.float64):
            x, y, z = (sum(row[k] * point[k] for k in range(3)) for row in turn)
            depth = z + 1.6
            row = int(np.ceil((x / depth + 1) * size / 2 - 0.5))
            column = int(np.ceil((y / depth + 1) * size / 2 - 0.5))
            if not (0 <= row < size and 0 <= column < size):
                continue
            if buffer[row, column] == 0 or depth < buffer[row, column]:
                buffer[row, column] = depth
            shares.setdefault((row, column), []).append(depth)
        np.testing.assert_array_equal(nearest[view], buffer.astype(np.float32))
        means = np.zeros((size, size))
        for place, depths in shares.items():
            means[place] = len(depths) / sum(1 / d for d in depths)
        np.testing.assert_allclose(harmonic[view], means, rtol=1e-6)
        assert max(map(len, shares.values())) > 1  # some points do hide others


def test_six_different_sides_of_an_upright_object() -> None:
    sides = pointclip_sides()
    # Looked at along -z, -x, +z, +x, and from both ends of y.
    assert len({tuple(side[2]) for side in sides}) == 6
    for side in sides:
        np.testing.assert_allclose(side @ side.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(side) == pytest.approx(1)
    top = np.array([[0, 0.9, 0], [0.01, 0, 0]])
    for view in pointclip_views(top)[:4]:
        rows = np.nonzero(view)[0]
        assert rows.min() < 64 <= rows.max() + 1  # what is up is up in the picture
        assert view[rows.min()].max() == pytest.approx(DISTANCE, abs=0.02)


def drawn_by_hand(points: np.ndarray, about_z: float, about_x: float) -> np.ndarray:
    """The official picture, disc by disc and pixel by pixel."""
    turned = points @ euler(0, 0, np.radians(about_z)).T @ euler(np.radians(about_x), 0, 0).T
    turned = turned - turned.mean(axis=0)
    turned /= max(np.sqrt(p @ p) for p in turned)
    lowest, highest = turned[:, 2].min(), turned[:, 2].max()
    picture = np.zeros((500, 500))
    for x, y, z in sorted(turned.tolist(), key=lambda p: -p[2]):
        depth = (z - lowest) / (highest - lowest)
        row, column = round(250 + 200 * x), round(250 + 200 * y)
        for i in range(12):
            for j in range(12):
                square = (i - 5.5) ** 2 + (j - 5.5) ** 2
                if square <= 5.5**2:
                    light = np.exp(-square / 5.5**2) * (1 - depth)
                    old = picture[row + i, column + j]
                    picture[row + i, column + j] = 0.7 * old + 0.3 * light
    return picture / picture.max()


@pytest.mark.parametrize("name", ["box", "stair"])
def test_official_pictures_are_those_drawn_disc_by_disc(name: str) -> None:
    cloud = shapes()[name][:250].astype(np.float64) * 3 + [5, 0, -2]
    pictures = splat_views(cloud)
    assert pictures.shape == (3, 500, 500)
    for picture, view in zip(pictures, VIEWS, strict=True):
        expected = drawn_by_hand(cloud, *view)
        # To the pixel; what is furthest is black up to rounding.
        np.testing.assert_array_equal(picture > 1e-9, expected > 1e-9)
        np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_nothing_to_look_at() -> None:
    with pytest.raises(InputError, match="one place"):
        splat_views(np.ones((5, 3)))
    with pytest.raises(InputError, match="one place"):
        splat_views(np.empty((0, 3)))
