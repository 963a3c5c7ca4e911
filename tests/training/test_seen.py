"""How much of a thing a walk showed, against faces whose areas are known."""

from __future__ import annotations

import numpy as np
import pytest

from cg3d_training.render.depth_camera import DepthCamera, looking_at
from cg3d_training.render.seen import SeenSurface
from cg3d_training.shapes.primitives import box
from cg3d_training.shapes.rooms import Room, Thing

CAMERA = DepthCamera(noise=0.0, edge_loss=0.0)
RNG = np.random.default_rng(0)


def room_of(*boxes: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Room:
    """Boxes of a length, height and width, moved; the meshes' z is up here."""
    things = tuple(Thing("box", [box(*size).moved(*place)]) for size, place in boxes)
    return Room(np.array([6.0, 5, 2.6]), things, 0)


def test_of_a_box_the_camera_sees_the_faces_before_it() -> None:
    room = room_of(((1.0, 0.8, 0.6), (0, 0, 0)), ((1.0, 0.8, 0.6), (9, 0, 0)))
    low, high = room.things[0].bounds
    middle = (low + high) / 2
    areas = [1.0 * 0.8, 0.8 * 0.6, 1.0 * 0.6]
    whole = 2 * sum(areas)
    surface = SeenSurface(room)
    assert surface.shares().tolist() == [0, 0]
    surface.add(CAMERA.look(room, looking_at(middle - np.array([0, 2.5, 0.001]), middle), RNG))
    front = 1.0 * (high - low)[2] / whole
    np.testing.assert_allclose(surface.shares(), [front, 0], atol=0.04)
    surface.add(CAMERA.look(room, looking_at(middle + np.array([2.5, 0, 0.001]), middle), RNG))
    both = front + (high - low)[1] * (high - low)[2] / whole
    np.testing.assert_allclose(surface.shares(), [both, 0], atol=0.05)
    assert surface.shares(least=2)[0] < 0.02
    seen = surface.seen_of(0)
    assert seen[:, 0].max() == pytest.approx(high[0], abs=0.02)
    assert len(surface.seen_of(1)) == 0


def test_what_is_hidden_or_too_far_is_not_seen() -> None:
    room = room_of(((1.0, 0.8, 0.1), (0, 0, 0)), ((0.5, 0.4, 0.1), (0, 0.1, -1)))
    above = np.array([0.001, 0.3, 2.5])
    pose = looking_at(above, [0.0, 0.32, -1.0])
    for within, expected in ((np.inf, True), (1.0, False)):
        surface = SeenSurface(room, within)
        surface.add(CAMERA.look(room, pose, RNG))
        shares = surface.shares()
        assert (shares[0] > 0.2) == expected
        assert shares[1] < 0.05
