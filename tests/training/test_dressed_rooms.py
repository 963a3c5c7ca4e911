"""Rooms whose things touch and hang."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cg3d_training.evaluation.dressed_rooms import dressed_room


@pytest.mark.parametrize("seed", [3, 4])
def test_things_touch_and_hang(seed: int) -> None:
    room = dressed_room(seed, camera=False)
    again = dressed_room(seed, camera=False)
    np.testing.assert_array_equal(room.points, again.points)
    assert len(room.points) == len(room.owner)
    names = set(room.names)
    assert {"floor", "ceiling", "wall", "television", "clock", "picture frame"} <= names
    boxes = {
        i: (room.points[room.owner == i].min(axis=0), room.points[room.owner == i].max(axis=0))
        for i in room.furniture
    }
    half = np.array([3.5, 3.0])
    for low, high in boxes.values():
        assert (low[:2] > -half - 0.02).all()
        assert (high[:2] < half + 0.02).all()
    # What hangs begins above the floor and is flat, its back near a wall.
    for i in room.furniture:
        if room.names[i] in ("television", "clock", "mirror", "picture frame"):
            low, high = boxes[i]
            assert low[2] > 0.6
            assert (high - low)[:2].min() < 0.11
            assert min((low[:2] + half).min(), (half - high[:2]).min()) < 0.08
    # Some two things of the row are no further apart than a centimetre, give or take noise.
    row = sorted((b[0][0], b[1][0]) for b in boxes.values() if b[1][1] > 2.9 and b[0][2] < 0.1)
    gaps = [after[0] - before[1] for before, after in pairwise(row)]
    assert gaps
    assert max(gaps) < 0.03


def test_a_camera_sees_the_same_things() -> None:
    room = dressed_room(5, camera=True)
    assert room.owner.max() < len(room.names)
    assert len(room.points) > 100_000
